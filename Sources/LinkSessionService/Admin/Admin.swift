internal import ArgumentParser
internal import LinkSessionRepository

struct Admin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write migrations that change manufacturers, keys and suppliers; report; export and erase a user.",
        discussion: """
            A command that changes something writes the next numbered file into the last of MIGRATIONS_DIRECTORIES, to \
            be reviewed and applied by migrate, and prints its path. With --apply it is applied at once. A new key is \
            printed once, alone on standard output: only its SHA-256 is in the file and in the database.

            Exit codes: 1 where it could not be done, 3 where nothing is known of a user or \
            what was checked is not in order, 64 where an argument is wrong. \
            Nothing is ever half written.
            """,
        subcommands: [
            AddManufacturer.self, AddKey.self, RotateKey.self, RevokeKey.self, Enable.self, Disable.self,
            AllowRedirect.self, RemoveRedirect.self, SetRedirectPolicy.self, CheckRedirect.self, SetRateLimit.self,
            SetUnopenedExpiry.self,
            AddSupplier.self, EditSupplier.self, CheckSupplier.self, EnableSupplier.self, DisableSupplier.self,
            SetLogo.self, AddWebhook.self, DisableWebhook.self, ResumeWebhook.self, RotateWebhookSecret.self,
            ShowWebhookSecret.self, Resend.self, ListManufacturers.self, ListSuppliers.self, ListWebhooks.self,
            Deliveries.self, Funnel.self, Sessions.self, ExportUser.self,
            EraseUser.self, EraseAgain.self, Audit.self, CreateRoles.self, Distribute.self,
        ])
}

struct CreateRoles: Command {
    static let configuration = CommandConfiguration(
        abstract: "Make the roles that migrations grant rights to, once a cluster.",
        discussion: "Needs a role that may make roles. The new ones cannot log in and have no password.")

    func perform() async throws {
        let created = try await AdminRepository(address: try await Settings().database).createRoles()
        for role in DatabaseRole.allCases { print(created.contains(role) ? "created " : "exists  ", role.rawValue) }
    }
}
