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
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange {
        let slug = try Supplier.Slug(argument: slug)
        guard slug != .sandbox else {
            throw CommandError.argument("SLUG", expects: "another one: sandbox is the service's own")
        }
        guard !issuer.contains("{") else {
            throw CommandError.argument(
                "--issuer", expects: "the issuer of one tenant: one with a {placeholder} stands for many")
        }
        guard let issuer = ProviderURL(issuer), !issuer.hasQuery else {
            throw CommandError.argument(
                "--issuer",
                expects: "an https URL without query, or http on this machine, such as https://login.example.com")
        }
        guard OpenIDClient.isClientID(clientID) else {
            throw CommandError.argument("--client-id", expects: "1 to 255 visible ASCII characters")
        }
        guard OpenIDClient.isSecretName(clientSecretName) else {
            throw CommandError.argument(
                "--client-secret-name",
                expects: "the name of a setting, SUPPLIER_ and 1 to 100 of A-Z, 0-9 and _; never the secret itself")
        }
        var names = scopes.split(separator: " ").map(String.init)
        guard names.allSatisfy(OpenIDClient.isScope) else {
            throw CommandError.argument("--scopes", expects: "scopes of visible ASCII characters, parted by blanks")
        }
        if !names.contains("openid") { names.insert("openid", at: 0) }
        var client = OpenIDClient(
            issuer: issuer, clientID: clientID, clientSecretName: clientSecretName, scopes: names)
        try providerOptions.set(on: &client)
        return try .addSupplier(slug, name: try DisplayText(name, for: "--name"), client)
    }
}

/// What only some providers need.
struct ProviderOptions: ParsableArguments {
    @Option(
        help: """
            How our client secret is sent, where the metadata leave it open or are wrong: client_secret_basic, \
            client_secret_basic_unencoded or client_secret_post.
            """)
    var clientAuthentication: String?
    @Option(help: "Where the metadata are, unless below the issuer at /.well-known/openid-configuration.")
    var discoveryURL: String?
    @Option(help: "How the provider answers, unless its metadata decide: query or form_post.")
    var responseMode: String?
    @Option(help: "What the first sign-in of a session asks for: login or select_account.") var prompt: String?
    @Option(help: "How many seconds ago users may have signed in there.") var maxAge: Int?

    func set(on client: inout OpenIDClient) throws {
        if let clientAuthentication {
            client.authentication = try Self.parse(clientAuthentication, "--client-authentication")
        }
        if let discoveryURL {
            guard let url = ProviderURL(discoveryURL), !url.isLoopback || client.issuer.isLoopback else {
                throw CommandError.argument(
                    "--discovery-url", expects: "an https URL, or http on this machine where the issuer is there, too")
            }
            client.discoveryURL = url
        }
        if let responseMode { client.responseMode = try Self.parse(responseMode, "--response-mode") }
        if let prompt { client.prompt = try Self.parse(prompt, "--prompt") }
        if let maxAge {
            guard OpenIDClient.isMaxAge(maxAge) else {
                throw CommandError.argument("--max-age", expects: "0 to 31536000 seconds")
            }
            client.maxAge = maxAge
        }
    }

    private static func parse<Value: RawRepresentable<String> & CaseIterable>(
        _ text: String, _ option: String
    ) throws -> Value {
        guard let value = Value(rawValue: text) else {
            let names = Value.allCases.map(\.rawValue)
            throw CommandError.argument(option, expects: "one of: \(names.joined(separator: ", "))")
        }
        return value
    }
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
        Report("suppliers", try await repository.suppliers().map(\.report))
    }
}

extension SupplierReport {
    fileprivate var report: Report {
        Report(
            text: """
                \(slug)\(isEnabled ? "" : " (DISABLED: nobody can sign in)")
                  name       \(DisplayText.escaped(name))
                  issuer     \(DisplayText.escaped(issuer))
                  client id  \(DisplayText.escaped(clientID))
                  secret in  \(clientSecretName)
                  scopes     \(DisplayText.escaped(scopes.joined(separator: " ")))
                  created    \(timestamp(unixSeconds: createdAt))
                """,
            json: [
                "slug": slug, "name": name, "enabled": isEnabled, "issuer": issuer, "client_id": clientID,
                "client_secret_name": clientSecretName, "scopes": scopes, "created_at": createdAt,
            ])
    }
}
