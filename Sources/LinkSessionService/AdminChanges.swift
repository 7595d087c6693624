// The commands of admin that write a migration.

internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions
internal import PostgresClient
internal import TokenGenerator

struct ChangeOptions: ParsableArguments {
    @Flag(help: "Apply the migration at once, and end when every replica knows of it.") var apply = false
    @OptionGroup var migrations: MigrationsOptions

    /// Writes the change as a migration, and applies it where that is asked for.
    func carryOut(_ change: AdministrativeChange) async throws {
        printAnswer(try await writeAndApply(change, try await Settings(migrations.values)))
    }

    /// The same for a change that brings a new key: it is all that goes to standard output.
    func carryOut(
        withNewKey change: (SHA256Digest) throws -> AdministrativeChange
    ) async throws {
        ignoreBrokenPipes()
        let settings = try await Settings(migrations.values)
        let environment = settings.keyEnvironment
        guard let key = try? TokenGenerator().makeAPIKey(for: environment),
            let digest = try? SHA256.digest(of: key.characters)
        else { throw SystemProblem(line: "the system has no randomness for a key") }
        let path = try await writeAndApply(try change(digest), settings) { () throws(MigrationError) in
            guard writeAll(Array((key.characters + "\n").utf8), to: 1) else {
                throw MigrationError("cannot print the key")
            }
        }
        printToStandardError("link-session-service: \(path), with a key for \(environment) environments")
    }

    /// - Parameter whenSure: called when nothing but the commit, or without `apply` nothing at all, is left to be done:
    ///   a key that is in force and was not printed would be lost. What throws takes everything back.
    private func writeAndApply(
        _ change: AdministrativeChange, _ settings: Settings,
        whenSure: @escaping @Sendable () throws(MigrationError) -> Void = {}
    ) async throws -> String {
        let directories = try settings.migrationDirectories
        guard directories.count >= 2, let path = directories.last else {
            throw Settings.Problem(
                line:
                    "MIGRATIONS_DIRECTORIES expects the deployment's own directory after the product's, such as migrations,deployments/production"
            )
        }
        let address = apply ? try settings.database : nil
        // From the look at what is there until the new file is applied or taken back.
        let directory = try await LockedDirectory.lock(path)
        // A file that cannot be applied must not get company.
        let histories = try MigrationHistory.all(directories)
        if let address {
            // What is pending already is applied knowingly, or not at all.
            let statuses = try await Migrator(address: address, histories: histories).status()
            try requireUpToDate(statuses)
            if let name = statuses.last?.ahead.last {
                throw MigrationError("the database has the migration \(name), which \(path) lacks: get it first")
            }
        }
        let last = try directory.names.compactMap { $0.hasSuffix(".sql") ? Int($0.prefix(4)) : nil }.max() ?? 0
        guard last < 9999 else {
            throw SystemProblem(line: "\(path) is full: 9999 is the last number; begin another directory")
        }
        let name = String(String(10_000 + last + 1).dropFirst()) + "_\(change.name).sql"
        let date = String(timestampNow().prefix(10))
        guard let text = try? change.migration(author: userName(), date: date) else {
            throw SystemProblem(line: "libpq could not quote a value: out of memory")
        }
        try directory.write(text, as: name)
        let withNew: [MigrationHistory]
        do {
            withNew = try MigrationHistory.all(directories)
        } catch {
            directory.remove(name)
            throw error
        }
        do throws(MigrationError) {
            if let address {
                _ = try await Migrator(address: address, histories: withNew).migrate(willCommit: whenSure) { _ in }
            } else {
                try whenSure()
            }
        } catch {
            var isApplied = false
            if let address {
                // A commit may have been under way when the connection was lost: the migrator's lock tells when it is
                // decided.
                guard let status = try? await Migrator(address: address, histories: withNew).status(whenIdle: true).last
                else {
                    throw MigrationError(
                        lines: error.lines + ["whether \(path)/\(name) is applied is not known: see migrate --status"])
                }
                isApplied = status.applied.contains(name)
            }
            if !isApplied {
                // It would stand in the way of all later ones.
                directory.remove(name)
                throw MigrationError(lines: error.lines.map { "\($0); nothing was changed" })
            }
        }
        _ = consume directory
        // A second after the commit every replica knows of it: what the command promised is so when it ends.
        if apply { try? await Task.sleep(for: .seconds(1)) }
        return "\(path)/\(name)"
    }
}

struct AddManufacturer: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "A new manufacturer.")

    @Option(help: "As its users know it; unique.") var name: String
    @Option(help: "Its brand, if that is not its name: answers carry it title-cased.") var brand: String?
    @Option(name: .customLong("redirect-url"), help: "Where it may send its users back to; repeatable.")
    var redirectURLs: [String] = []
    @Flag(help: "It may send its users to ANY well-formed URL.") var unrestricted = false
    @OptionGroup var change: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            guard unrestricted == redirectURLs.isEmpty else {
                throw WrongArgument(
                    "add-manufacturer", expects: "either --redirect-url, once or more, or --unrestricted")
            }
            var urls: [RedirectURL] = []
            for url in redirectURLs { urls.append(try RedirectURL(toRegister: url, for: "--redirect-url")) }
            guard Set(urls.map(\.text)).count == urls.count else {
                throw WrongArgument("--redirect-url", expects: "each URL once")
            }
            try await change.carryOut(
                .addManufacturer(
                    name: try DisplayText(name, for: "--name"),
                    brand: try brand.map { try DisplayText(brand: $0, for: "--brand") },
                    redirectURLs: unrestricted ? nil : urls))
        }
    }
}

struct AddKey: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A new API key of a manufacturer, printed once on standard output.")

    @Argument(help: "The manufacturer's name.") var manufacturer: String
    @Option(help: "What the key is for, such as production.") var label: String
    @Option(help: "How long it is good, from when it is applied: 90d, 24h. Left out: without end.") var expiresIn:
        String?
    @OptionGroup var change: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            let manufacturer = try DisplayText(manufacturer, for: "MANUFACTURER")
            let label = try DisplayText(label, for: "--label")
            let lifetime = try expiresIn.map { try seconds($0, for: "--expires-in", atLeast: 1, atMostDays: 3650) }
            try await change.carryOut { digest in
                .addKey(manufacturer: manufacturer, digest: digest, label: label, lifetime: lifetime)
            }
        }
    }
}

struct RotateKey: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A new API key in place of the old one, printed once on standard output.",
        discussion: "The old key works until the overlap is over, counted from when the migration is applied.")

    @Argument(help: "The manufacturer's name.") var manufacturer: String
    @Option(help: "How long the old key still works: 24h; 0s ends it at once.") var overlap: String
    @Option(help: "The key to rotate, where the manufacturer has several labels.") var label: String?
    @Option(help: "How long the new key is good: 90d, 24h. Left out: as long as the old one was.") var expiresIn:
        String?
    @OptionGroup var change: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            let manufacturer = try DisplayText(manufacturer, for: "MANUFACTURER")
            let label = try label.map { try DisplayText($0, for: "--label") }
            let overlap = try seconds(overlap, for: "--overlap", atLeast: 0, atMostDays: 365)
            let lifetime = try expiresIn.map { try seconds($0, for: "--expires-in", atLeast: 1, atMostDays: 3650) }
            try await change.carryOut { digest in
                .rotateKey(
                    manufacturer: manufacturer, digest: digest, label: label, overlap: overlap, lifetime: lifetime)
            }
        }
    }
}

struct RevokeKey: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "An API key of a manufacturer ends now.",
        discussion: #"A leaked key's digest: printf %s "$KEY" | sha256sum"#)

    @Argument(help: "The manufacturer's name.") var manufacturer: String
    @Option(help: "The key's label.") var label: String?
    @Option(help: "The first 8 or more hexadecimal digits of the key's SHA-256, as admin list shows them.")
    var digest: String?
    @OptionGroup var change: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            let selection: AdministrativeChange.KeySelection
            switch (label, digest) {
            case (let label?, nil):
                selection = .label(try DisplayText(label, for: "--label"))
            case (nil, let digest?):
                let digits = digest.lowercased()
                guard (8...64).contains(digits.utf8.count), digits.utf8.allSatisfy({ Hexadecimal.value(of: $0) != nil })
                else {
                    throw WrongArgument("--digest", expects: "8 to 64 hexadecimal digits of the key's SHA-256")
                }
                selection = .digestPrefix(digits)
            default:
                throw WrongArgument("revoke-key", expects: "either --label or --digest")
            }
            try await change.carryOut(
                .revokeKey(manufacturer: try DisplayText(manufacturer, for: "MANUFACTURER"), selection))
        }
    }
}

struct Enable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "A disabled manufacturer's keys work again.")

    @Argument(help: "The manufacturer's name.") var manufacturer: String
    @OptionGroup var change: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            try await change.carryOut(
                .setEnabled(manufacturer: try DisplayText(manufacturer, for: "MANUFACTURER"), true))
        }
    }
}

struct Disable: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "None of a manufacturer's keys works any more.")

    @Argument(help: "The manufacturer's name.") var manufacturer: String
    @OptionGroup var change: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            try await change.carryOut(
                .setEnabled(manufacturer: try DisplayText(manufacturer, for: "MANUFACTURER"), false))
        }
    }
}

struct AllowRedirect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "A further redirect URL of a manufacturer.")

    @Argument(help: "The manufacturer's name.") var manufacturer: String
    @Argument(help: "The URL, without a query.") var url: String
    @OptionGroup var change: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            try await change.carryOut(
                .allowRedirect(
                    manufacturer: try DisplayText(manufacturer, for: "MANUFACTURER"),
                    try RedirectURL(toRegister: url, for: "URL")))
        }
    }
}

struct RemoveRedirect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A manufacturer may no longer use a redirect URL.",
        discussion: "Without its last URL it can send its users nowhere; it does not become unrestricted.")

    @Argument(help: "The manufacturer's name.") var manufacturer: String
    @Argument(help: "The URL as admin list shows it.") var url: String
    @OptionGroup var change: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            // Any text that could be stored: one that is no redirect URL any more has to go, too.
            guard (1...2048).contains(url.utf8.count), url.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
                throw WrongArgument("URL", expects: "1 to 2048 bytes without control characters")
            }
            try await change.carryOut(
                .removeRedirect(manufacturer: try DisplayText(manufacturer, for: "MANUFACTURER"), url))
        }
    }
}

struct SetRedirectPolicy: AsyncParsableCommand {
    enum Policy: String, ExpressibleByArgument, CaseIterable { case registered, unrestricted }

    static let configuration = CommandConfiguration(
        commandName: "redirect-policy", abstract: "Whether a manufacturer may redirect to registered URLs only.")

    @Argument(help: "The manufacturer's name.") var manufacturer: String
    @Argument(help: "registered, or unrestricted: ANY well-formed URL.") var policy: Policy
    @OptionGroup var change: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            try await change.carryOut(
                .setRedirectPolicy(
                    manufacturer: try DisplayText(manufacturer, for: "MANUFACTURER"),
                    unrestricted: policy == .unrestricted))
        }
    }
}

struct AddSupplier: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "A new energy supplier, at whose OpenID Connect provider users sign in.",
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
    @OptionGroup var change: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            let slug = try Supplier.Slug(slug, for: "SLUG")
            guard slug != .sandbox else {
                throw WrongArgument("SLUG", expects: "another one: sandbox is the service's own")
            }
            guard let issuer = ProviderURL(issuer), !issuer.hasQuery else {
                throw WrongArgument(
                    "--issuer",
                    expects: "an https URL without query, or http on this machine, such as https://login.example.com")
            }
            guard OpenIDClient.isClientID(clientID) else {
                throw WrongArgument("--client-id", expects: "1 to 255 visible ASCII characters")
            }
            guard OpenIDClient.isSecretName(clientSecretName) else {
                throw WrongArgument(
                    "--client-secret-name",
                    expects: "the name of a setting, SUPPLIER_ and 1 to 100 of A-Z, 0-9 and _; never the secret itself")
            }
            var names = scopes.split(separator: " ").map(String.init)
            guard names.allSatisfy(OpenIDClient.isScope) else {
                throw WrongArgument("--scopes", expects: "scopes of visible ASCII characters, parted by blanks")
            }
            if !names.contains("openid") { names.insert("openid", at: 0) }
            try await change.carryOut(
                .addSupplier(
                    slug, name: try DisplayText(name, for: "--name"),
                    OpenIDClient(
                        issuer: issuer, clientID: clientID, clientSecretName: clientSecretName, scopes: names)))
        }
    }
}

struct EnableSupplier: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Users can sign in at a disabled supplier again.")

    @Argument(help: "The supplier's slug.") var slug: String
    @OptionGroup var change: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            try await change.carryOut(.setSupplierEnabled(try Supplier.Slug(slug, for: "SLUG"), true))
        }
    }
}

struct DisableSupplier: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Nobody can sign in at a supplier any more, nor confirm a sign-in that is under way.")

    @Argument(help: "The supplier's slug.") var slug: String
    @OptionGroup var change: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            try await change.carryOut(.setSupplierEnabled(try Supplier.Slug(slug, for: "SLUG"), false))
        }
    }
}

extension Supplier.Slug {
    fileprivate init(_ text: String, for argument: String) throws(WrongArgument) {
        guard let slug = Supplier.Slug(text) else {
            throw WrongArgument(argument, expects: "1 to 40 of a-z, 0-9 and single inner hyphens")
        }
        self = slug
    }
}
