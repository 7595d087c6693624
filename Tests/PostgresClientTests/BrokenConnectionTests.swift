// Connections that break, servers that die, freeze and come back.

import PostgresClient
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct BrokenConnectionTests {
    @Test func `cutting every connection under 200 calls fails none, and none counts twice`() async throws {
        try await withItems { database, client in
            let cuts = try await underLoad(
                200, { try await client.run(insertOne, [.numbers([$0])], within: .seconds(10)) }
            ) {
                var cuts = 0
                for _ in 1...5 {
                    try await Task.sleep(for: .milliseconds(80))
                    cuts += try await database.cutConnections()
                }
                return cuts
            }
            #expect(cuts >= 5)
            #expect(try await database.count("SELECT count(*) FROM items") == 200)
            #expect(try await database.count("SELECT count(*) FROM items WHERE value <> 'item ' || id") == 0)
        }
    }

    @Test func `cutting every connection under 200 grouped calls fails none`() async throws {
        try await withItems { database, client in
            let cuts = try await underLoad(200, { try await client.run(insertGrouped, $0, until: .now + .seconds(10)) })
            {
                var cuts = 0
                for _ in 1...5 {
                    try await Task.sleep(for: .milliseconds(40))
                    cuts += try await database.cutConnections()
                }
                return cuts
            }
            #expect(cuts >= 5)
            #expect(try await database.count("SELECT count(*) FROM items") == 200)
        }
    }

    /// The row is there, as if an earlier attempt's commit had not been heard of.
    @Test func `a query sent again finds what its first attempt did`() async throws {
        try await withItems { database, client in
            let transaction = try OpenTransaction(in: database, "INSERT INTO items VALUES (1, 'first')")
            let query = GroupedQuery<Int64, String>(
                "insert_second",
                "INSERT INTO items SELECT id, 'second' FROM unnest($1::bigint[]) AS id RETURNING value",
                sqlForResend: """
                    INSERT INTO items SELECT id, 'third' FROM unnest($1::bigint[]) AS id \(again) RETURNING value
                    """,
                maxBatchSize: 1, maxConcurrentBatches: 1, encode: { inputs in [.numbers(inputs)] },
                decode: { result, _ throws(DatabaseError) in
                    try result.map { row throws(DatabaseError) in try row.text() }
                })
            async let value = client.run(query, 1, until: .now + .seconds(5))
            try await database.waitForBlocked()
            try await database.cutConnections()
            try await database.waitForBlocked()
            try transaction.end("COMMIT")
            #expect(try await value == "first")
            // A query that was never sent before is not sent as one that was.
            let second = await timed { try await client.run(query, 1, until: .now + .seconds(5)) }
            #expect(second.result.databaseError == .refused(SQLState("23505"), constraint: "items_pkey"))
        }
    }

    @Test func `a connection that was cut while idle costs the next call nothing`() async throws {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                let before = try await client.backend()
                #expect(try await database.cutConnections() == 1)
                let next = await timed { try await client.backend() }
                #expect(try next.result.get() != before)
                #expect(next.duration < .seconds(1))
            }
        }
    }

    @Test func `a connection that was cut is made anew without being asked`() async throws {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 3) { client in
                let connections = """
                    SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND application_name = 'client under test'
                    """
                try await wait(until: "all are connected") { try await database.count(connections) == 3 }
                #expect(try await database.cutConnections() == 3)
                try await wait(until: "all are connected again", within: .seconds(1)) {
                    try await database.count(connections) == 3
                }
                _ = try await client.backend()
            }
        }
    }

    @Test func `statements forgotten underneath are prepared again`() async throws {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                let before = try await client.backend()
                try await client.run(perform("DEALLOCATE ALL"))
                #expect(try await client.backend() == before)
                // The other way round: the server remembers what this connection does not know of.
                try await client.run(perform("PREPARE \(name(of: "SELECT 41")) AS SELECT 41"))
                try await client.run(perform("SELECT 41"))
            }
        }
    }

    @Test func `a server that dies: calls time out, and work again when it is back`() async throws {
        try await PostgresServer.with { server in
            let address = try DatabaseAddress(connectionString: server.url)
            try await DatabaseClient.running(on: address) { client in
                _ = try await client.backend()
                async let underWay = timed {
                    try await client.run(perform("SELECT pg_sleep(1)"), within: .milliseconds(600))
                }
                try await Task.sleep(for: .milliseconds(100))
                try server.killHard()
                let down = await timed { try await client.run(perform("SELECT 1"), within: .milliseconds(500)) }
                #expect(down.result.databaseError == .unavailable(.timedOut))
                #expect(down.duration < .milliseconds(1500))
                let (result, duration) = await underWay
                #expect(result.databaseError == .unavailable(.timedOut))
                #expect(duration < .milliseconds(1500))
                let failed = client.statistics.failedConnects
                try await Task.sleep(for: .seconds(1))
                let attempts = client.statistics.failedConnects - failed
                #expect((1...100).contains(attempts), "\(attempts) attempts in a second: each pauses between its own")
                try await server.start()
                let back = await timed { try await client.run(perform("SELECT 1"), within: .seconds(2)) }
                #expect(back.result.databaseError == nil)
            }
        }
    }

    @Test func `a server that freezes: calls time out, and work at once when it thaws`() async throws {
        try await PostgresServer.with { server in
            let address = try DatabaseAddress(connectionString: server.url)
            try await DatabaseClient.running(on: address, connections: 2) { client in
                _ = try await client.backend()
                try server.freeze()
                // Longer than there are connections, and than connecting takes: all are hung in turn.
                let answers = await withTaskGroup(of: (DatabaseError?, Duration).self) { group in
                    for caller in 0..<30 {
                        group.addTask {
                            try? await Task.sleep(for: .milliseconds(100 * caller))
                            let (result, duration) = await timed {
                                try await client.run(perform("SELECT 1"), within: .milliseconds(300))
                            }
                            return (result.databaseError, duration)
                        }
                    }
                    return await group.reduce(into: []) { $0.append($1) }
                }
                #expect(answers.allSatisfy { $0.0 == .unavailable(.timedOut) })
                #expect(answers.allSatisfy { $0.1 < .milliseconds(1500) })
                try server.thaw()
                let back = await timed { try await client.run(perform("SELECT 1"), within: .seconds(2)) }
                #expect(back.result.databaseError == nil)
            }
        }
    }
}

private func withItems(_ body: (TestDatabase, DatabaseClient) async throws -> Void) async throws {
    try await TestDatabase.withEmpty { database in
        try await database.execute("CREATE TABLE items (id bigint PRIMARY KEY, value text)")
        try await DatabaseClient.running(on: database.address) { try await body(database, $0) }
    }
}

private let insert = "INSERT INTO items SELECT id, 'item ' || id FROM unnest($1::bigint[]) AS new(id)"
private let again = "ON CONFLICT (id) DO UPDATE SET id = excluded.id"

/// Takes its time, so that a cut meets statements at every stage.
private let insertOne = Query<Int64>(
    "insert_one", "\(insert), pg_sleep(0.01) \(again) RETURNING id",
    readOne: { row throws(DatabaseError) in try row.int64() })

private let insertGrouped = GroupedQuery<Int64, Int64>(
    "insert_grouped", "\(insert), pg_sleep(0.02) RETURNING id",
    sqlForResend: "\(insert), pg_sleep(0.02) \(again) RETURNING id",
    maxBatchSize: 20, maxConcurrentBatches: 1,
    encode: { inputs in [.numbers(inputs)] },
    decode: { result, inputs throws(DatabaseError) in
        let ids = Set(try result.map { row throws(DatabaseError) in try row.int64() })
        return inputs.map { ids.contains($0) ? $0 : -1 }
    })

/// Starts so many calls, does something to the server meanwhile, and expects each to have its own answer.
private func underLoad<Value: Sendable>(
    _ calls: Int, _ call: @escaping @Sendable (Int64) async throws -> Int64, _ body: () async throws -> Value
) async throws -> Value {
    try await withThrowingTaskGroup(of: (Int64, Int64).self) { group in
        for id in 0..<calls {
            group.addTask { (Int64(id), try await call(Int64(id))) }
        }
        let value = try await body()
        for try await (id, answer) in group { #expect(id == answer) }
        return value
    }
}
