// Applies migrations: one lock, files in order, one transaction a file, a ledger with checksums.

/// Brings a database up to date. Several may run at once: they take turns.
package struct Migrator: Sendable {
    private let address: DatabaseAddress
    private let histories: [MigrationHistory]

    package init(address: DatabaseAddress, histories: [MigrationHistory]) {
        self.address = address
        self.histories = histories
    }

    /// Applies what is pending in every history, after it has checked all of them.
    ///
    /// - Parameters:
    ///   - willCommit: called on a thread of the migrator's, before each migration is committed: what throws takes it back.
    ///   - report: called with a line of progress, on a thread of the migrator's.
    /// - Returns: how many were applied.
    package func migrate(
        willCommit: @escaping @Sendable () throws(MigrationError) -> Void = {},
        report: @escaping @Sendable (String) -> Void
    ) async throws(MigrationError) -> Int {
        try await onThread { connection throws(MigrationError) in
            try Self.lock(&connection, report: report)
            try Self.createLedger(&connection)
            let statuses = try Self.statuses(of: histories, &connection)
            let problems = statuses.flatMap(\.problems)
            guard problems.isEmpty else { throw MigrationError(lines: problems) }
            var count = 0
            for (history, status) in zip(histories, statuses) {
                for name in status.ahead { report("ahead    \(history.name)/\(name)") }
                for migration in history.migrations where status.pending.contains(migration.name) {
                    try Self.apply(migration, of: history, willCommit, &connection)
                    report("applied  \(history.name)/\(migration.name)")
                    count += 1
                }
            }
            return count
        }
    }

    /// Changes nothing.
    ///
    /// - Parameter whenIdle: waits until no migrator is at work, at most a minute.
    package func status(whenIdle: Bool = false) async throws(MigrationError) -> [MigrationStatus] {
        try await onThread { connection throws(MigrationError) in
            if whenIdle { try Self.lock(&connection) { _ in } }
            return try Self.statuses(of: histories, &connection)
        }
    }

    /// The same question asked by a running service, through its own connections.
    package static func status(
        of history: MigrationHistory, in database: DatabaseClient, until deadline: ContinuousClock.Instant
    ) async throws(DatabaseError) -> MigrationStatus {
        do {
            let ledger = try await database.run(ledger, history.name, until: deadline)
            return MigrationStatus(of: history, ledger: ledger)
        } catch .refused(let state, _) where state == undefinedTable {
            return MigrationStatus(of: history, ledger: [])
        }
    }
}

extension Migrator {
    private static let ledger = Query<String, [LedgerEntry]>(
        Statement(
            "migrations_of_history",
            "SELECT \(LedgerEntry.columns) FROM schema_migrations WHERE history = $1::text ORDER BY version"),
        encode: { name, parameters in parameters.append(name) },
        readEach: { (row) throws(DatabaseError) in try row.ledgerEntry() })

    private static let undefinedTable = SQLState("42P01")

    private static func statuses(
        of histories: [MigrationHistory], _ connection: inout Connection
    ) throws(MigrationError) -> [MigrationStatus] {
        var statuses: [MigrationStatus] = []
        for history in histories {
            let entries: [LedgerEntry]
            do throws(ScriptError) {
                entries = try connection.run(ledger, history.name, until: .now + .seconds(10))
            } catch {
                if error == .unexpectedResult {
                    throw MigrationError("the ledger schema_migrations has another shape than this build expects")
                }
                guard error.sqlState == undefinedTable else { throw failure("cannot read the ledger", error) }
                entries = []
            }
            statuses.append(MigrationStatus(of: history, ledger: entries))
        }
        return statuses
    }

    /// The lock belongs to the connection: it ends with it, whatever happens.
    private static func lock(
        _ connection: inout Connection, report: (String) -> Void
    ) throws(MigrationError) {
        // An arbitrary number that means this and nothing else in this database.
        let tryLock = Statement("lock_migrations", "SELECT pg_try_advisory_lock(7420183390125671)")
        let deadline = ContinuousClock.now + .seconds(60)
        var hasReported = false
        while true {
            do throws(ScriptError) {
                let result = try connection.execute(tryLock, Parameters(), until: .now + .seconds(10))
                if let locked = try? result.map({ (row) throws(DatabaseError) in try row.bool() }).first, locked {
                    return
                }
            } catch {
                throw failure("cannot lock", error)
            }
            guard !deadline.hasPassed else {
                throw MigrationError("another migrate has been running for a minute; try again when it has ended")
            }
            if !hasReported { report("waiting for another migrate to end") }
            hasReported = true
            pauseThread(milliseconds: 100)
        }
    }

    private static func createLedger(_ connection: inout Connection) throws(MigrationError) {
        try run(
            """
            DO $$ BEGIN
                IF to_regclass('schema_migrations') IS NULL THEN
                    CREATE TABLE schema_migrations (
                        history    text NOT NULL,
                        version    integer NOT NULL,
                        name       text NOT NULL,
                        checksum   bytea NOT NULL,
                        applied_at timestamptz NOT NULL DEFAULT now(),
                        CONSTRAINT schema_migrations_pkey PRIMARY KEY (history, version)
                    );
                END IF;
            END $$
            """, what: "cannot create the ledger schema_migrations", &connection)
    }

    private static func apply(
        _ migration: Migration, of history: MigrationHistory, _ willCommit: () throws(MigrationError) -> Void,
        _ connection: inout Connection
    ) throws(MigrationError) {
        let label = "\(history.name)/\(migration.name)"
        try run("BEGIN", what: label, &connection)
        let transaction = try transactionID(label, &connection)
        do throws(ScriptError) {
            if let role = history.role {
                try execute(migration.sql, as: role, &connection)
            } else {
                _ = try connection.execute(script: migration.sql, until: .now + longest)
            }
        } catch {
            // The connection is closed on the way out, which rolls back.
            throw failure(label, error, in: migration.sql)
        }
        guard connection.isInTransaction, try transactionID(label, &connection) == transaction else {
            throw MigrationError("\(label): ends its own transaction; leave BEGIN, COMMIT and ROLLBACK to migrate")
        }
        // What a file sets for itself (a role, a search path) is not for the ledger and not for the next file.
        try run("RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; \(settings)", what: label, &connection)
        var parameters = Parameters()
        parameters.append(history.name)
        parameters.append(Int64(migration.version))
        parameters.append(migration.name)
        parameters.append(migration.checksum)
        let record = Statement(
            "record_migration",
            """
            INSERT INTO schema_migrations (history, version, name, checksum)
            VALUES ($1::text, $2::bigint::integer, $3::text, $4::bytea)
            """)
        do throws(ScriptError) {
            _ = try connection.execute(record, parameters, until: .now + .seconds(10))
        } catch {
            throw failure(label, error)
        }
        try willCommit()
        try run("COMMIT", what: label, &connection)
    }

    /// Runs a script as a role that it cannot leave: in a function of that role's, PostgreSQL refuses to change the role
    /// and to end the transaction.
    private static func execute(
        _ sql: String, as role: String, _ connection: inout Connection
    ) throws(ScriptError) {
        // The tables are in the schema that is first for whoever migrates; for the role it may be another one.
        _ = try connection.execute(
            script: """
                SELECT set_config('search_path', quote_ident(current_schema()), true);
                SET LOCAL ROLE \(role);
                CREATE FUNCTION pg_temp.apply_migration(sql text) RETURNS void
                    LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN EXECUTE sql; END $$
                """, until: .now + .seconds(10))
        var parameters = Parameters()
        parameters.append(sql)
        _ = try connection.execute(
            Statement("", "SELECT pg_temp.apply_migration($1::text)"), parameters, until: .now + longest)
        _ = try connection.execute(script: "DROP FUNCTION pg_temp.apply_migration(text)", until: .now + .seconds(10))
    }

    private static func transactionID(
        _ label: String, _ connection: inout Connection
    ) throws(MigrationError) -> Int64 {
        let id: Int64?
        do throws(ScriptError) {
            let result = try connection.execute(
                Statement("transaction_id", "SELECT txid_current()"), Parameters(), until: .now + .seconds(10))
            id = try? result.map { (row) throws(DatabaseError) in try row.int64() }.first
        } catch {
            throw failure(label, error)
        }
        guard let id else { throw MigrationError("\(label): cannot read the transaction's id") }
        return id
    }

    private static func run(
        _ script: String, what: String, _ connection: inout Connection
    ) throws(MigrationError) {
        do throws(ScriptError) {
            _ = try connection.execute(script: script, until: .now + longest)
        } catch {
            throw failure(what, error)
        }
    }

    private static let settings =
        "SET lock_timeout = '3s'; SET client_min_messages = 'warning'; SET timezone = 'UTC'"

    /// An index on a large table takes its time.
    private static let longest = Duration.seconds(6 * 3600)

    private static func failure(_ what: String, _ error: ScriptError, in sql: String? = nil) -> MigrationError {
        var place = ""
        if let sql, let position = error.position {
            place = " line \(sql.unicodeScalars.prefix(position - 1).count { $0 == "\n" } + 1):"
        }
        return MigrationError(
            "\(what):\(place) \(error.message)\(error.sqlState.map { " (SQLSTATE \($0))" } ?? "")")
    }

    private func onThread<Value: Sendable>(
        _ body: @escaping @Sendable (inout Connection) throws(MigrationError) -> Value
    ) async throws(MigrationError) -> Value {
        try await Connection.onThread(
            to: address, applicationName: "link-session-migrate", settings: Self.settings, body
        ) { MigrationError("cannot connect to the database: \($0.message)") }
    }
}
