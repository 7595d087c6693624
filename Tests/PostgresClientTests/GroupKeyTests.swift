// Callers whose inputs have different keys never go into one execution.

import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct GroupKeyTests {
    @Test func `an execution has one key, and callers still share executions`() async throws {
        try await withExecutions { database, client in
            let insert = insertItems(maxBatchSize: 64)
            // Runs of ten with the same key, all at once.
            try await whileTaken(client, database) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for id in 0..<300 as Range<Int64> {
                        group.addTask {
                            let double = try await client.run(insert, id, until: .now + .seconds(5))
                            #expect(double == id * 2)
                        }
                        try await Task.sleep(for: .microseconds(100))
                    }
                    try await group.waitForAll()
                }
            }
            #expect(try await database.count("SELECT sum(cardinality(ids)) FROM executions") == 300)
            try await expectOneKeyEach(in: database)
            #expect(try await database.count("SELECT count(*) FROM executions") < 150)
        }
    }

    @Test func `keys in turns go one by one in the order of arrival, and nobody waits for ever`() async throws {
        try await withExecutions { database, client in
            let insert = insertItems(maxBatchSize: 64)
            // The key is the tens' digit: 0, 10, 1, 11, 2, 12 and so on.
            let ids = (0..<10).flatMap { [$0, $0 + 10] } as [Int64]
            try await whileTaken(client, database) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for id in ids {
                        group.addTask { _ = try await client.run(insert, id, until: .now + .seconds(5)) }
                        try await Task.sleep(for: .milliseconds(5))
                    }
                    try await group.waitForAll()
                }
            }
            let executed = try await database.rows("SELECT ids::text FROM executions ORDER BY place").map { $0[0] }
            #expect(executed == ids.map { "{\($0)}" })
        }
    }

    @Test func `no execution is larger than the group allows, whatever the keys are`() async throws {
        try await withExecutions { database, client in
            let insert = insertItems(maxBatchSize: 4)
            try await whileTaken(client, database) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for id in 0..<40 as Range<Int64> {
                        group.addTask { _ = try await client.run(insert, id, until: .now + .seconds(5)) }
                        try await Task.sleep(for: .milliseconds(1))
                    }
                    try await group.waitForAll()
                }
            }
            try await expectOneKeyEach(in: database)
            #expect(try await database.count("SELECT max(cardinality(ids)) FROM executions") == 4)
            // Ten of a key are three executions.
            #expect(try await database.count("SELECT count(*) FROM executions") == 12)
        }
    }

    @Test func `callers beyond the queue's limit are refused whatever their keys are`() async throws {
        try await withExecutions(connections: 1, waitingLimit: 5) { database, client in
            let insert = insertItems(maxBatchSize: 64)
            async let slow: Void = client.run(perform("SELECT pg_sleep(0.5)"))
            try await database.waitForSleeping()
            let errors = await withTaskGroup(of: DatabaseError?.self) { group in
                for id in 0..<9 as Range<Int64> {
                    group.addTask {
                        await timed { try await client.run(insert, id * 10, until: .now + .seconds(5)) }
                            .result.databaseError
                    }
                }
                return await group.reduce(into: [DatabaseError]()) { if let error = $1 { $0.append(error) } }
            }
            #expect(errors == [DatabaseError](repeating: .unavailable(.overloaded), count: 4))
            try await slow
            #expect(try await database.count("SELECT count(*) FROM executions") == 5)
        }
    }

    @Test func `an execution has one key also when its callers are sent again after a broken connection`() async throws
    {
        try await withExecutions { database, client in
            let insert = insertItems(maxBatchSize: 64)
            try await database.execute("INSERT INTO executions (ids) VALUES ('{-1}')")
            let lock = try OpenTransaction(in: database, "LOCK TABLE executions")
            let calls = (0..<40 as Range<Int64>).map { id in
                Task { try await client.run(insert, id, until: .now + .seconds(5)) }
            }
            for _ in 0..<3 {
                try await database.waitForBlocked()
                #expect(try await database.cutConnections() >= 1)
            }
            try await database.waitForBlocked()
            try lock.end("COMMIT")
            for (id, call) in calls.enumerated() { #expect(try await call.value == Int64(id) * 2) }
            try await expectOneKeyEach(in: database)
            // None that was sent again was carried out before.
            #expect(try await database.count("SELECT sum(cardinality(ids)) FROM executions") == 41)
        }
    }

    @Test func `a bad row fails neither its own key's other rows nor another key's`() async throws {
        try await withExecutions { database, client in
            try await database.execute("ALTER TABLE executions ADD CONSTRAINT no_13 CHECK (NOT ids @> '{13}')")
            let insert = insertItems(maxBatchSize: 64)
            try await whileTaken(client, database) {
                await withTaskGroup(of: Void.self) { group in
                    for id in 0..<30 as Range<Int64> {
                        group.addTask {
                            let result = await timed { try await client.run(insert, id, until: .now + .seconds(5)) }
                                .result
                            #expect((result.databaseError == nil) == (id != 13), "\(id)")
                        }
                    }
                }
            }
            try await expectOneKeyEach(in: database)
            #expect(try await database.count("SELECT sum(cardinality(ids)) FROM executions") == 29)
        }
    }
}

/// A table with a row for each execution.
private func withExecutions(
    connections: Int = 4, waitingLimit: Int = 4096, _ body: (TestDatabase, DatabaseClient) async throws -> Void
) async throws {
    try await TestDatabase.withEmpty { database in
        try await database.execute(
            "CREATE TABLE executions (place int GENERATED ALWAYS AS IDENTITY, ids bigint[])")
        try await DatabaseClient.running(
            on: database.address, connections: connections, waitingLimit: waitingLimit
        ) { try await body(database, $0) }
    }
}

/// Answers each id with its double; the key is the id without its last digit.
private func insertItems(maxBatchSize: Int) -> GroupedQuery<Int64, Int64> {
    GroupedQuery(
        "insert_executions", "INSERT INTO executions (ids) VALUES ($1::bigint[])", maxBatchSize: maxBatchSize,
        maxConcurrentBatches: 1, key: { UInt8($0 / 10) }, encode: { inputs in [.numbers(inputs)] },
        decode: { _, inputs throws(DatabaseError) in inputs.map { $0 * 2 } })
}

/// All connections are taken for a while, so that the callers come together in the queue.
private func whileTaken(
    _ client: DatabaseClient, _ database: TestDatabase, _ body: () async throws -> Void
) async throws {
    let sleep = perform("SELECT pg_sleep(0.5)")
    async let one: Void = client.run(sleep)
    async let two: Void = client.run(sleep)
    async let three: Void = client.run(sleep)
    async let four: Void = client.run(sleep)
    try await database.waitForSleeping(4)
    try await body()
    _ = try await (one, two, three, four)
}

private func expectOneKeyEach(in database: TestDatabase) async throws {
    let mixed = try await database.rows(
        "SELECT ids::text FROM executions WHERE (SELECT count(DISTINCT id / 10) FROM unnest(ids) AS id) > 1")
    #expect(mixed == [])
}
