// Commands that change where a manufacturer may send its users back to.

internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

struct AllowRedirect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Allow a manufacturer a further redirect URL.")

    @Argument(help: "The manufacturer's name.") var manufacturer: String
    @Argument(help: "The URL, without a query.") var url: String
    @OptionGroup var migration: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            try await migration.write(
                try .allowRedirect(
                    manufacturer: try DisplayText(manufacturer, for: "MANUFACTURER"),
                    try RedirectURL(toRegister: url, for: "URL")))
        }
    }
}

struct RemoveRedirect: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Remove a redirect URL of a manufacturer.",
        discussion: "Without its last URL it can send its users nowhere; it does not become unrestricted.")

    @Argument(help: "The manufacturer's name.") var manufacturer: String
    @Argument(help: "The URL as admin list shows it.") var url: String
    @OptionGroup var migration: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            // Any text that could be stored: one that is no redirect URL any more has to go, too.
            guard (1...2048).contains(url.utf8.count), url.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
                throw ArgumentError("URL", expects: "1 to 2048 bytes without control characters")
            }
            try await migration.write(
                try .removeRedirect(manufacturer: try DisplayText(manufacturer, for: "MANUFACTURER"), url))
        }
    }
}

struct SetRedirectPolicy: AsyncParsableCommand {
    enum Policy: String, ExpressibleByArgument, CaseIterable { case registered, unrestricted }

    static let configuration = CommandConfiguration(
        commandName: "redirect-policy", abstract: "Set whether a manufacturer may redirect to registered URLs only.")

    @Argument(help: "The manufacturer's name.") var manufacturer: String
    @Argument(help: "registered, or unrestricted: ANY well-formed URL.") var policy: Policy
    @OptionGroup var migration: ChangeOptions

    func run() async throws {
        try await reportingFailures {
            try await migration.write(
                try .setRedirectPolicy(
                    manufacturer: try DisplayText(manufacturer, for: "MANUFACTURER"),
                    unrestricted: policy == .unrestricted))
        }
    }
}
