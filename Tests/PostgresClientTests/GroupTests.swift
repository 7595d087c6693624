// Queries that answer many callers with one execution.

import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct GroupTests {
    @Test func `each of 300 concurrent callers gets its own answer, and they share statements`() async throws {
        try await withItems { database, client in
            let insert = insertItems(maxBatchSize: 64, maxConcurrentBatches: 1)
            let answers = try await withThrowingTaskGroup(of: (Int64, Int64).self) { group in
                for id in 0..<300 {
                    group.addTask { (Int64(id), try await client.run(insert, Int64(id), until: .now + .seconds(5))) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.count == 300)
            #expect(answers.allSatisfy { $0.1 == $0.0 * 2 })
            #expect(try await database.count("SELECT count(*) FROM items") == 300)
            let statements = try await database.count("SELECT last_value FROM statements")
            #expect(statements >= 5)
            #expect(statements < 150)
            let largest = try await database.count(
                "SELECT max(n) FROM (SELECT count(*) n FROM items GROUP BY xmin::text) s")
            #expect(largest <= 64)
        }
    }

    @Test func `a lone caller waits for nobody`() async throws {
        try await withItems { _, client in
            let insert = insertItems(maxBatchSize: 256, maxConcurrentBatches: 1)
            _ = try await client.run(insert, 0, until: .now + .seconds(5))
            let lone = await timed { try await client.run(insert, 1, until: .now + .seconds(5)) }
            #expect(try lone.result.get() == 2)
            #expect(lone.duration < .seconds(1))
        }
    }

    @Test func `no more executions are under way than a group allows`() async throws {
        try await withItems { database, client in
            let insert = insertItems(maxBatchSize: 4, maxConcurrentBatches: 2, pause: "0.2")
            async let most = mostSleeping(in: database, for: .milliseconds(900))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for id in 0..<40 {
                    group.addTask { _ = try await client.run(insert, Int64(id), until: .now + .seconds(5)) }
                }
                try await group.waitForAll()
            }
            #expect(try await most == 2)
            #expect(try await database.count("SELECT count(*) FROM items") == 40)
        }
    }

    @Test func `a group that waits does not keep other queries from idle connections`() async throws {
        try await withItems { database, client in
            let insert = insertItems(maxBatchSize: 1, maxConcurrentBatches: 1, pause: "1")
            async let first = client.run(insert, 1, until: .now + .seconds(5))
            try await database.waitForSleeping()
            async let second = client.run(insert, 2, until: .now + .seconds(5))
            try await Task.sleep(for: .milliseconds(20))
            let other = await timed { try await client.run(perform("SELECT 1")) }
            #expect(other.result.databaseError == nil)
            #expect(other.duration < .milliseconds(900))
            _ = try await (first, second)
        }
    }

    @Test(arguments: [0, 13, 49])
    func `one bad row among 50 fails alone, at the cost of a few statements`(bad: Int64) async throws {
        try await withItems(check: "id <> \(bad)") { database, client in
            let insert = insertItems(maxBatchSize: 50, maxConcurrentBatches: 1)
            let errors = try await inOneGroup(0..<50, insert, database, client)
            #expect(errors == [bad: .refused(SQLState("23514"), constraint: "items_check")])
            #expect(try await database.count("SELECT count(*) FROM items") == 49)
            // One for all, then two for each halving: 50, 25, 13, 7, 4, 2, 1.
            #expect(try await database.count("SELECT last_value FROM statements") <= 13)
        }
    }

    @Test func `bad rows everywhere fail, the good ones between them do not`() async throws {
        try await withItems(check: "id % 2 = 0") { database, client in
            let insert = insertItems(maxBatchSize: 50, maxConcurrentBatches: 1)
            let errors = try await inOneGroup(0..<50, insert, database, client)
            #expect(errors.keys.sorted() == (0..<50).filter { $0 % 2 == 1 })
            #expect(errors.values.allSatisfy { $0 == .refused(SQLState("23514"), constraint: "items_check") })
            #expect(try await database.count("SELECT count(*) FROM items") == 25)
            #expect(try await database.count("SELECT last_value FROM statements") <= 99)
        }
    }

    @Test(
        arguments: [
            ("08006", "", .unavailable(.nodeUnreachable(SQLState("08006")))),
            (
                "XX000", "failure on connection marked as essential: 10.0.0.7:5432",
                .unavailable(.nodeUnreachable(SQLState("XX000")))
            ),
            ("23514", "a check of a node, which has no name here", .refused(SQLState("23514"), constraint: nil)),
        ] as [(String, String, DatabaseError)])
    func `those whom their node fails fail, the others of their group do not`(
        code: String, message: String, error: DatabaseError
    ) async throws {
        try await withItems { database, client in
            try await database.execute(
                """
                CREATE FUNCTION reach(id bigint) RETURNS boolean LANGUAGE plpgsql AS $$
                BEGIN
                    IF id % 10 = 3 THEN RAISE EXCEPTION USING ERRCODE = '\(code)', MESSAGE = '\(message)'; END IF;
                    RETURN true;
                END $$;
                ALTER TABLE items ADD CHECK (reach(id))
                """)
            let insert = insertItems(maxBatchSize: 50, maxConcurrentBatches: 1)
            let errors = try await inOneGroup(0..<50, insert, database, client)
            #expect(errors.keys.sorted() == [3, 13, 23, 33, 43])
            #expect(errors.values.allSatisfy { $0 == error })
        }
    }

    @Test func `a fault of the statement fails the whole group at once`() async throws {
        try await withItems { database, client in
            let insert = insertItems(maxBatchSize: 50, maxConcurrentBatches: 1)
            _ = try await client.run(insert, 1000, until: .now + .seconds(5))
            try await database.execute("ALTER TABLE items RENAME TO gone; SELECT setval('statements', 1)")
            let errors = try await inOneGroup(0..<50, insert, database, client)
            #expect(errors.count == 50)
            #expect(errors.values.allSatisfy { $0 == .refused(SQLState("42P01"), constraint: nil) })
        }
    }

    @Test func `callers of one group with different deadlines are each answered at their own`() async throws {
        try await withItems { database, client in
            let insert = insertItems(maxBatchSize: 50, maxConcurrentBatches: 1, pause: "1")
            async let blocker = client.run(insert, 0, until: .now + .seconds(5))
            try await database.waitForSleeping()
            // These two go in one execution, which lasts from 1 to 2 s.
            async let patient = client.run(insert, 1, until: .now + .seconds(5))
            try await Task.sleep(for: .milliseconds(20))
            let hasty = await timed { try await client.run(insert, 2, until: .now + .milliseconds(1200)) }
            #expect(hasty.result.databaseError == .unavailable(.timedOut))
            #expect(hasty.duration < .milliseconds(1900))
            #expect(try await blocker == 0)
            #expect(try await patient == 2)
        }
    }

    @Test func `when all of a group are out of time, those of the next one are served`() async throws {
        try await withItems { database, client in
            let insert = insertItems(
                maxBatchSize: 2, maxConcurrentBatches: 1, pause: "CASE WHEN id < 2 THEN 5 ELSE 0 END")
            async let slow = timed { try await client.run(insert, 0, until: .now + .milliseconds(300)) }
            try await database.waitForSleeping()
            let next = await timed { try await client.run(insert, 7, until: .now + .seconds(2)) }
            #expect(try next.result.get() == 14)
            #expect(next.duration < .milliseconds(1500))
            #expect(await slow.result.databaseError == .unavailable(.timedOut))
        }
    }
}

/// A table whose inserts are counted by statement, also those that fail: a sequence counts on through a rollback.
private func withItems(
    check: String = "true", _ body: (TestDatabase, DatabaseClient) async throws -> Void
) async throws {
    try await TestDatabase.withEmpty { database in
        try await database.execute(
            """
            CREATE TABLE items (id bigint PRIMARY KEY, CONSTRAINT items_check CHECK (\(check)));
            CREATE SEQUENCE statements;
            CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM nextval('statements'); RETURN NULL; END $$;
            CREATE TRIGGER count_statement BEFORE INSERT ON items FOR EACH STATEMENT EXECUTE FUNCTION count_statement()
            """)
        try await DatabaseClient.running(on: database.address) { try await body(database, $0) }
    }
}

/// Answers each id with its double.
private func insertItems(
    maxBatchSize: Int, maxConcurrentBatches: Int, pause: String? = nil
) -> GroupedQuery<Int64, Int64> {
    let sleep = pause.map {
        ", LATERAL (SELECT pg_sleep(max(\($0))) FROM unnest($1::bigint[]) AS u(id)) AS pause WHERE pause IS NOT NULL"
    }
    let sql = "INSERT INTO items SELECT new.id FROM unnest($1::bigint[]) AS new(id)\(sleep ?? "") RETURNING id, id * 2"
    return GroupedQuery(
        name(of: sql), sql,
        maxBatchSize: maxBatchSize, maxConcurrentBatches: maxConcurrentBatches,
        encode: { inputs in [.numbers(inputs)] },
        decode: { result, inputs throws(DatabaseError) in
            var doubles: [Int64: Int64] = [:]
            try result.forEachRow { row throws(DatabaseError) in
                let id = try row.int64()
                doubles[id] = try row.int64()
            }
            return inputs.map { doubles[$0] ?? -1 }
        })
}

/// Runs all in the one execution that follows a first one, and returns the errors.
private func inOneGroup(
    _ ids: Range<Int64>, _ insert: GroupedQuery<Int64, Int64>, _ database: TestDatabase, _ client: DatabaseClient
) async throws -> [Int64: DatabaseError] {
    // All connections are taken, so that the callers come together in the line.
    let sleep = perform("SELECT pg_sleep(1)")
    async let one: Void = client.run(sleep)
    async let two: Void = client.run(sleep)
    async let three: Void = client.run(sleep)
    async let four: Void = client.run(sleep)
    try await database.waitForSleeping(4)
    let errors = await withTaskGroup(of: (Int64, DatabaseError?).self) { group in
        for id in ids {
            group.addTask {
                do throws(DatabaseError) {
                    let double = try await client.run(insert, id, until: .now + .seconds(5))
                    #expect(double == id * 2)
                    return (id, nil)
                } catch {
                    return (id, error)
                }
            }
        }
        return await group.reduce(into: [Int64: DatabaseError]()) { $0[$1.0] = $1.1 }
    }
    _ = try await (one, two, three, four)
    return errors
}

/// The most statements seen in `pg_sleep` at once.
private func mostSleeping(in database: TestDatabase, for time: Duration) async throws -> Int {
    let end = ContinuousClock.now + time
    var most = 0
    while ContinuousClock.now < end {
        most = max(
            most,
            try await database.count(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"))
    }
    return most
}
