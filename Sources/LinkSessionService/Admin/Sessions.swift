// admin sessions

internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

struct Sessions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List a user's link sessions with what happened to them, the oldest first.",
        discussion: "Others on this machine can list a process's arguments, the user id among them.")

    @Option(help: "The manufacturer's name.") var manufacturer: String
    @Option(help: "The manufacturer's own id of its user.") var userID: String
    @OptionGroup var report: ReportOptions

    func run() async throws {
        try await reportingFailures {
            let sessions = try await report.repository().sessions(
                of: try ManufacturerUserID(userID, for: "--user-id"),
                at: try DisplayText(manufacturer, for: "--manufacturer"))
            if report.json {
                try printJSON(.object(["link_sessions": .array(sessions.map(\.json))]))
            } else if sessions.isEmpty {
                printToStandardOutput("no link sessions")
            } else {
                printToStandardOutput(sessions.map(\.text).joined(separator: "\n\n"))
            }
        }
    }
}

extension SessionReport {
    var text: String {
        var entries = [(session.createdAt, 0, ["created", "", ""])]
        if !events.contains(where: { $0.event == "completed" }) {
            let name = session.status == .open ? "expires" : session.status.rawValue
            entries.append((session.completedAt ?? session.expiresAt, events.count + 1, [name, "", ""]))
        }
        // Within a second, what ended the session comes before its end, and a refusal after it.
        entries += events.enumerated().map { index, event in
            (event.occurredAt, event.event == "completion_refused" ? events.count + 2 + index : 1 + index, event.entry)
        }
        entries.sort { ($0.0, $0.1) < ($1.0, $1.1) }
        return """
            \(timestamp(unixSeconds: Int(session.createdAt)))  \(session.status.rawValue)
              token digest  \(tokenDigest.hex.prefix(12))
              redirect URL  \(session.redirectURL.text)
              language      \(session.language.rawValue)
              supplier      \(session.link?.identity?.supplier.text ?? "none")
            \(table(entries.map { [timestamp(unixSeconds: Int($0.0))] + $0.2 }, indent: "  "))
            """
    }

    var json: JSONValue {
        .object([
            "token_digest_prefix": .string(String(tokenDigest.hex.prefix(12))),
            "status": .string(session.status.rawValue), "redirect_url": .string(session.redirectURL.text),
            "language": .string(session.language.rawValue), "created_at": .number(session.createdAt),
            "expires_at": .number(session.expiresAt),
            "completed_at": session.completedAt.map(JSONValue.number) ?? .null,
            "confirmed_at": session.confirmedAt.map(JSONValue.number) ?? .null,
            "supplier": (session.link?.identity?.supplier.text).map(JSONValue.string) ?? .null,
            "events": .array(events.map(\.json)),
        ])
    }
}

extension SessionEvent {
    var entry: [String] {
        [event.replacing("_", with: " "), reason ?? "", "request \(requestID)"]
    }

    var json: JSONValue {
        .object([
            "event": .string(event), "reason": reason.map(JSONValue.string) ?? .null, "request_id": .string(requestID),
            "occurred_at": .number(occurredAt),
        ])
    }
}
