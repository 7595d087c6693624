// What tests of the database layers share: a running client, a transaction that stays open, and waiting.

import Logging
package import PostgresClient
import Synchronization

extension DatabaseClient {
    package static func underTest(
        _ address: DatabaseAddress, connections: Int = 4, waitingLimit: Int = 4096
    ) throws -> DatabaseClient {
        try DatabaseClient(
            address: address, applicationName: "client under test", connections: connections,
            waitingLimit: waitingLimit, logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Runs a client while `body` does, and stops it afterwards.
    package static func running<Value>(
        on address: DatabaseAddress, connections: Int = 4, waitingLimit: Int = 4096,
        _ body: (DatabaseClient) async throws -> Value
    ) async throws -> Value {
        let client = try underTest(address, connections: connections, waitingLimit: waitingLimit)
        let running = Task { try await client.run() }
        let result: Result<Value, any Error>
        do {
            result = .success(try await body(client))
        } catch {
            result = .failure(error)
        }
        running.cancel()
        try await running.value
        return try result.get()
    }
}

/// A transaction on a connection of its own, which holds its locks until it is ended or forgotten.
package final class OpenTransaction: Sendable {
    private let connection: Mutex<Connection>

    /// Begins, and runs statements that lock something.
    package init(in database: TestDatabase, _ script: String) throws {
        var connection = try Connection.open(
            to: try database.address, applicationName: "open transaction", settings: "BEGIN")
        try connection.execute(script: script, until: .now + .seconds(5))
        self.connection = Mutex(connection)
    }

    /// `COMMIT` or `ROLLBACK`.
    package func end(_ statement: String) throws {
        try connection.withLock { try $0.execute(script: statement, until: .now + .seconds(5)) }
    }
}

package struct NotInTime: Error, CustomStringConvertible {
    package let description: String
}

/// Asks until it is so; throws when it is not so in time.
package func wait(
    until what: String, within time: Duration = .seconds(5), _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + time
    while try await !condition() {
        guard ContinuousClock.now < end else { throw NotInTime(description: "not within \(time): \(what)") }
        try await Task.sleep(for: .milliseconds(5))
    }
}

extension TestDatabase {
    /// Waits until so many statements wait for a lock.
    package func waitForBlocked(_ count: Int = 1) async throws {
        try await wait(until: "\(count) statements wait for a lock") {
            try await self.count(
                """
                SELECT count(*) FROM \(TestEnvironment.citusNodes == nil ? "pg" : "citus")_stat_activity
                WHERE datname = current_database() AND state = 'active' AND wait_event_type = 'Lock'
                """) == count
        }
    }

    /// Waits until so many statements of clients under test are in `pg_sleep`.
    package func waitForSleeping(_ count: Int = 1) async throws {
        try await wait(until: "\(count) statements sleep") {
            try await self.count(
                """
                SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'
                """) == count
        }
    }

    /// Cuts every connection but the tests' own, all at once; how many there were. They are gone when it returns.
    @discardableResult package func cutConnections() async throws -> Int {
        let processes = try await rows(
            """
            SELECT pid FROM pg_stat_activity
            WHERE datname = current_database() AND application_name NOT IN ('tests', 'open transaction')
            """
        ).compactMap { $0[0] }
        guard !processes.isEmpty else { return 0 }
        let list = processes.joined(separator: ", ")
        _ = try await rows("SELECT pg_terminate_backend(pid) FROM unnest(ARRAY[\(list)]) AS pid")
        try await wait(until: "the connections are gone") {
            try await count("SELECT count(*) FROM pg_stat_activity WHERE pid IN (\(list))") == 0
        }
        return processes.count
    }
}
