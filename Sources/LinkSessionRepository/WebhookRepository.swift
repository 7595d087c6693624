internal import LinkSessions
package import PostgresClient

/// Who sends to which endpoint, and what came of it. Every statement of the service on the tables of webhooks.
package struct WebhookRepository: Sendable {
    package static let leaseTime = Duration.seconds(5)
    /// How many events of an endpoint wait to be sent again, at most.
    package static let mostRetries = 1000
    /// How many attempts of an endpoint are kept.
    private static let mostDeliveries = 10_000
    /// How many endpoints a replica takes on in one step: so replicas that start together share them.
    private static let mostNew = 8

    private let database: DatabaseClient
    /// 16 random bytes.
    private let replica: [UInt8]

    /// - Parameter replica: who sends, 16 bytes that no other replica has.
    package init(database: DatabaseClient, replica: [UInt8]) {
        self.database = database
        self.replica = replica
    }

    /// Renews this replica's leases, and takes on endpoints that nobody has. Of the replica that has the most it wants half
    /// of what that has more.
    ///
    /// - Parameter most: how many more it can have.
    /// - Returns: all that it has now.
    package func lease(most: Int, until deadline: Deadline) async throws(RepositoryError) -> [WebhookLease] {
        try await database.answer(
            Self.lease, [.blob(replica), .number(Int64(min(most, Self.mostNew)))], until: deadline)
    }

    /// Those that are to be sent again some time, the next first.
    package func retries(of id: WebhookEndpoint.ID, until deadline: Deadline) async throws(RepositoryError)
        -> [WebhookRetry]
    {
        try await database.answer(Self.retries, [.number(id.number)], until: deadline)
    }

    /// Saves progress.
    ///
    /// - Returns: false where this replica has the endpoint no more: then nothing was saved.
    package func save(
        _ progress: WebhookProgress, of id: WebhookEndpoint.ID, until deadline: Deadline
    ) async throws(RepositoryError) -> Bool {
        let (retries, attempts) = (progress.retries, progress.attempts)
        return try await database.answer(
            Self.save,
            [
                .number(id.number), .blob(replica), .number(progress.position.number),
                .text(progress.end.map { $0.end == .paused ? "paused" : "stopped" }), .text(progress.end?.reason),
                .number(progress.hasSucceeded ? 1 : 0), .text(progress.lastError),
                .number(Int64(progress.consecutiveFailures)),
                .number(progress.failingFor?.inMilliseconds ?? -1),
                .number(progress.resend?.id ?? 0), .number(progress.resend?.position.number ?? 0),
                .number(progress.resend?.isDone == true ? 1 : 0),
                .numbers(retries.map(\.position.number)), .uuids(retries.map(\.session.bytes)),
                .numbers(retries.map { Int64($0.attempts) }), .numbers(retries.map(\.failingFor.inMilliseconds)),
                .numbers(retries.map { $0.dueIn?.inMilliseconds ?? -1 }), .numbers(progress.done.map(\.number)),
                .numbers(attempts.map(\.endedAt)), .numbers(attempts.map(\.position.number)),
                .uuids(attempts.map(\.session.bytes)), .numbers(attempts.map { Int64($0.number) }),
                .numbers(attempts.map { Int64($0.status ?? 0) }), .numbers(attempts.map(\.duration.inMilliseconds)),
                .texts(attempts.map(\.answer)), .numbers(attempts.map { Int64($0.session.shard) }),
            ], until: deadline)
    }

    /// Others can have the endpoint at once; the one that wants it has it.
    package func release(_ id: WebhookEndpoint.ID, until deadline: Deadline) async throws(RepositoryError) {
        try await database.answer(Self.release, [.number(id.number), .blob(replica)], until: deadline)
    }

    /// Forgets all but the latest attempts.
    package func prune(_ id: WebhookEndpoint.ID, until deadline: Deadline) async throws(RepositoryError) {
        try await database.answer(
            Self.prune, [.number(id.number), .number(Int64(Self.mostDeliveries))], until: deadline)
    }

    /// An endpoint `e` in a state `s`, of a manufacturer `m`: an SQL expression.
    static let isSentTo = """
        e.disabled_at IS NULL AND m.enabled AND (s.state = 'active' OR e.resumed_at IS DISTINCT FROM s.resumed_at)
        """

    private static let leaseInterval = "interval '\(leaseTime.components.seconds) seconds'"

    private static let lease = Query<[WebhookLease]>(
        "lease_webhooks",
        """
        WITH new AS (
            SELECT s.endpoint_id FROM webhook_states s JOIN webhook_endpoints e ON e.id = s.endpoint_id
            JOIN manufacturers m ON m.id = e.manufacturer_id
            WHERE \(isSentTo) AND s.leased_by IS DISTINCT FROM $1::uuid
              -- One that would last for longer than any was given before the clock stepped back.
              AND (s.leased_until BETWEEN clock_timestamp() AND clock_timestamp() + 2 * \(leaseInterval)) IS NOT TRUE
            ORDER BY s.leased_until NULLS FIRST, s.endpoint_id LIMIT $2::bigint FOR UPDATE OF s SKIP LOCKED
        ), due AS (
            SELECT s.endpoint_id, e.resumed_at IS DISTINCT FROM s.resumed_at AS is_resumed
            FROM webhook_states s JOIN webhook_endpoints e ON e.id = s.endpoint_id
            JOIN manufacturers m ON m.id = e.manufacturer_id
            WHERE \(isSentTo) AND (s.leased_by = $1::uuid OR s.endpoint_id IN (SELECT endpoint_id FROM new))
        ), resumed AS (
            UPDATE webhook_retries r SET first_failed_at = clock_timestamp(), next_attempt_at = clock_timestamp()
            FROM due WHERE r.endpoint_id = due.endpoint_id AND due.is_resumed
        ), leased AS (
            UPDATE webhook_states s SET
                leased_by = $1::uuid, leased_until = clock_timestamp() + \(leaseInterval), state = 'active',
                wanted_by = CASE WHEN s.leased_by = $1::uuid THEN s.wanted_by END,
                reason = CASE WHEN NOT due.is_resumed THEN s.reason END,
                since = CASE WHEN s.state = 'active' THEN s.since ELSE clock_timestamp() END,
                consecutive_failures = CASE WHEN due.is_resumed THEN 0 ELSE s.consecutive_failures END,
                failing_since = CASE WHEN NOT due.is_resumed THEN s.failing_since END, resumed_at = e.resumed_at
            FROM due JOIN webhook_endpoints e ON e.id = due.endpoint_id
            WHERE s.endpoint_id = due.endpoint_id
              AND (s.leased_by = $1::uuid OR s.endpoint_id IN (SELECT endpoint_id FROM new))
            RETURNING s.*, e.manufacturer_id, e.url, e.types, e.secret_salt, e.previous_secret_salt,
                      e.previous_secret_until
        ), others AS (
            SELECT leased_by, count(*) FILTER (WHERE wanted_by IS NULL) AS keeps FROM webhook_states
            WHERE leased_by <> $1::uuid AND leased_until > clock_timestamp() GROUP BY leased_by
            ORDER BY keeps DESC LIMIT 1
        ), wanted AS (
            UPDATE webhook_states SET wanted_by = $1::uuid WHERE endpoint_id IN (
                SELECT s.endpoint_id FROM webhook_states s JOIN others USING (leased_by)
                WHERE s.wanted_by IS NULL
                  AND s.leased_until BETWEEN clock_timestamp() + interval '1 second' AND clock_timestamp() + \(leaseInterval)
                -- What this one is about to have counts as its own.
                LIMIT (SELECT greatest(0, least($2::bigint, (keeps - (
                    SELECT count(*) FROM webhook_states WHERE wanted_by = $1::uuid) - (SELECT count(*) FROM due)) / 2))
                    FROM others)
                FOR UPDATE OF s SKIP LOCKED)
        )
        SELECT l.endpoint_id, l.manufacturer_id, l.url, coalesce(l.types, '{}'), l.secret_salt,
               CASE WHEN l.previous_secret_until > clock_timestamp() THEN l.previous_secret_salt END, l.position,
               l.consecutive_failures::bigint,
               (extract(epoch FROM clock_timestamp() - l.failing_since) * 1000)::bigint, r.id, r.position, r.last,
               (extract(epoch FROM l.resumed_at) * 1000000)::bigint, l.wanted_by IS NOT NULL
        FROM leased l LEFT JOIN LATERAL (
            SELECT * FROM webhook_resends r WHERE r.endpoint_id = l.endpoint_id AND r.done_at IS NULL
            ORDER BY r.id LIMIT 1
        ) AS r ON true
        """,
        readEach: { (row) throws(DatabaseError) in
            let (id, manufacturer, url) = (try row.int64(), try row.int64(), try row.text())
            let types = try row.texts()
            let salts = [try row.blob(), try row.optionalBlob()].compactMap(\.self)
            let position = FeedPosition(stored: try row.int64())
            let (failures, failingFor) = (Int(try row.int64()), try row.optionalInt64())
            let (resend, first, last) = (try row.optionalInt64(), try row.optionalInt64(), try row.optionalInt64())
            return WebhookLease(
                endpoint: WebhookEndpoint(
                    id: .init(id), manufacturer: Manufacturer.ID(manufacturer), url: url,
                    kinds: types.isEmpty ? nil : Set(types.compactMap(FeedEvent.Kind.init(type:))), salts: salts),
                position: position, consecutiveFailures: failures,
                failingFor: failingFor.map { .milliseconds($0) },
                resend: resend.map {
                    WebhookResend(
                        id: $0, position: FeedPosition(stored: first ?? 0), last: FeedPosition(stored: last ?? 0))
                }, resumptions: try row.optionalInt64(), isWanted: try row.bool())
        })

    private static let retries = Query<[WebhookRetry]>(
        "webhook_retries",
        """
        SELECT position, session_id, attempts::bigint,
               (extract(epoch FROM clock_timestamp() - first_failed_at) * 1000)::bigint,
               (extract(epoch FROM next_attempt_at - clock_timestamp()) * 1000)::bigint
        FROM webhook_retries WHERE endpoint_id = $1::bigint AND next_attempt_at IS NOT NULL
        ORDER BY next_attempt_at, position LIMIT \(2 * mostRetries)
        """,
        readEach: { (row) throws(DatabaseError) in
            WebhookRetry(
                position: FeedPosition(stored: try row.int64()), session: try row.linkSessionID(),
                attempts: Int(try row.int64()), failingFor: .milliseconds(try row.int64()),
                dueIn: .milliseconds(max(0, try row.int64())))
        })

    private static func time(in milliseconds: String) -> String {
        "clock_timestamp() + \(milliseconds) * interval '1 millisecond'"
    }

    private static let save = Query<Bool>(
        "save_webhook_progress",
        """
        WITH mine AS (
            UPDATE webhook_states SET
                position = greatest(position, $3::bigint),
                state = coalesce($4::text, state), reason = coalesce($5::text, reason),
                since = CASE WHEN $4::text IS NULL THEN since ELSE clock_timestamp() END,
                last_success_at = CASE WHEN $6::bigint = 1 THEN clock_timestamp() ELSE last_success_at END,
                last_error = coalesce($7::text, last_error),
                last_error_at = CASE WHEN $7::text IS NULL THEN last_error_at ELSE clock_timestamp() END,
                consecutive_failures = $8::bigint,
                failing_since = CASE WHEN $9::bigint >= 0 THEN \(time(in: "-$9::bigint")) END
            WHERE endpoint_id = $1::bigint AND leased_by = $2::uuid RETURNING endpoint_id
        ), resent AS (
            UPDATE webhook_resends r SET
                position = greatest(r.position, $11::bigint),
                done_at = CASE WHEN $12::bigint = 1 THEN clock_timestamp() END
            FROM mine WHERE r.id = $10::bigint AND r.endpoint_id = mine.endpoint_id AND r.done_at IS NULL
                AND ($12::bigint = 1 OR r.position < $11::bigint)
        ), retried AS (
            INSERT INTO webhook_retries AS r (endpoint_id, position, session_id, attempts, first_failed_at, next_attempt_at)
            SELECT endpoint_id, new.position, session_id, attempts, \(time(in: "-failing")),
                   CASE WHEN due >= 0 THEN \(time(in: "due")) END
            FROM mine, unnest($13::bigint[], $14::uuid[], $15::bigint[], $16::bigint[], $17::bigint[])
                AS new (position, session_id, attempts, failing, due)
            ON CONFLICT (endpoint_id, position) DO UPDATE SET
                attempts = excluded.attempts, first_failed_at = excluded.first_failed_at,
                next_attempt_at = excluded.next_attempt_at
        ), done AS (
            DELETE FROM webhook_retries r USING mine
            WHERE r.endpoint_id = mine.endpoint_id AND r.position = ANY ($18::bigint[])
        ), logged AS (
            INSERT INTO webhook_deliveries
                (endpoint_id, attempted_at, position, session_id, attempt, status, milliseconds, answer)
            SELECT endpoint_id, timestamptz 'epoch' + at * interval '1 microsecond', new.position, session_id, attempt,
                   nullif(status, 0), milliseconds, answer
            FROM mine, unnest(
                $19::bigint[], $20::bigint[], $21::uuid[], $22::bigint[], $23::bigint[], $24::bigint[], $25::text[],
                $26::bigint[])
                AS new (at, position, session_id, attempt, status, milliseconds, answer, shard)
            -- Only now that this has the lock, for which an erasure waits, or has waited.
            WHERE CASE WHEN mine.endpoint_id IS NOT NULL THEN session_is_there(session_id, shard::smallint) END
            ON CONFLICT DO NOTHING
        )
        -- Nobody waits for the disk: what is lost with the server is sent again, as is what was sent and is not committed,
        -- which is the less the sooner it is.
        SELECT count(*) = 1 AND set_config('synchronous_commit', 'off', true) = 'off' FROM mine
        """,
        readOne: { (row) throws(DatabaseError) in try row.bool() })

    private static let release = Query<Void>(
        "release_webhook",
        """
        UPDATE webhook_states SET
            leased_by = wanted_by, wanted_by = NULL,
            leased_until = CASE WHEN wanted_by IS NOT NULL THEN clock_timestamp() + \(leaseInterval) END
        WHERE endpoint_id = $1::bigint AND leased_by = $2::uuid
        """)

    private static let prune = Query<Void>(
        "prune_webhook_deliveries",
        """
        DELETE FROM webhook_deliveries WHERE endpoint_id = $1::bigint AND attempted_at < (
            SELECT attempted_at FROM webhook_deliveries WHERE endpoint_id = $1::bigint
            ORDER BY attempted_at DESC OFFSET $2::bigint LIMIT 1)
        """)
}

extension Duration {
    var inMilliseconds: Int64 { Int64(self / .milliseconds(1)) }
}
