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

    /// Why the database answers and takes no writes.
    package enum WriteRefusal: Sendable {
        case readOnly, diskFull
        /// A file was not written before the deadline.
        case stalled
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

    /// Whether all that tomorrow brings has its partition, and why the database takes no writes.
    package func readiness(
        until deadline: Deadline
    ) async throws(RepositoryError) -> (hasTomorrow: Bool, refusal: WriteRefusal?) {
        let (hasTomorrow, isReadOnly) = try await database.answer(Self.readiness, [], until: deadline)
        if isReadOnly { return (hasTomorrow, .readOnly) }
        do throws(DatabaseError) {
            try await database.run(Self.writeFile, [], as: .first, until: deadline)
        } catch .unavailable(.exhausted(.diskFull)) {
            return (hasTomorrow, .diskFull)
        } catch .unavailable(.timedOut) {
            return (hasTomorrow, .stalled)
        } catch {
            // Whatever else it is, other checks say it.
        }
        return (hasTomorrow, nil)
    }

    private static let writeFile = Query<Void>("write_temporary_file", "SELECT write_temporary_file()")

    private static let readiness = Query<(hasTomorrow: Bool, isReadOnly: Bool)>(
        "readiness",
        """
        SELECT bool_and(to_regclass(parent || to_char((now() AT TIME ZONE 'UTC')::date + 1, '_YYYYMMDD')) IS NOT NULL),
               current_setting('transaction_read_only') = 'on'
        FROM unnest(ARRAY['link_sessions', 'link_session_events', 'sign_ins']) AS parent
        """,
        readOne: { (row) throws(DatabaseError) in (hasTomorrow: try row.bool(), isReadOnly: try row.bool()) })

    private static let step = Query<Step?>(
        "maintain_partitions", "SELECT added, deleted, is_done FROM maintain_partitions($1::bigint::integer)",
        readOptional: { (row) throws(DatabaseError) in
            Step(added: try row.int64(), deleted: try row.int64(), isLast: try row.bool())
        })
}
