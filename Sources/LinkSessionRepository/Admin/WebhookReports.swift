package import LinkSessions
internal import PostgresClient

/// What an operator sees of a webhook.
package struct WebhookReport: Sendable {
    /// More events than that are not counted.
    package static let mostBehind = 1000

    package let id: Int64
    package let manufacturer: String
    package let url: String
    /// Empty: all.
    package let types: [String]
    /// `active`, `failing`, `paused`, `stopped` or `disabled`.
    package let state: String
    package let reason: String?
    package let since: UnixSeconds
    package let lastSuccessAt: UnixSeconds?
    package let lastError: String?
    package let lastErrorAt: UnixSeconds?
    /// Events that wait to be sent again.
    package let retries: Int64
    /// Events that are sent again no more until an operator resumes it.
    package let givenUp: Int64
    /// Whether a stretch of the feed is being sent once more.
    package let isResending: Bool
    package let createdAt: UnixSeconds
    /// Events that were not sent yet, at most ``mostBehind``, and how long the oldest of them has waited.
    package fileprivate(set) var behind: Int64 = 0
    package fileprivate(set) var behindBySeconds: Int64 = 0

    fileprivate let owner: Int64
    fileprivate let position: Int64
}

/// An attempt to send an event, as an operator sees it.
package struct DeliveryReport: Sendable {
    package let attemptedAt: UnixSeconds
    package let event: FeedPosition
    package let attempt: Int64
    /// `nil` where there was no answer.
    package let status: Int64?
    package let milliseconds: Int64
    package let answer: String
}

extension AdminRepository {
    /// All of them, or those of one manufacturer.
    package func webhooks(of manufacturer: DisplayText?) async throws(AdminError) -> [WebhookReport] {
        if let manufacturer { _ = try await self.manufacturer(named: manufacturer) }
        return try await onThread { connection throws(ConnectionError) in
            let deadline = ContinuousClock.now + Self.longest
            var reports = try connection.run(
                WebhookReport.all, [.text(manufacturer?.text)], until: deadline)
            for index in reports.indices {
                let (owner, position) = (reports[index].owner, reports[index].position)
                let since = try connection.run(WebhookReport.sessionsSince, [.number(position)], until: deadline)
                (reports[index].behind, reports[index].behindBySeconds) = try connection.run(
                    WebhookReport.backlog, [.number(owner), .number(position), .blob(since)], until: deadline)
            }
            return reports
        }
    }

    /// What the secret of a webhook is derived from; an unknown webhook is a failure.
    package func webhookSalt(of id: WebhookEndpoint.ID) async throws(AdminError) -> [UInt8] {
        guard let salt = try await run(Self.salt, [.number(id.number)]) else { throw Self.unknownWebhook }
        return salt
    }

    /// The latest attempts, the last first; an unknown webhook is a failure.
    package func deliveries(
        to id: WebhookEndpoint.ID, limit: Int
    ) async throws(AdminError) -> [DeliveryReport] {
        _ = try await webhookSalt(of: id)
        return try await run(Self.deliveries, [.number(id.number), .number(Int64(limit))])
    }

    private static let unknownWebhook = AdminError(line: "there is no webhook of this id")

    private static let salt = Query<[UInt8]?>(
        "webhook_salt", "SELECT secret_salt FROM webhook_endpoints WHERE id = $1::bigint",
        readOptional: { (row) throws(DatabaseError) in try row.blob() })

    private static let deliveries = Query<[DeliveryReport]>(
        "report_webhook_deliveries",
        """
        SELECT attempted_at, position, attempt::bigint, status::bigint, milliseconds::bigint, answer
        FROM webhook_deliveries WHERE endpoint_id = $1::bigint
        ORDER BY attempted_at DESC, position DESC LIMIT $2::bigint
        """,
        readEach: { (row) throws(DatabaseError) in
            DeliveryReport(
                attemptedAt: try row.unixSeconds(), event: FeedPosition(stored: try row.int64()),
                attempt: try row.int64(), status: try row.optionalInt64(), milliseconds: try row.int64(),
                answer: try row.text())
        })
}

extension WebhookReport {
    fileprivate static let all = Query<[WebhookReport]>(
        "report_webhooks",
        """
        SELECT e.id, m.name, e.url, coalesce(e.types, '{}'),
               CASE WHEN e.disabled_at IS NOT NULL THEN 'disabled' WHEN NOT m.enabled THEN 'manufacturer disabled'
                    WHEN e.resumed_at IS DISTINCT FROM s.resumed_at THEN 'active'
                    WHEN s.state = 'active' AND s.failing_since IS NOT NULL THEN 'failing' ELSE s.state END,
               s.reason, coalesce(e.disabled_at, s.failing_since, s.since), s.last_success_at, s.last_error,
               s.last_error_at,
               (SELECT count(*) FROM webhook_retries r WHERE r.endpoint_id = e.id AND r.next_attempt_at IS NOT NULL),
               (SELECT count(*) FROM webhook_retries r WHERE r.endpoint_id = e.id AND r.next_attempt_at IS NULL),
               EXISTS (SELECT FROM webhook_resends r WHERE r.endpoint_id = e.id AND r.done_at IS NULL), e.created_at,
               e.manufacturer_id, s.position
        FROM webhook_endpoints e JOIN webhook_states s ON s.endpoint_id = e.id
        JOIN manufacturers m ON m.id = e.manufacturer_id
        WHERE $1::text IS NULL OR m.name = $1::text ORDER BY m.name, e.id
        """,
        readEach: { (row) throws(DatabaseError) in
            WebhookReport(
                id: try row.int64(), manufacturer: try row.text(), url: try row.text(), types: try row.texts(),
                state: try row.text(), reason: try row.optionalText(), since: try row.unixSeconds(),
                lastSuccessAt: try row.optionalUnixSeconds(), lastError: try row.optionalText(),
                lastErrorAt: try row.optionalUnixSeconds(), retries: try row.int64(), givenUp: try row.int64(),
                isResending: try row.bool(), createdAt: try row.unixSeconds(), owner: try row.int64(),
                position: try row.int64())
        })

    fileprivate static let sessionsSince = Query<[UInt8]>(
        "sessions_since", "SELECT uuid_send(sessions_since($1::bigint))",
        readOne: { (row) throws(DatabaseError) in try row.blob() })

    fileprivate static let backlog = Query<(Int64, Int64)>(
        "report_webhook_backlog",
        """
        SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(occurred_at))::bigint, 0) FROM (
            SELECT occurred_at FROM link_session_events
            WHERE manufacturer_id = $1::bigint AND position > 0 AND position > $2::bigint AND session_id >= $3::uuid
            ORDER BY position LIMIT \(mostBehind)
        ) AS behind
        """,
        readOne: { (row) throws(DatabaseError) in (try row.int64(), try row.int64()) })
}
