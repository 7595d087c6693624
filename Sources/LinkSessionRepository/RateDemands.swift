package import LinkSessions
package import PostgresClient

/// How many creates and other requests of a manufacturer come in a second.
package struct RateDemand: Sendable {
    package let manufacturer: Manufacturer.ID
    package let creates: Double
    package let requests: Double

    package init(manufacturer: Manufacturer.ID, creates: Double, requests: Double) {
        self.manufacturer = manufacturer
        self.creates = creates
        self.requests = requests
    }
}

/// What replicas tell each other of their callers, so that a rate limit holds over all of them.
package struct RateDemandRepository: Sendable {
    private let database: DatabaseClient
    /// 16 random bytes.
    private let replica: [UInt8]

    /// - Parameter replica: who reports, 16 bytes that no other replica has.
    package init(database: DatabaseClient, replica: [UInt8]) {
        self.database = database
        self.replica = replica
    }

    /// Reports this replica's demands.
    ///
    /// - Returns: what the others reported in the last three seconds, together.
    package func exchange(
        _ demands: [RateDemand], until deadline: Deadline
    ) async throws(RepositoryError) -> [RateDemand] {
        try await database.answer(
            Self.exchange,
            [
                .blob(replica), .numbers(demands.map(\.manufacturer.number)),
                .numbers(demands.map { Int64($0.creates * 1000) }), .numbers(demands.map { Int64($0.requests * 1000) }),
            ], until: deadline)
    }

    private static let exchange = Query<[RateDemand]>(
        "exchange_rate_demands",
        """
        WITH reported AS (
            INSERT INTO rate_demands (replica, manufacturer_id, creates, requests)
            SELECT $1::uuid, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[])
            ON CONFLICT (replica, manufacturer_id) DO UPDATE
                SET creates = excluded.creates, requests = excluded.requests, reported_at = clock_timestamp()
        ), forgotten AS (
            DELETE FROM rate_demands WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM rate_demands WHERE reported_at < statement_timestamp() - interval '1 minute'
                LIMIT 1000 FOR UPDATE SKIP LOCKED))
        )
        SELECT manufacturer_id, sum(creates)::bigint, sum(requests)::bigint FROM rate_demands
        WHERE replica <> $1::uuid AND reported_at > statement_timestamp() - interval '3 seconds'
        GROUP BY manufacturer_id
        """,
        readEach: { (row) throws(DatabaseError) in
            RateDemand(
                manufacturer: Manufacturer.ID(try row.int64()), creates: Double(try row.int64()) / 1000,
                requests: Double(try row.int64()) / 1000)
        })
}
