// admin erase-user

internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

struct EraseUser: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Delete every trace of a manufacturer's user, and print a receipt (GDPR, article 17).",
        discussion: """
            The user id comes from standard input, where nobody else can read it; a line's end after it does not count. \
            There is no migration: a file would keep what is to be forgotten. Backups keep it until they are gone.
            """)

    @Option(help: "The manufacturer's name.") var manufacturer: String
    @OptionGroup var report: ReportOptions

    func run() async throws {
        try await reportingFailures {
            let manufacturer = try DisplayText(manufacturer, for: "--manufacturer")
            if standardInputIsTerminal { printToStandardError("the user id, then Enter and Ctrl-D:") }
            // 256 scalars of at most 4 bytes, and a line's end.
            guard let bytes = readStandardInput(atMost: 1026), var userID = String(validating: bytes, as: UTF8.self)
            else { throw ArgumentError("standard input", expects: "one user id as UTF-8 text") }
            if userID.unicodeScalars.last == "\n" { userID.unicodeScalars.removeLast() }
            if userID.unicodeScalars.last == "\r" { userID.unicodeScalars.removeLast() }
            let receipt = try await report.repository().erase(
                try ManufacturerUserID(userID, for: "standard input"), at: manufacturer)
            if report.json {
                try printJSON(
                    .object([
                        "manufacturer": .string(manufacturer.text), "link_sessions": .number(receipt.sessions),
                        "link_session_events": .number(receipt.events), "erased_at": .number(receipt.erasedAt),
                    ]))
            } else {
                printToStandardOutput(
                    """
                    erased at            \(timestamp(unixSeconds: Int(receipt.erasedAt)))
                    manufacturer         \(manufacturer.text)
                    link sessions        \(receipt.sessions)
                    link session events  \(receipt.events)
                    """)
            }
        }
    }
}
