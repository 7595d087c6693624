internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

/// How long a new key is good, from when it is applied.
struct KeyLifetimeOptions: ParsableArguments {
    @Option(
        help: "How long it is good, from when it is applied: 90d, 24h. Left out: a year, or as long as the one before.")
    var expiresIn: String?
    @Flag(help: "It is good without end.") var never = false

    /// `nil`: nothing was said.
    var given: AdminChange.KeyLifetime? {
        get throws(CommandError) {
            guard let expiresIn else { return never ? .unlimited : nil }
            guard !never else { throw .argument("--never", expects: "to be alone, without --expires-in") }
            return .seconds(try seconds(expiresIn, for: "--expires-in", atLeast: 1, atMostDays: 3650))
        }
    }
}

struct AddKey: Command {
    static let configuration = CommandConfiguration(
        abstract: "Add an API key of a manufacturer, and print it once on standard output.")

    @OptionGroup var manufacturer: ManufacturerArgument
    @Option(help: "What the key is for, such as production.") var label: String
    @OptionGroup var lifetime: KeyLifetimeOptions
    @OptionGroup var migration: ChangeOptions

    func perform() async throws {
        let manufacturer = try manufacturer.name
        let label = try DisplayText(label, for: "--label")
        let lifetime = try lifetime.given ?? .seconds(365 * 86_400)
        try await migration.write { digest in
            try .addKey(manufacturer: manufacturer, digest: digest, label: label, lifetime: lifetime)
        }
    }
}

struct RotateKey: Command {
    static let configuration = CommandConfiguration(
        abstract: "Replace an API key of a manufacturer, and print the new one once on standard output.",
        discussion: """
            The old key works until the overlap is over, counted from when the migration is applied. The new one is good \
            for as long as the old one was, or for a year where that was without end.
            """)

    @OptionGroup var manufacturer: ManufacturerArgument
    @Option(help: "How long the old key still works: 24h; 0s ends it at once.") var overlap: String
    @Option(help: "The key to rotate, where the manufacturer has several labels.") var label: String?
    @OptionGroup var lifetime: KeyLifetimeOptions
    @OptionGroup var migration: ChangeOptions

    func perform() async throws {
        let manufacturer = try manufacturer.name
        let label = try label.map { try DisplayText($0, for: "--label") }
        let overlap = try seconds(overlap, for: "--overlap", atLeast: 0, atMostDays: 365)
        let lifetime = try lifetime.given
        try await migration.write { digest in
            try .rotateKey(
                manufacturer: manufacturer, digest: digest, label: label, overlap: overlap, lifetime: lifetime)
        }
    }
}

struct RevokeKey: ChangeCommand {
    static let configuration = CommandConfiguration(
        abstract: "Revoke an API key of a manufacturer: it ends now.",
        discussion: #"A leaked key's digest: printf %s "$KEY" | sha256sum"#)

    @OptionGroup var manufacturer: ManufacturerArgument
    @Option(help: "The key's label.") var label: String?
    @Option(help: "The first 8 or more hexadecimal digits of the key's SHA-256, as admin list shows them.")
    var digest: String?
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange {
        let selection: AdminChange.KeySelection
        switch (label, digest) {
        case (let label?, nil):
            selection = .label(try DisplayText(label, for: "--label"))
        case (nil, let digest?):
            let digits = digest.lowercased()
            guard (8...64).contains(digits.utf8.count), digits.utf8.allSatisfy({ Hexadecimal.value(of: $0) != nil })
            else {
                throw CommandError.argument("--digest", expects: "8 to 64 hexadecimal digits of the key's SHA-256")
            }
            selection = .digestPrefix(digits)
        default:
            throw CommandError.argument("revoke-key", expects: "either --label or --digest")
        }
        return try .revokeKey(manufacturer: try manufacturer.name, selection)
    }
}
