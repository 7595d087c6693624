/// A deployment's migrations may be written by whoever may change rows and no tables. So each runs on a connection of a
/// login that has no more rights, opened for it alone: whatever it leaves there (temporary tables, deferred triggers,
/// prepared statements, settings) never runs as anybody else, nor in another migration.
extension Migrator {
    /// An arbitrary number, for whoever has to know when a migration is over whose connection was lost.
    static let operatorLock: Int64 = 3_916_602_718_844_051

    /// - Parameter schema: where the tables are, as an SQL identifier.
    static func applyAsOperator(
        _ migration: Migration, of history: MigrationHistory, at address: DatabaseAddress, in schema: String,
        _ willCommit: () throws(MigrationError) -> Void
    ) throws(MigrationError) {
        let label = "\(history.name)/\(migration.name)"
        var connection: Connection
        do throws(ConnectionError) {
            connection = try Connection.open(
                to: address, applicationName: "link-session-migrate", settings: Connection.operatorSettings)
        } catch {
            throw MigrationError("\(label): cannot connect as the operator: \(error.message)")
        }
        let mayDoMore = try attempt(label, &connection) { connection throws(ConnectionError) in
            try connection.execute(
                script: """
                    BEGIN; SET LOCAL search_path = \(schema), pg_temp; SELECT pg_advisory_xact_lock(\(operatorLock))
                    """, until: .now + brief)
            return try connection.run(Self.mayDoMore, until: .now + brief)
        }
        guard !mayDoMore else {
            throw MigrationError(
                """
                \(label): OPERATOR_DATABASE_URL expects a login with the operator's rights and no more, \
                CREATE ROLE ... LOGIN IN ROLE link_session_operator; this one may act as the owner of the tables
                """)
        }
        try attempt(label, &connection) { connection throws(ConnectionError) in
            // Before the file: after it, nothing runs on this connection but the commit.
            try connection.run(history.rights.ledger.record, migration.record(in: history), until: .now + brief)
            do throws(ConnectionError) {
                try connection.execute(script: try block(of: migration.sql), until: .now + longest)
            } catch {
                throw error.withLine(of: migration.sql)
            }
        }
        try willCommit()
        try attempt(label, &connection) { connection throws(ConnectionError) in
            try connection.execute(script: "COMMIT", until: .now + longest)
        }
    }

    /// A block in which PostgreSQL refuses to end the transaction.
    private static func block(of sql: String) throws(ConnectionError) -> String {
        guard let text = sqlLiteral(sql), let block = sqlLiteral("BEGIN EXECUTE \(text); END") else {
            throw ConnectionError(message: "libpq could not quote the file: out of memory")
        }
        return "DO \(block)"
    }

    /// Whether whoever is logged in can come to the rights of the tables' owner by a command.
    private static let mayDoMore = Query<Bool>(
        "may_do_more",
        """
        SELECT rolsuper OR rolcreaterole OR pg_has_role(r.oid, c.relowner, 'MEMBER') OR pg_has_role(r.oid, d.datdba, 'MEMBER')
        FROM pg_roles r, pg_class c, pg_database d
        WHERE rolname = session_user AND c.oid = '\(Ledger.deployment.table)'::regclass AND datname = current_database()
        """,
        readOne: { (row) throws(DatabaseError) in try row.bool() })
}
