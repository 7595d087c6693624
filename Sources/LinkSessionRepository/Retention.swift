package import PostgresClient

/// Keeps the days' partitions of link sessions: makes those to come, and drops those that are older than the retention
/// time.
package struct RetentionRepository: Sendable {
    /// What one step did.
    package struct Step: Sendable, Equatable {
        /// Partitions.
        package let added: Int64
        /// Sessions.
        package let deleted: Int64
        /// There was nothing more to make or to drop.
        package let isLast: Bool
    }

    private let database: DatabaseClient

    package init(database: DatabaseClient) {
        self.database = database
    }

    /// Makes one partition, or drops those of one day.
    ///
    /// - Parameter days: at least 1: so long sessions are kept, and the rest of their day.
    /// - Returns: `nil` where somebody else is at work at this moment.
    package func step(keeping days: Int, until deadline: Deadline) async throws(RepositoryError) -> Step? {
        try await database.answer(Self.step, [.number(Int64(days))], until: deadline)
    }

    private static let step = Query<Step?>(
        "maintain_partitions", "SELECT added, deleted, is_done FROM maintain_partitions($1::bigint::integer)",
        readOptional: { (row) throws(DatabaseError) in
            Step(added: try row.int64(), deleted: try row.int64(), isLast: try row.bool())
        })
}
