internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions

struct ListWebhooks: ReportCommand {
    static let configuration = CommandConfiguration(
        abstract: "List webhooks: how each is, and how far behind.")

    @Argument(help: "The manufacturer's name; by default all.") var manufacturer: String?
    @OptionGroup var options: ReportOptions

    func report(from repository: AdminRepository) async throws -> Report {
        let name = try manufacturer.map { try DisplayText($0, for: "MANUFACTURER") }
        return Report("webhooks", try await repository.webhooks(of: name).map(\.report))
    }
}

struct Deliveries: ReportCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the latest attempts to send events to a webhook, the last first.",
        discussion: "The answers are the receiver's own words, up to 200 characters of each.")

    @OptionGroup var webhook: WebhookArgument
    @Option(help: "How many.") var limit = 20
    @OptionGroup var options: ReportOptions

    func report(from repository: AdminRepository) async throws -> Report {
        guard (1...10_000).contains(limit) else { throw CommandError.argument("--limit", expects: "1 to 10000") }
        let deliveries = try await repository.deliveries(to: try webhook.endpoint, limit: limit)
        let rows = deliveries.map { delivery in
            [
                timestamp(unixSeconds: delivery.attemptedAt), delivery.event.eventID, "attempt \(delivery.attempt)",
                delivery.status.map(String.init) ?? "none", "\(delivery.milliseconds) ms",
                DisplayText.escaped(delivery.answer),
            ]
        }
        return Report(
            text: rows.isEmpty ? "no deliveries" : table(rows), json: ["deliveries": deliveries.map(\.json)])
    }
}

extension DeliveryReport {
    fileprivate var json: JSONMembers {
        [
            "attempted_at": attemptedAt, "event": event.eventID, "attempt": attempt, "status": status,
            "milliseconds": milliseconds, "answer": answer,
        ]
    }
}

extension WebhookReport {
    fileprivate var report: Report {
        let count = behind < Self.mostBehind ? "\(behind)" : "\(Self.mostBehind) or more"
        return Report(
            text: """
                \(id)  \(DisplayText.escaped(manufacturer))  \(state == "active" ? state : state.uppercased())
                  url           \(DisplayText.escaped(url))
                  types         \(types.isEmpty ? "all" : types.joined(separator: ", "))
                  since         \(timestamp(unixSeconds: since))\(reason.map { ": \($0)" } ?? "")
                  last success  \(lastSuccessAt.map(timestamp) ?? "none")
                  last error    \(lastErrorAt.map(timestamp) ?? "none")\(lastError.map { ": \(DisplayText.escaped($0))" } ?? "")
                  behind        \(count) events\(behind > 0 ? ", the oldest \(behindBySeconds) s old" : "")
                  to retry      \(retries)\(givenUp > 0 ? ", GIVEN UP \(givenUp)" : "")\(isResending ? ", resending" : "")
                """,
            json: [
                "id": id, "manufacturer": manufacturer, "url": url, "types": types.isEmpty ? nil : types,
                "state": state, "reason": reason, "since": since, "last_success_at": lastSuccessAt,
                "last_error": lastError, "last_error_at": lastErrorAt, "behind": behind,
                "behind_by_seconds": behindBySeconds, "retries": retries, "given_up": givenUp,
                "resending": isResending, "created_at": createdAt,
            ])
    }
}
