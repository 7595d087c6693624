internal import LinkSessions
package import PostgresClient

/// How many sign-ins at a supplier came to what.
package struct SupplierOutcomes: Sendable, Equatable {
    package var succeeded: Int64 = 0
    /// By the supplier's fault.
    package var failed: Int64 = 0
    /// By the user's own wish.
    package var declined: Int64 = 0

    package init(succeeded: Int64 = 0, failed: Int64 = 0, declined: Int64 = 0) {
        self.succeeded = succeeded
        self.failed = failed
        self.declined = declined
    }

    mutating func add(_ other: SupplierOutcomes) {
        succeeded += other.succeeded
        failed += other.failed
        declined += other.declined
    }
}

/// What replicas tell each other of the suppliers, so that all of them know which one is failing. Kept for a day.
package struct SupplierOutcomeRepository: Sendable {
    private let database: DatabaseClient

    package init(database: DatabaseClient) {
        self.database = database
    }

    /// Adds what came of sign-ins here. After a lost reply it may count twice: it is a measure, and no account.
    ///
    /// - Returns: the suppliers whose sign-ins keep failing. Who declined tells nothing of the supplier.
    func exchange(
        _ outcomes: [Supplier.Slug: SupplierOutcomes], until deadline: Deadline
    ) async throws(RepositoryError) -> [Supplier.Slug] {
        let all = Array(outcomes)
        return try await database.answer(
            Self.exchange,
            [
                .texts(all.map(\.key.text)), .numbers(all.map(\.value.succeeded)), .numbers(all.map(\.value.failed)),
                .numbers(all.map(\.value.declined)),
            ], until: deadline
        ).compactMap { Supplier.Slug($0) }
    }

    private static let exchange = Query<[String]>(
        "exchange_supplier_outcomes",
        // In the order of their names, so that two replicas never wait for each other.
        """
        WITH added AS (
            INSERT INTO supplier_outcomes AS o (supplier, minute, succeeded, failed, declined)
            SELECT supplier, date_trunc('minute', statement_timestamp()), succeeded, failed, declined
            FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
                     AS new (supplier, succeeded, failed, declined)
            ORDER BY supplier
            ON CONFLICT (supplier, minute) DO UPDATE SET
                succeeded = o.succeeded + excluded.succeeded, failed = o.failed + excluded.failed,
                declined = o.declined + excluded.declined
        )
        SELECT supplier FROM supplier_outcomes WHERE minute > statement_timestamp() - interval '10 minutes'
        GROUP BY supplier
        HAVING sum(succeeded + failed) >= 5 AND sum(failed) * 2 >= sum(succeeded + failed)
        """,
        readEach: { (row) throws(DatabaseError) in try row.text() })
}
