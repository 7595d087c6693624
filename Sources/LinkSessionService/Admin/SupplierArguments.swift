internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

extension ProviderURL {
    init(issuer text: String) throws(CommandError) {
        guard !text.contains("{") else {
            throw .argument("--issuer", expects: "the issuer of one tenant: one with a {placeholder} stands for many")
        }
        guard let issuer = ProviderURL(text), !issuer.hasQuery else {
            throw .argument(
                "--issuer",
                expects: "an https URL without query, or http on this machine, such as https://login.example.com")
        }
        self = issuer
    }
}

extension OpenIDClient {
    static func clientID(argument text: String) throws(CommandError) -> String {
        guard isClientID(text) else { throw .argument("--client-id", expects: "1 to 255 visible ASCII characters") }
        return text
    }

    static func secretName(argument text: String) throws(CommandError) -> String {
        guard isSecretName(text) else {
            throw .argument(
                "--client-secret-name",
                expects: "the name of a setting, SUPPLIER_ and 1 to 100 of A-Z, 0-9 and _; never the secret itself")
        }
        return text
    }

    static func scopes(argument text: String) throws(CommandError) -> [String] {
        var names = text.split(separator: " ").map(String.init)
        guard names.allSatisfy(isScope) else {
            throw .argument("--scopes", expects: "scopes of visible ASCII characters, parted by blanks")
        }
        if !names.contains("openid") { names.insert("openid", at: 0) }
        return names
    }
}

/// What only some providers need. `default` is what holds where nothing is said.
struct ProviderOptions: ParsableArguments {
    @Option(
        help: """
            How our client secret is sent, where the metadata leave it open or are wrong: client_secret_basic, \
            client_secret_basic_unencoded, client_secret_post or default.
            """)
    var clientAuthentication: String?
    @Option(help: "Where the metadata are, unless below the issuer at /.well-known/openid-configuration; or default.")
    var discoveryURL: String?
    @Option(help: "How the provider answers, unless its metadata decide: query, form_post or default.")
    var responseMode: String?
    @Option(help: "What the first sign-in of a session asks for: login, select_account or default.")
    var prompt: String?
    @Option(help: "How many seconds ago users may have signed in there, or default.") var maxAge: String?

    func set(on edit: inout SupplierEdit) throws {
        edit.authentication = try clientAuthentication.map { try Self.parse($0, "--client-authentication") }
        edit.discoveryURL = try discoveryURL.map { text in
            guard text != Self.unsaid else { return nil }
            guard let url = ProviderURL(text) else { throw Self.discoveryURLError }
            return url
        }
        edit.responseMode = try responseMode.map { try Self.parse($0, "--response-mode") }
        edit.prompt = try prompt.map { try Self.parse($0, "--prompt") }
        edit.maxAge = try maxAge.map { text in
            guard text != Self.unsaid else { return nil }
            guard let seconds = Int(text), OpenIDClient.isMaxAge(seconds) else {
                throw CommandError.argument("--max-age", expects: "0 to 31536000 seconds, or \(Self.unsaid)")
            }
            return seconds
        }
    }

    static let discoveryURLError = CommandError.argument(
        "--discovery-url", expects: "an https URL, or http on this machine where the issuer is there, too")
    private static let unsaid = "default"

    private static func parse<Value: RawRepresentable<String> & CaseIterable>(
        _ text: String, _ option: String
    ) throws -> Value? {
        guard text != unsaid else { return nil }
        guard let value = Value(rawValue: text) else {
            let names = Value.allCases.map(\.rawValue) + [unsaid]
            throw CommandError.argument(option, expects: "one of: \(names.joined(separator: ", "))")
        }
        return value
    }
}
