internal import Foundation

/// Brings a database up to date: one lock, files in order, one transaction a file, a ledger with checksums. Several may
/// run at once: they take turns.
package struct Migrator: Sendable {
    private let address: DatabaseAddress
    private let operatorAddress: DatabaseAddress
    private let histories: [MigrationHistory]

    /// - Parameters:
    ///   - address: whoever owns the tables, or will own them.
    ///   - operatorAddress: a login without the owner's rights, for histories with the operator's; `nil`: the same.
    package init(
        address: DatabaseAddress, operatorAddress: DatabaseAddress? = nil, histories: [MigrationHistory]
    ) {
        self.address = address
        self.operatorAddress = operatorAddress ?? address
        self.histories = histories
    }

    /// Applies what is pending in every history, after it has checked all of them.
    ///
    /// - Parameters:
    ///   - willCommit: called on a thread of the migrator's, before each migration is committed: what throws takes it
    ///     back.
    ///   - report: called with a line of progress, on a thread of the migrator's.
    /// - Returns: how many were applied.
    package func migrate(
        willCommit: @escaping @Sendable () throws(MigrationError) -> Void = {},
        report: @escaping @Sendable (String) -> Void
    ) async throws(MigrationError) -> Int {
        try await onThread { connection throws(MigrationError) in
            try Self.lock(&connection, report: report)
            try Self.attempt("cannot create the ledgers", &connection) { connection throws(ConnectionError) in
                try connection.execute(
                    script: Ledger.schema.creation + Ledger.deployment.creation, until: .now + Self.longest)
            }
            let statuses = try Self.statuses(of: histories, &connection)
            let problems = statuses.flatMap(\.problems)
            guard problems.isEmpty else { throw MigrationError(lines: problems) }
            var count = 0
            for (history, status) in zip(histories, statuses) {
                for name in status.ahead { report("ahead    \(history.name)/\(name)") }
                for migration in history.migrations where status.pending.contains(migration.name) {
                    switch history.rights {
                    case .owner: try Self.apply(migration, of: history, willCommit, &connection)
                    case .operator:
                        try Self.applyAsOperator(
                            migration, of: history, at: operatorAddress, in: try Self.schema(&connection), willCommit)
                    }
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
        of history: MigrationHistory, in database: DatabaseClient, until deadline: Deadline
    ) async throws(DatabaseError) -> MigrationStatus {
        do {
            let ledger = try await database.run(history.rights.ledger.entries, [.text(history.name)], until: deadline)
            return MigrationStatus(of: history, ledger: ledger)
        } catch .refused(let state, _) where state == undefinedTable {
            return MigrationStatus(of: history, ledger: [])
        }
    }

    /// An arbitrary number that means this and nothing else in this database.
    private static let tryLock = Query<Bool>(
        "lock_migrations", "SELECT pg_try_advisory_lock(7420183390125671)",
        readOne: { (row) throws(DatabaseError) in try row.bool() })

    /// Whether no file of an operator's is at work any more, on a connection that its migrator may have lost.
    private static let operatorIsIdle = Query<Bool>(
        "operator_is_idle", "SELECT pg_try_advisory_lock(\(operatorLock)) AND pg_advisory_unlock(\(operatorLock))",
        readOne: { (row) throws(DatabaseError) in try row.bool() })

    /// Where the tables are: for another login another schema may be the first.
    private static let currentSchema = Query<String>(
        "current_schema", "SELECT quote_ident(current_schema())",
        readOne: { (row) throws(DatabaseError) in try row.text() })

    private static let transactionID = Query<Int64>(
        "transaction_id", "SELECT txid_current()", readOne: { (row) throws(DatabaseError) in try row.int64() })

    private static let undefinedTable = SQLState("42P01")

    static let brief = Duration.seconds(10)
    /// An index on a large table takes its time.
    static let longest = Duration.seconds(6 * 3600)

    private func onThread<Value: Sendable>(
        _ body: @escaping @Sendable (inout Connection) throws(MigrationError) -> Value
    ) async throws(MigrationError) -> Value {
        try await Connection.onThread(to: address, applicationName: "link-session-migrate", body) {
            MigrationError($0.line)
        }
    }

    private static func statuses(
        of histories: [MigrationHistory], _ connection: inout Connection
    ) throws(MigrationError) -> [MigrationStatus] {
        var statuses: [MigrationStatus] = []
        for history in histories {
            var entries: [LedgerEntry] = []
            do throws(ConnectionError) {
                entries = try connection.run(history.rights.ledger.entries, [.text(history.name)], until: .now + brief)
            } catch {
                if error == .unexpectedResult {
                    let table = history.rights.ledger.table
                    throw MigrationError("the ledger \(table) has another shape than this build expects")
                }
                guard error.sqlState == undefinedTable else {
                    throw MigrationError("cannot read the ledger: \(error.line)")
                }
            }
            statuses.append(MigrationStatus(of: history, ledger: entries))
        }
        return statuses
    }

    private static func schema(_ connection: inout Connection) throws(MigrationError) -> String {
        try attempt("cannot tell the schema", &connection) { connection throws(ConnectionError) in
            try connection.run(currentSchema, until: .now + brief)
        }
    }

    /// The lock belongs to the connection: it ends with it, whatever happens.
    private static func lock(_ connection: inout Connection, report: (String) -> Void) throws(MigrationError) {
        let deadline = ContinuousClock.now + .seconds(60)
        var hasReported = false
        func isLocked() throws(MigrationError) -> Bool {
            try attempt("cannot lock", &connection) { connection throws(ConnectionError) in
                guard try connection.run(tryLock, until: .now + brief) else { return false }
                return try connection.run(operatorIsIdle, until: .now + brief)
            }
        }
        while try !isLocked() {
            guard !deadline.hasPassed else {
                throw MigrationError("another migrate has been running for a minute; try again when it has ended")
            }
            if !hasReported { report("waiting for another migrate to end") }
            hasReported = true
            Thread.sleep(forTimeInterval: 0.1)
        }
    }

    private static func apply(
        _ migration: Migration, of history: MigrationHistory, _ willCommit: () throws(MigrationError) -> Void,
        _ connection: inout Connection
    ) throws(MigrationError) {
        let label = "\(history.name)/\(migration.name)"
        // Where this fails, the connection is closed on the way out, which rolls back.
        try attempt(label, &connection) { connection throws(ConnectionError) in
            try connection.execute(script: "BEGIN", until: .now + longest)
            let transaction = try connection.run(transactionID, until: .now + brief)
            do throws(ConnectionError) {
                try connection.execute(script: migration.sql, until: .now + longest)
            } catch {
                throw error.withLine(of: migration.sql)
            }
            guard connection.isInTransaction,
                try connection.run(transactionID, until: .now + brief) == transaction
            else {
                throw ConnectionError(message: "ends its own transaction; leave BEGIN, COMMIT and ROLLBACK to migrate")
            }
            // What a file sets for itself (a role, a search path) is not for the ledger and not for the next file.
            try connection.execute(
                script: "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; \(Connection.operatorSettings)",
                until: .now + longest)
            try connection.run(history.rights.ledger.record, migration.record(in: history), until: .now + brief)
        }
        try willCommit()
        try attempt(label, &connection) { connection throws(ConnectionError) in
            try connection.execute(script: "COMMIT", until: .now + longest)
        }
    }

    /// A failure names what was attempted.
    static func attempt<Value>(
        _ what: String, _ connection: inout Connection, _ body: (inout Connection) throws(ConnectionError) -> Value
    ) throws(MigrationError) -> Value {
        do throws(ConnectionError) {
            return try body(&connection)
        } catch {
            throw MigrationError("\(what): \(error.line)")
        }
    }
}

extension ConnectionError {
    /// Names the line of the script in which PostgreSQL found the fault.
    func withLine(of script: String) -> ConnectionError {
        guard let position else { return self }
        let line = script.unicodeScalars.prefix(position - 1).count { $0 == "\n" } + 1
        return ConnectionError(message: "line \(line): \(message)", sqlState: sqlState)
    }
}
