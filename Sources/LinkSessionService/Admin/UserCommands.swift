internal import ArgumentParser
internal import Foundation
internal import LinkSessionRepository
internal import LinkSessions

struct Sessions: ReportCommand {
    static let configuration = CommandConfiguration(
        abstract: "List a user's link sessions with what happened to them, the oldest first.",
        discussion: "Others on this machine can list a process's arguments, the user id among them.")

    @Option(help: "The manufacturer's name.") var manufacturer: String
    @Option(help: "The manufacturer's own id of its user.") var userID: String
    @OptionGroup var options: ReportOptions

    func report(from repository: AdminRepository) async throws -> Report {
        let sessions = try await repository.sessions(
            of: try ManufacturerUserID(userID, for: "--user-id"),
            at: try DisplayText(manufacturer, for: "--manufacturer"))
        return Report("link_sessions", sessions.map(\.report))
    }
}

struct EraseUser: ReportCommand {
    static let configuration = CommandConfiguration(
        abstract: "Delete every trace of a manufacturer's user, and print a receipt (GDPR, article 17).",
        discussion: """
            The user id comes from standard input, where nobody else can read it; a line's end after it does not count. \
            There is no migration: a file would keep what is to be forgotten. Backups keep it until they are gone.
            """)

    @Option(help: "The manufacturer's name.") var manufacturer: String
    @OptionGroup var options: ReportOptions

    func report(from repository: AdminRepository) async throws -> Report {
        let manufacturer = try DisplayText(manufacturer, for: "--manufacturer")
        if isatty(STDIN_FILENO) == 1 { printToStandardError("the user id, then Enter and Ctrl-D:") }
        // 256 scalars of at most 4 bytes, and a line's end.
        let most = 1026
        guard let input = try? FileHandle.standardInput.read(upToCount: most + 1) ?? Data(), input.count <= most,
            var userID = String(validating: input, as: UTF8.self)
        else { throw CommandError.argument("standard input", expects: "one user id as UTF-8 text") }
        if userID.unicodeScalars.last == "\n" { userID.unicodeScalars.removeLast() }
        if userID.unicodeScalars.last == "\r" { userID.unicodeScalars.removeLast() }
        let receipt = try await repository.erase(
            try ManufacturerUserID(userID, for: "standard input"), at: manufacturer)
        return Report(
            text: """
                erased at            \(timestamp(unixSeconds: receipt.erasedAt))
                manufacturer         \(manufacturer.text)
                link sessions        \(receipt.sessions)
                link session events  \(receipt.events)
                """,
            json: [
                "manufacturer": manufacturer.text, "link_sessions": receipt.sessions,
                "link_session_events": receipt.events, "erased_at": receipt.erasedAt,
            ])
    }
}

extension SessionReport {
    fileprivate var report: Report {
        let supplier = session.link?.identity?.supplier.text
        return Report(
            text: """
                \(timestamp(unixSeconds: session.createdAt))  \(session.status.rawValue)
                  id            \(session.id.text)
                  redirect URL  \(session.redirectURL.text)
                  language      \(session.language.rawValue)
                  supplier      \(supplier ?? "none")
                \(table(history))
                """,
            json: [
                "id": session.id.text, "status": session.status.rawValue,
                "redirect_url": session.redirectURL.text, "language": session.language.rawValue,
                "created_at": session.createdAt, "expires_at": session.expiresAt, "completed_at": session.completedAt,
                "confirmed_at": session.confirmedAt, "supplier": supplier, "events": events.map(\.json),
            ])
    }

    /// The events, and the session's beginning and end, by time.
    private var history: [[String]] {
        var entries = [(session.createdAt, 0, ["created", "", ""])]
        if !events.contains(where: { $0.event == "completed" }) {
            let name = session.status == .open ? "expires" : session.status.rawValue
            entries.append((session.completedAt ?? session.expiresAt, events.count + 1, [name, "", ""]))
        }
        // Within a second, what ended the session comes before its end, and a refusal after it.
        entries += events.enumerated().map { index, event in
            (event.occurredAt, event.event == "completion_refused" ? events.count + 2 + index : 1 + index, event.entry)
        }
        return entries.sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map { [timestamp(unixSeconds: $0.0)] + $0.2 }
    }
}

extension SessionEvent {
    fileprivate var entry: [String] { [event.replacing("_", with: " "), reason ?? "", "request \(requestID)"] }

    fileprivate var json: JSONMembers {
        ["event": event, "reason": reason, "request_id": requestID, "occurred_at": occurredAt]
    }
}
