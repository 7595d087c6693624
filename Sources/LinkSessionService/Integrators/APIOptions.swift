internal import ArgumentParser
internal import LinkSessions
internal import OutboundHTTP

/// Which service a command asks as a manufacturer's backend does, and with which key.
struct APIOptions: ParsableArguments {
    static let keyVariable = "LINK_SESSION_API_KEY"

    @Option(
        help: """
            One of the manufacturer's keys. Others on this machine can list a program's arguments: rather set \
            \(keyVariable), or \(keyVariable)_FILE to the path of a file that holds the key.
            """) var key: String?
    @Option(help: "Where the service is.") var url = "https://auth.nox.energy"

    func api() throws(CommandError) -> ManufacturerAPI {
        var given = key
        if given == nil { given = try secret(Self.keyVariable) }
        guard let given, APIKey.Environment.allCases.contains(where: { APIKey.isWellFormed(given, in: $0) }) else {
            throw .setting(
                key == nil ? Self.keyVariable : "--key",
                expects: "a manufacturer's API key, whole: it begins with nox_test_ or nox_live_")
        }
        return try ManufacturerAPI(url: serviceURL, key: given)
    }

    private var serviceURL: String {
        get throws(CommandError) {
            let text = url.hasSuffix("/") ? String(url.dropLast()) : url
            guard let parsed = ProviderURL(text), !parsed.hasQuery, text.count(where: { $0 == "/" }) == 2 else {
                throw .argument(
                    "--url",
                    expects:
                        "a URL of scheme and host alone, such as https://auth.nox.energy; http only to this machine")
            }
            return text
        }
    }
}
