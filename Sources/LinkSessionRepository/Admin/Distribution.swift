internal import PostgresClient

/// What is distributed over the workers of a Citus cluster. Everything else stays on the coordinator.
package enum DistributedTable: String, CaseIterable, Sendable {
    case linkSessions = "link_sessions"
    case idempotencyKeys = "idempotency_keys"
    case linkSessionEvents = "link_session_events"
    case signIns = "sign_ins"
    case noxUsers = "nox_users"

    package var column: String { self == .noxUsers ? "user_id" : "shard" }

    /// Columns that a statement leaves out to their defaults: Citus writes the defaults out, so that the service has to
    /// have the right to write them.
    private var defaults: String? {
        switch self {
        case .linkSessions: "sign_ins"
        case .idempotencyKeys: nil
        case .linkSessionEvents: "occurred_at"
        case .signIns: "started_at"
        case .noxUsers: "id, created_at, last_linked_on"
        }
    }

    fileprivate var grant: String? {
        defaults.map { "GRANT INSERT (\($0)) ON \(rawValue) TO \(DatabaseRole.service.rawValue)" }
    }

    /// A session lies on one node with its key, its events and its sign-ins.
    fileprivate var distribution: Query<Void> {
        let placement =
            switch self {
            case .linkSessions, .noxUsers: "shard_count => $1::bigint::integer, colocate_with => 'none'"
            // They have as many shards as the sessions; the parameter has to be used.
            case .idempotencyKeys, .linkSessionEvents, .signIns: "colocate_with => 'link_sessions'"
            }
        return Query(
            "distribute_\(rawValue)",
            "SELECT create_distributed_table('\(rawValue)', '\(column)', \(placement)) WHERE $1::bigint IS NOT NULL")
    }

    /// The rows that were there are on the workers now. Their copies would stay, out of reach of erasures.
    fileprivate var removalOfCopies: Query<Void> {
        Query("remove_copies_\(rawValue)", "SELECT truncate_local_data_after_distributing_table('\(rawValue)')")
    }

    fileprivate static let isDistributed = Query<Bool>(
        "is_distributed", "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = $1::text::regclass)",
        readOne: { (row) throws(DatabaseError) in try row.bool() })

    /// What a statement may leave to the nodes to call. They have it already where Citus was there before the migrations.
    fileprivate static let distributionOfFunctions = Query<Void>(
        "distribute_functions",
        """
        SELECT create_distributed_function(name::regprocedure) FROM unnest(ARRAY[
            'first_id_at(timestamptz)', 'user_key(bigint, integer, text)', 'user_keys(bigint, text)']) AS name
        """)

    /// Fails with a sentence where nothing can be distributed.
    fileprivate static var check: String {
        let tables = allCases.map { "('\($0.rawValue)')" }.joined(separator: ", ")
        return """
            DO $$
            BEGIN
                IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
                    RAISE EXCEPTION 'the database lacks the extension citus: CREATE EXTENSION citus, at every node';
                END IF;
                IF EXISTS (SELECT FROM pg_dist_local_group WHERE groupid <> 0) THEN
                    RAISE EXCEPTION 'this node is a worker: DATABASE_URL has to name the coordinator';
                END IF;
                IF NOT EXISTS (
                    SELECT FROM pg_dist_node
                    WHERE groupid <> 0 AND noderole = 'primary' AND isactive AND shouldhaveshards)
                THEN
                    RAISE EXCEPTION 'the coordinator has no workers: SELECT citus_add_node(host, port) for each of them';
                END IF;
                IF EXISTS (SELECT FROM (VALUES \(tables)) AS t (name) WHERE to_regclass(name) IS NULL) THEN
                    RAISE EXCEPTION 'the database lacks tables: run link-session-service migrate';
                END IF;
                IF EXISTS (
                    SELECT FROM (VALUES \(tables)) AS t (name) JOIN pg_class c ON c.oid = to_regclass(name)
                    WHERE NOT pg_has_role(c.relowner, 'USAGE'))
                THEN
                    RAISE EXCEPTION 'only the owner of the tables, who migrated, can distribute them';
                END IF;
            END
            $$
            """
    }
}

extension AdminRepository {
    /// Distributes what is not distributed yet, all or nothing.
    ///
    /// - Parameter shards: of each table.
    /// - Returns: the tables that were distributed now.
    package func distribute(shards: Int) async throws(AdminError) -> [DistributedTable] {
        try await onThread { connection throws(ConnectionError) in
            func run<Output>(_ query: Query<Output>, _ parameters: [Parameter] = []) throws(ConnectionError) -> Output {
                try connection.run(query, parameters, until: .now + Self.longest)
            }
            // An arbitrary number that means this and nothing else in this database: two at once take turns.
            try connection.execute(
                script: "\(DistributedTable.check); BEGIN; SELECT pg_advisory_xact_lock(6617340281950274)",
                until: .now + Self.longest)
            try run(DistributedTable.distributionOfFunctions)
            var distributed: [DistributedTable] = []
            for table in DistributedTable.allCases
            where try !run(DistributedTable.isDistributed, [.text(table.rawValue)]) {
                try run(table.distribution, [.number(Int64(shards))])
                try run(table.removalOfCopies)
                if let grant = table.grant { try connection.execute(script: grant, until: .now + Self.longest) }
                distributed.append(table)
            }
            try connection.execute(script: "COMMIT", until: .now + Self.longest)
            return distributed
        }
    }
}
