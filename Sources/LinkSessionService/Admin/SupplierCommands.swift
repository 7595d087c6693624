internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

struct AddSupplier: ChangeCommand {
    static let configuration = CommandConfiguration(
        abstract: "Add an energy supplier, at whose OpenID Connect provider users sign in.",
        discussion: """
            Register us there as a confidential client for the authorization code flow, with the redirect URI \
            {PUBLIC_BASE_URL}/ui/callback/SLUG. Set the client secret in the environment of every replica, under the \
            name that --client-secret-name gives, before this is applied: until then the supplier is not offered.
            """)

    @Argument(help: "What answers and return links call it: a-z, 0-9 and inner hyphens; never changed.")
    var slug: String
    @Option(help: "As its users know it; unique.") var name: String
    @Option(help: "The provider's issuer, byte for byte as its metadata has it.") var issuer: String
    @Option(help: "Our client id there.") var clientID: String
    @Option(help: "The setting that holds our client secret there, such as SUPPLIER_GREEN_GRID_SECRET.")
    var clientSecretName: String
    @Option(help: "Space-separated; openid is always among them.") var scopes = "openid"
    @OptionGroup var providerOptions: ProviderOptions
    @OptionGroup var provider: ProviderCheckOptions
    @OptionGroup var migration: ChangeOptions

    private func client() throws -> OpenIDClient {
        let client = OpenIDClient(
            issuer: try ProviderURL(issuer: issuer), clientID: try OpenIDClient.clientID(argument: clientID),
            clientSecretName: try OpenIDClient.secretName(argument: clientSecretName),
            scopes: try OpenIDClient.scopes(argument: scopes))
        var edit = SupplierEdit()
        try providerOptions.set(on: &edit)
        if let url = edit.discoveryURL ?? nil, url.isLoopback, !client.issuer.isLoopback {
            throw ProviderOptions.discoveryURLError
        }
        return edit.applied(to: client)
    }

    func change() throws -> AdminChange {
        let slug = try Supplier.Slug(argument: slug)
        guard slug != .sandbox else {
            throw CommandError.argument("SLUG", expects: "another one: sandbox is the service's own")
        }
        return try .addSupplier(slug, name: try DisplayText(name, for: "--name"), try client())
    }

    func check(_ settings: Settings) async throws { try await provider.check(try client(), settings) }
}

struct EnableSupplier: ChangeCommand {
    static let configuration = CommandConfiguration(
        abstract: "Enable a disabled supplier: users can sign in there again.")

    @Argument(help: "The supplier's slug.") var slug: String
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange { try .setSupplierEnabled(try Supplier.Slug(argument: slug), true) }
}

struct DisableSupplier: ChangeCommand {
    static let configuration = CommandConfiguration(
        abstract: "Disable a supplier: nobody can sign in there, nor confirm a sign-in that is under way.")

    @Argument(help: "The supplier's slug.") var slug: String
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange { try .setSupplierEnabled(try Supplier.Slug(argument: slug), false) }
}

struct ListSuppliers: ReportCommand {
    static let configuration = CommandConfiguration(
        abstract: "List all energy suppliers with what we are at their providers.")

    @OptionGroup var options: ReportOptions

    func report(from repository: AdminRepository) async throws -> Report {
        Report(
            "suppliers",
            try await repository.suppliers().map { $0.report(hasSecret: try hasSecret($0.clientSecretName)) })
    }
}

extension SupplierReport {
    /// - Parameter hasSecret: in the environment of this command.
    fileprivate func report(hasSecret: Bool) -> Report {
        let warning = hasSecret ? "" : " (WARNING: not set in this command's environment; every replica needs it)"
        let settings = providerSettings.map { "\n  \($0)  \($1)" }
        return Report(
            text: """
                \(slug)\(isEnabled ? "" : " (DISABLED: nobody can sign in)")
                  name       \(DisplayText.escaped(name))
                  issuer     \(DisplayText.escaped(issuer))
                  client id  \(DisplayText.escaped(clientID))
                  secret in  \(clientSecretName)\(warning)
                  scopes     \(DisplayText.escaped(scopes.joined(separator: " ")))\(settings.joined())
                  sign-ins   \(outcomes.succeeded) succeeded\(Self.last(lastSucceededAt)), \
                \(outcomes.failed) failed\(Self.last(lastFailedAt)), \(outcomes.declined) declined within a day
                  created    \(timestamp(unixSeconds: createdAt))
                """,
            json: [
                "slug": slug, "name": name, "enabled": isEnabled, "issuer": issuer, "client_id": clientID,
                "client_secret_name": clientSecretName, "client_secret_set_here": hasSecret, "scopes": scopes,
                "client_authentication": clientAuthentication, "discovery_url": discoveryURL,
                "response_mode": responseMode, "prompt": prompt, "max_age": maxAge, "created_at": createdAt,
                "succeeded": outcomes.succeeded, "failed": outcomes.failed, "declined": outcomes.declined,
                "last_succeeded_at": lastSucceededAt, "last_failed_at": lastFailedAt,
            ])
    }

    /// Those that were said.
    private var providerSettings: [(String, String)] {
        [
            ("sent as  ", clientAuthentication), ("metadata ", discoveryURL), ("answers  ", responseMode),
            ("prompt   ", prompt), ("max age  ", maxAge.map { "\($0) s" }),
        ].compactMap { name, value in value.map { (name, DisplayText.escaped($0)) } }
    }

    private static func last(_ time: Int64?) -> String { time.map { " (last \(timestamp(unixSeconds: $0)))" } ?? "" }
}
