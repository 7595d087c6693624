package import LinkSessions

/// Webhooks: added, disabled, resumed, and sent once more what was sent. No secret is in the SQL, only what it is derived
/// from together with WEBHOOK_SECRETS.
extension AdminChange {
    private static let mostOfManufacturer = 16

    /// - Parameters:
    ///   - kinds: `nil`: all.
    ///   - salt: 16 random bytes.
    package static func addWebhook(
        manufacturer: DisplayText, url: ProviderURL, kinds: [FeedEvent.Kind]?, salt: [UInt8]
    ) throws(AdminError) -> AdminChange {
        AdminChange(
            name: "add_webhook",
            summary: "A manufacturer's events are sent to a URL, from now on.",
            sql: """
                SELECT ensure(count(*) < \(mostOfManufacturer), 'this manufacturer has \(mostOfManufacturer) webhooks already')
                FROM webhook_endpoints e JOIN manufacturers m ON m.id = e.manufacturer_id
                WHERE m.name = \(try quoted(manufacturer)) AND e.disabled_at IS NULL;

                WITH added AS (
                    INSERT INTO webhook_endpoints (manufacturer_id, url, types, secret_salt)
                    SELECT id, \(try quoted(url.text)),
                           \(try kinds.map { kinds throws(AdminError) in try quoted(kinds.map(\.type)) } ?? "NULL"),
                           \(literal(salt))
                    FROM manufacturers WHERE name = \(try quoted(manufacturer))
                    RETURNING id
                )
                SELECT ensure(count(*) = 1, 'there is no manufacturer of this name') FROM added;
                """)
    }

    package static func disableWebhook(_ id: WebhookEndpoint.ID) -> AdminChange {
        AdminChange(
            name: "disable_webhook", summary: "Nothing is sent to a webhook any more.",
            sql: update(
                id, "disabled_at = now()", where: "e.disabled_at IS NULL",
                otherwise: "there is no such webhook that is not disabled already"))
    }

    package static func resumeWebhook(_ id: WebhookEndpoint.ID) -> AdminChange {
        AdminChange(
            name: "resume_webhook", summary: "Sending to a webhook goes on where it stopped.",
            sql: update(
                id, "disabled_at = NULL, resumed_at = clock_timestamp()",
                where: """
                    (e.disabled_at IS NOT NULL
                       OR EXISTS (SELECT FROM webhook_states s WHERE s.endpoint_id = e.id AND s.state <> 'active')
                       OR EXISTS (SELECT FROM webhook_retries r WHERE r.endpoint_id = e.id AND r.next_attempt_at IS NULL))
                    """,
                otherwise: "there is no such webhook that is disabled, paused or stopped, or gave up on an event"))
    }

    /// - Parameter overlap: for how many seconds the old secret still signs, too.
    package static func rotateWebhookSecret(
        _ id: WebhookEndpoint.ID, salt: [UInt8], overlap: Int
    ) -> AdminChange {
        AdminChange(
            name: "rotate_webhook_secret",
            summary: "A new secret of a webhook in place of the old one, which signs too until the overlap is over.",
            sql: update(
                id,
                """
                secret_salt = \(literal(salt)), previous_secret_salt = secret_salt,
                        previous_secret_until = \(expiry(after: overlap))
                """, where: "true", otherwise: "there is no such webhook"))
    }

    /// - Parameters:
    ///   - since: of the events' times.
    ///   - until: `nil`: until the migration is applied.
    package static func resend(to id: WebhookEndpoint.ID, since: UnixSeconds, until: UnixSeconds?) -> AdminChange {
        AdminChange(
            name: "resend", summary: "A stretch of the events is sent to a webhook once more.",
            sql: """
                WITH asked AS (
                    INSERT INTO webhook_resends (endpoint_id, position, last)
                    SELECT e.id, \(since)::bigint * 1000000, stretch.last
                    FROM webhook_endpoints e, feed_position_until(\(until.map { "to_timestamp(\($0))" } ?? "now()")) AS stretch (last)
                    WHERE e.id = \(id.number) AND \(since)::bigint * 1000000 < stretch.last
                    RETURNING id
                )
                SELECT ensure(count(*) = 1, 'there is no such webhook, or no event can lie in this stretch') FROM asked;
                """)
    }

    private static func literal(_ bytes: [UInt8]) -> String { "'\\x\(Hexadecimal.encode(bytes))'::bytea" }

    private static func update(
        _ id: WebhookEndpoint.ID, _ assignment: String, where condition: String, otherwise sentence: String
    ) -> String {
        """
        WITH changed AS (
            UPDATE webhook_endpoints e SET \(assignment)
            WHERE e.id = \(id.number) AND \(condition)
            RETURNING id
        )
        SELECT ensure(count(*) = 1, '\(sentence)') FROM changed;
        """
    }
}
