package import PostgresClient

/// Deletes link sessions that are older than the retention time.
package struct RetentionRepository: Sendable {
    /// What became of one piece of the table.
    package struct Purged: Sendable, Equatable {
        package let deleted: Int64
        /// Where the next piece begins; `nil` at the end of the table.
        package let nextBlock: Int64?
    }

    private let database: DatabaseClient

    package init(database: DatabaseClient) {
        self.database = database
    }

    /// Deletes what is too old in the piece of the table that begins at a block, some 3,000 rows.
    ///
    /// - Parameter days: at least 1.
    /// - Returns: `nil` where somebody else is deleting at this moment.
    package func purge(
        olderThan days: Int, from block: Int64, until deadline: Deadline
    ) async throws(RepositoryError) -> Purged? {
        try await database.answer(Self.purge, [.number(Int64(days)), .number(block)], until: deadline)
    }

    private static let purge = Query<Purged?>(
        "purge_link_sessions",
        "SELECT deleted, next_block FROM purge_link_sessions($1::bigint::integer, $2::bigint)",
        readOptional: { (row) throws(DatabaseError) in
            Purged(deleted: try row.int64(), nextBlock: try row.optionalInt64())
        })
}
