internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions
internal import RateLimits

/// For commands that are about one manufacturer.
struct ManufacturerArgument: ParsableArguments {
    @Argument(help: "The manufacturer's name.") var manufacturer: String

    var name: DisplayText {
        get throws(CommandError) { try DisplayText(manufacturer, for: "MANUFACTURER") }
    }
}

struct AddManufacturer: ChangeCommand {
    static let configuration = CommandConfiguration(abstract: "Add a manufacturer.")

    @Option(help: "As its users know it; unique.") var name: String
    @Option(help: "Its brand, if that is not its name: answers carry it title-cased.") var brand: String?
    @Option(name: .customLong("redirect-url"), help: "Where it may send its users back to; repeatable.")
    var redirectURLs: [String] = []
    @Flag(help: "It may send its users to ANY well-formed URL.") var unrestricted = false
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange {
        guard unrestricted == redirectURLs.isEmpty else {
            throw CommandError.argument(
                "add-manufacturer", expects: "either --redirect-url, once or more, or --unrestricted")
        }
        let urls = try redirectURLs.map { try RedirectURL(toRegister: $0, for: "--redirect-url") }
        guard Set(urls.map(\.text)).count == urls.count else {
            throw CommandError.argument("--redirect-url", expects: "each URL once")
        }
        return try .addManufacturer(
            name: try DisplayText(name, for: "--name"),
            brand: try brand.map { try DisplayText($0, isBrand: true, for: "--brand") },
            redirectURLs: unrestricted ? nil : urls)
    }
}

struct Enable: ChangeCommand {
    static let configuration = CommandConfiguration(abstract: "Enable a disabled manufacturer: its keys work again.")

    @OptionGroup var manufacturer: ManufacturerArgument
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange { try .setEnabled(manufacturer: try manufacturer.name, true) }
}

struct Disable: ChangeCommand {
    static let configuration = CommandConfiguration(
        abstract: "Disable a manufacturer: none of its keys works any more.")

    @OptionGroup var manufacturer: ManufacturerArgument
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange { try .setEnabled(manufacturer: try manufacturer.name, false) }
}

struct SetUnopenedExpiry: ChangeCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say whether a manufacturer is told of the end of sessions that nobody opened.",
        discussion: "Such a session has an event link_session.expired then, ten minutes after it was made.")

    enum Choice: String, ExpressibleByArgument, CaseIterable {
        case on, off
    }

    @OptionGroup var manufacturer: ManufacturerArgument
    @Argument(help: "on or off.") var choice: Choice
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange {
        try .setUnopenedExpiry(manufacturer: try manufacturer.name, isTold: choice == .on)
    }
}

struct SetRateLimit: ChangeCommand {
    static let configuration = CommandConfiguration(
        abstract: "Set how many link sessions a manufacturer may create.",
        discussion: "Of all else it may ask for ten times as much. Over all replicas together.")

    @OptionGroup var manufacturer: ManufacturerArgument
    @Argument(help: "So many a second and so many at once, such as 100/200, or default.") var limit: String
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange {
        guard limit != "default" else { return try .setRateLimit(manufacturer: try manufacturer.name, nil) }
        guard let limit = RateLimit(limit) else {
            throw CommandError.argument(
                "LIMIT", expects: "default, or so many a second and so many at once, such as 100/200, up to 1000000")
        }
        return try .setRateLimit(manufacturer: try manufacturer.name, limit)
    }
}

struct AllowRedirect: ChangeCommand {
    static let configuration = CommandConfiguration(abstract: "Allow a manufacturer a further redirect URL.")

    @OptionGroup var manufacturer: ManufacturerArgument
    @Argument(help: "The URL, without a query.") var url: String
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange {
        try .allowRedirect(manufacturer: try manufacturer.name, try RedirectURL(toRegister: url, for: "URL"))
    }
}

struct RemoveRedirect: ChangeCommand {
    static let configuration = CommandConfiguration(
        abstract: "Remove a redirect URL of a manufacturer.",
        discussion: "Without its last URL it can send its users nowhere; it does not become unrestricted.")

    @OptionGroup var manufacturer: ManufacturerArgument
    @Argument(help: "The URL as admin list shows it.") var url: String
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange {
        // Any text that could be stored: one that is no redirect URL any more has to go, too.
        guard (1...2048).contains(url.utf8.count), url.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            throw CommandError.argument("URL", expects: "1 to 2048 bytes without control characters")
        }
        return try .removeRedirect(manufacturer: try manufacturer.name, url)
    }
}

struct SetRedirectPolicy: ChangeCommand {
    enum Policy: String, ExpressibleByArgument, CaseIterable { case registered, unrestricted }

    static let configuration = CommandConfiguration(
        commandName: "redirect-policy", abstract: "Set whether a manufacturer may redirect to registered URLs only.")

    @OptionGroup var manufacturer: ManufacturerArgument
    @Argument(help: "registered, or unrestricted: ANY well-formed URL.") var policy: Policy
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange {
        try .setRedirectPolicy(manufacturer: try manufacturer.name, unrestricted: policy == .unrestricted)
    }
}

struct ListManufacturers: ReportCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List all manufacturers with their redirect URLs and keys.")

    @OptionGroup var options: ReportOptions

    func report(from repository: AdminRepository) async throws -> Report {
        Report("manufacturers", try await repository.manufacturers().map(\.report))
    }
}

extension ManufacturerReport {
    fileprivate var report: Report {
        let redirects =
            if isUnrestricted {
                ["ANY URL: UNRESTRICTED"]
            } else {
                redirectURLs.isEmpty ? ["none: it can send its users nowhere"] : redirectURLs.map(DisplayText.escaped)
            }
        return Report(
            text: """
                \(DisplayText.escaped(name))\(isEnabled ? "" : " (DISABLED: none of its keys works)")
                  brand      \(brand.map(DisplayText.escaped) ?? "none")
                  audience   \(id.audience)
                  created    \(timestamp(unixSeconds: createdAt))
                  rate limit \(rateLimit.map { "\($0.perSecond)/\($0.atOnce)" } ?? "default")
                  redirects  \(redirects.joined(separator: "\n             "))
                \(keys.isEmpty ? "  no keys" : table([KeyReport.columns] + keys.map(\.row)))
                """,
            json: [
                "name": name, "brand": brand, "audience": id.audience, "enabled": isEnabled,
                "redirect_policy": isUnrestricted ? "unrestricted" : "registered", "redirect_urls": redirectURLs,
                "rate_limit": rateLimit.map { "\($0.perSecond)/\($0.atOnce)" },
                "created_at": createdAt, "keys": keys.map(\.json),
            ])
    }
}

extension KeyReport {
    fileprivate static let columns = ["KEY", "LABEL", "STATE", "CREATED", "EXPIRES", "LAST USED"]

    /// Enough to tell a manufacturer's keys apart, and of no use to anybody else.
    private var digestPrefix: String { String(digest.hex.prefix(12)) }

    fileprivate var row: [String] {
        [
            digestPrefix, DisplayText.escaped(label),
            revokedAt.map { "revoked \(timestamp(unixSeconds: $0))" } ?? state, timestamp(unixSeconds: createdAt),
            expiresAt.map(timestamp) ?? "never", lastUsedAt.map(timestamp) ?? "never",
        ]
    }

    fileprivate var json: JSONMembers {
        [
            "digest_prefix": digestPrefix, "label": label, "state": state, "created_at": createdAt,
            "expires_at": expiresAt, "revoked_at": revokedAt, "last_used_at": lastUsedAt,
        ]
    }
}
