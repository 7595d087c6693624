// Queries for tests: a piece of SQL and how one row of it is read.

import PostgresClient
import TestSupport

/// The server remembers a statement by its name, so each text has its own.
func name(of sql: String) -> String { "test_\(UInt(bitPattern: sql.hashValue))" }

/// Reads every row.
func read<Value: Sendable>(
    _ sql: String, _ readRow: @escaping @Sendable (inout Row) throws(DatabaseError) -> Value
) -> Query<[Value]> {
    Query(name(of: sql), sql, readEach: readRow)
}

/// Reads nothing.
func perform(_ sql: String) -> Query<Void> {
    Query(name(of: sql), sql)
}

extension DatabaseClient {
    func run<Output>(
        _ query: Query<Output>, _ parameters: [Parameter] = [], within time: Duration = .seconds(5)
    ) async throws -> Output {
        try await run(query, parameters, until: .now + time)
    }

    /// The server's process behind the connection that answers.
    func backend() async throws -> Int32 {
        try await run(read("SELECT pg_backend_pid()") { row throws(DatabaseError) in try row.int32() })[0]
    }
}

/// How a call ended, and after how long.
func timed<Value>(
    _ body: () async throws -> Value
) async -> (result: Result<Value, any Error>, duration: Duration) {
    let start = ContinuousClock.now
    do {
        let value = try await body()
        return (.success(value), ContinuousClock.now - start)
    } catch {
        return (.failure(error), ContinuousClock.now - start)
    }
}

extension Result {
    var databaseError: DatabaseError? {
        if case .failure(let error) = self { error as? DatabaseError } else { nil }
    }
}

/// One connection to the server's own database: these tests store nothing.
func withClient<Value>(_ body: (DatabaseClient) async throws -> Value) async throws -> Value {
    let address = try DatabaseAddress(connectionString: TestEnvironment.databaseURL)
    return try await DatabaseClient.running(on: address, connections: 1, body)
}
