internal import ArgumentParser
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
        let userID = try ManufacturerUserID(userID, for: "--user-id")
        let owner = try await repository.manufacturer(named: try DisplayText(manufacturer, for: "--manufacturer"))
        let sessions = try await repository.sessions(of: .user(userID, of: owner))
        return Report("link_sessions", sessions.map(\.report))
    }
}

extension SessionReport {
    var report: Report {
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
                "confirmed_at": session.confirmedAt, "supplier": supplier,
                "preferred_supplier": session.options.preferredSupplier?.text,
                "offered_suppliers": session.options.offeredSuppliers?.map(\.text), "events": events.map(\.json),
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
    fileprivate var entry: [String] {
        let key = authenticatorKey.map { ", key \($0)" } ?? ""
        let said = detail.map { ", \(DisplayText.escaped($0))" } ?? ""
        return [event.replacing("_", with: " "), reason ?? "", "request \(requestID)\(key)\(said)"]
    }

    fileprivate var json: JSONMembers {
        [
            "event": event, "reason": reason, "detail": detail, "request_id": requestID,
            "authenticator_key": authenticatorKey,
            "occurred_at": occurredAt,
        ]
    }
}
