package import PostgresClient

/// What only the database can tell of how the service does: for metrics.
package struct OperationalState: Sendable, Equatable {
    /// Events that have no position in the feed yet, 10,000 at most.
    package let waitingEvents: Int64
    /// When the oldest of them happened, in seconds before now; 0 where none waits.
    package let oldestWaitingSeconds: Double
    /// When the feed got its last position, as Unix time.
    package let lastPosition: Double
    /// For how many days to come there are partitions, from tomorrow on.
    package let partitionsAhead: Int64
    /// What is in the partitions that take what has none, as the statistics have it.
    package let defaultPartitionRows: Int64
    /// How many replicas are connected.
    package let replicas: Int64
}

/// How webhooks are, as the database has it: all endpoints that are neither disabled nor of a disabled manufacturer.
package struct WebhookOperationalState: Sendable {
    /// By state: `active`, `failing`, `paused` and `stopped`.
    package let endpoints: [(state: String, count: Int64)]
    /// Those that events are to be sent to, and no replica has.
    package let withoutLease: Int64
    /// Events that are sent again no more until an operator resumes their endpoint.
    package let givenUp: Int64
}

package struct OperationalStateRepository: Sendable {
    private let database: DatabaseClient
    private let replicaName: String

    /// - Parameter replicaName: the name of a connection of which every replica has one.
    package init(database: DatabaseClient, replicaName: String) {
        self.database = database
        self.replicaName = replicaName
    }

    package func current(until deadline: Deadline) async throws(RepositoryError) -> OperationalState {
        try await database.answer(Self.current, [.text(replicaName)], until: deadline)
    }

    package func webhooks(until deadline: Deadline) async throws(RepositoryError) -> WebhookOperationalState {
        try await database.answer(Self.webhooks, [], until: deadline)
    }

    private static let current = Query<OperationalState>(
        "operational_state",
        """
        WITH waiting AS (
            SELECT count(*) AS events, min(occurred_at) AS oldest
            FROM (
                SELECT occurred_at FROM link_session_events
                WHERE position = 0 AND session_id >= first_id_at(statement_timestamp() - interval '1 day') LIMIT 10000
            ) AS w
        ), parents AS (
            SELECT unnest(ARRAY['link_sessions', 'link_session_events', 'sign_ins']) AS parent
        ), days AS (
            SELECT day, (
                SELECT bool_and(
                    to_regclass(parent || to_char((now() AT TIME ZONE 'UTC')::date + day, '_YYYYMMDD')) IS NOT NULL)
                FROM parents) AS is_made
            FROM generate_series(1, 30) AS day
        )
        SELECT waiting.events,
               greatest(0, coalesce(extract(epoch FROM clock_timestamp() - waiting.oldest) * 1000, 0))::bigint,
               event_feed.last_position,
               (SELECT coalesce(min(day) FILTER (WHERE NOT is_made) - 1, 30)::bigint FROM days),
               (SELECT sum(pg_stat_get_live_tuples(to_regclass(parent || '_default')))::bigint FROM parents),
               -- The view on this joins a table that Citus would read as the caller, who may not.
               (SELECT count(*) FROM pg_stat_get_activity(NULL)
                WHERE datid = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND application_name = $1::text)
        FROM event_feed, waiting
        """,
        readOne: { (row) throws(DatabaseError) in
            OperationalState(
                waitingEvents: try row.int64(), oldestWaitingSeconds: Double(try row.int64()) / 1000,
                lastPosition: Double(try row.int64()) / 1_000_000, partitionsAhead: try row.int64(),
                defaultPartitionRows: try row.int64(), replicas: try row.int64())
        })

    private static let webhooks = Query<WebhookOperationalState>(
        "operational_state_of_webhooks",
        """
        SELECT count(*) FILTER (WHERE is_sent_to AND failing_since IS NULL),
               count(*) FILTER (WHERE is_sent_to AND failing_since IS NOT NULL),
               count(*) FILTER (WHERE NOT is_sent_to AND state = 'paused'),
               count(*) FILTER (WHERE NOT is_sent_to AND state = 'stopped'),
               count(*) FILTER (
                   WHERE is_sent_to AND (leased_until IS NULL OR leased_until < statement_timestamp())),
               (SELECT count(*) FROM webhook_retries WHERE next_attempt_at IS NULL)
        FROM (
            SELECT s.*, \(WebhookRepository.isSentTo) AS is_sent_to
            FROM webhook_states s JOIN webhook_endpoints e ON e.id = s.endpoint_id
            JOIN manufacturers m ON m.id = e.manufacturer_id
            WHERE e.disabled_at IS NULL AND m.enabled
        ) AS webhooks
        """,
        readOne: { (row) throws(DatabaseError) in
            var endpoints: [(state: String, count: Int64)] = []
            for state in ["active", "failing", "paused", "stopped"] { endpoints.append((state, try row.int64())) }
            return WebhookOperationalState(
                endpoints: endpoints, withoutLease: try row.int64(), givenUp: try row.int64())
        })
}
