// What PostgreSQL refuses, and what the client makes of it.

import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct ClientErrorTests {
    @Test func `a value that does not fit is refused with its SQLSTATE and is not repeated`() async throws {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                let before = try await client.backend()
                let query = read("SELECT $1::text::bigint") { row throws(DatabaseError) in
                    try row.int64()
                }
                let result = await timed { try await client.run(query, [.text("personal-data")]) }
                    .result
                let error = try #require(result.databaseError)
                #expect(error == .refused(SQLState("22P02"), constraint: nil))
                #expect(!"\(error)".contains("personal"))
                #expect(!String(reflecting: error).contains("personal"))
                #expect(try await client.backend() == before)
            }
        }
    }

    @Test func `a broken constraint is named, its values are not`() async throws {
        try await TestDatabase.withEmpty { database in
            try await database.execute("CREATE TABLE users (name text CONSTRAINT users_name_unique UNIQUE)")
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                let insert = perform("INSERT INTO users VALUES ($1::text)")
                try await client.run(insert, [.text("personal-data")])
                let result = await timed { try await client.run(insert, [.text("personal-data")]) }
                    .result
                let error = try #require(result.databaseError)
                #expect(error == .refused(SQLState("23505"), constraint: "users_name_unique"))
                #expect("\(error)".contains("users_name_unique"))
                #expect(!String(reflecting: error).contains("personal"))
            }
        }
    }

    @Test func `a statement that is wrong is refused each time, whatever was prepared before`() async throws {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                for _ in 1...2 {
                    let result = await timed { try await client.run(perform("SELECT * FROM missing")) }.result
                    #expect(result.databaseError == .refused(SQLState("42P01"), constraint: nil))
                }
                try await database.execute("CREATE TABLE missing ()")
                try await client.run(perform("SELECT * FROM missing"))
            }
        }
    }

    @Test func `a lock that is not had within a second is given up`() async throws {
        try await TestDatabase.withEmpty { database in
            try await database.execute("CREATE TABLE locked (n int)")
            let transaction = try OpenTransaction(in: database, "LOCK TABLE locked")
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                let blocked = await timed { try await client.run(perform("INSERT INTO locked VALUES (1)")) }
                #expect(blocked.result.databaseError == .unavailable(.exhausted(SQLState("55P03"))))
                #expect(blocked.duration > .milliseconds(900))
                #expect(blocked.duration < .milliseconds(1900))
                try transaction.end("ROLLBACK")
                try await client.run(perform("INSERT INTO locked VALUES (1)"))
            }
        }
    }

    @Test func `the server ends a statement after two seconds`() async throws {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                let slow = await timed { try await client.run(perform("SELECT pg_sleep(5)")) }
                #expect(slow.result.databaseError == .unavailable(.exhausted(SQLState("57014"))))
                #expect(slow.duration < .seconds(4))
            }
        }
    }

    @Test(arguments: ["53100", "53200", "53300", "57014", "55P03"])
    func `a server without resources is unavailable`(code: String) async throws {
        try await withRaisingDatabase { database, client in
            let result = await timed { try await client.run(perform("SELECT raise('\(code)', 1000)")) }.result
            #expect(result.databaseError == .unavailable(.exhausted(SQLState(code))))
            let attempts = try await database.count("SELECT last_value FROM raised")
            #expect(attempts == 1)
        }
    }

    @Test(arguments: ["40001", "40P01", "57P01", "08006", "25006", "26000"])
    func `what may pass on another try is tried again`(code: String) async throws {
        try await withRaisingDatabase { database, client in
            try await client.run(perform("SELECT raise('\(code)', 1)"))
            #expect(try await database.count("SELECT last_value FROM raised") == 2)
        }
    }

    @Test(arguments: ["40001", "57P01"])
    func `what never passes is tried until the deadline`(code: String) async throws {
        try await withRaisingDatabase { _, client in
            let result = await timed {
                try await client.run(perform("SELECT raise('\(code)', 1000000)"), within: .milliseconds(300))
            }
            #expect(result.result.databaseError == .unavailable(.timedOut))
            #expect(result.duration >= .milliseconds(300))
            #expect(result.duration < .milliseconds(1500))
        }
    }

    @Test func `a node of the database that stays out of reach is given up after one more attempt`() async throws {
        try await withRaisingDatabase { database, client in
            let result = await timed { try await client.run(perform("SELECT raise('08006', 1000)")) }.result
            #expect(result.databaseError == .unavailable(.nodeUnreachable(SQLState("08006"))))
            let attempts = try await database.count("SELECT last_value FROM raised")
            #expect(attempts == 2)
        }
    }

    @Test func `a statement that stays unknown is refused after one more attempt`() async throws {
        try await withRaisingDatabase { database, client in
            let result = await timed { try await client.run(perform("SELECT raise('26000', 1000)")) }.result
            #expect(result.databaseError == .refused(SQLState("26000"), constraint: nil))
            let attempts = try await database.count("SELECT last_value FROM raised")
            #expect(attempts == 2)
        }
    }

    @Test func `concurrent updates of one row that cannot be serialized all succeed`() async throws {
        try await TestDatabase.withEmpty { database in
            try await database.execute(
                """
                CREATE TABLE counter (n int); INSERT INTO counter VALUES (0);
                CREATE SEQUENCE attempts;
                ALTER DATABASE \(database.name) SET default_transaction_isolation = 'repeatable read'
                """)
            let update = perform(
                "UPDATE counter SET n = n + 1 WHERE nextval('attempts') > 0 AND pg_sleep(0.005) IS NOT NULL")
            try await DatabaseClient.running(on: database.address, connections: 4) { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<40 { group.addTask { try await client.run(update) } }
                    try await group.waitForAll()
                }
                #expect(try await database.count("SELECT n FROM counter") == 40)
                // There were failures to try again.
                #expect(try await database.count("SELECT last_value FROM attempts") > 40)
            }
        }
    }

    @Test func `a deadlock's victim is tried again`() async throws {
        try await TestDatabase.withEmpty { database in
            try await database.execute(
                """
                CREATE TABLE items (id int, n int); INSERT INTO items VALUES (1, 0), (2, 0);
                CREATE SEQUENCE attempts;
                CREATE FUNCTION raise_both(a int, b int) RETURNS void LANGUAGE plpgsql AS $$
                BEGIN
                    PERFORM nextval('attempts');
                    UPDATE items SET n = n + 1 WHERE id = a;
                    PERFORM pg_sleep(0.1);
                    UPDATE items SET n = n + 1 WHERE id = b;
                END $$;
                ALTER DATABASE \(database.name) SET deadlock_timeout = '50ms'
                """)
            try await DatabaseClient.running(on: database.address, connections: 2) { client in
                async let one: Void = client.run(perform("SELECT raise_both(1, 2)"))
                async let other: Void = client.run(perform("SELECT raise_both(2, 1)"))
                _ = try await (one, other)
                #expect(try await database.rows("SELECT n FROM items") == [["2"], ["2"]])
                #expect(try await database.count("SELECT last_value FROM attempts") >= 3)
            }
        }
    }
}

/// `SELECT raise(code, times)` fails with the code so many times, then succeeds.
private func withRaisingDatabase(_ body: (TestDatabase, DatabaseClient) async throws -> Void) async throws {
    try await TestDatabase.withEmpty { database in
        try await database.execute(
            """
            CREATE SEQUENCE raised;
            CREATE FUNCTION raise(code text, times int) RETURNS void LANGUAGE plpgsql AS $$
            BEGIN
                -- A sequence counts on through a rollback.
                IF nextval('raised') <= times THEN RAISE EXCEPTION 'raised' USING ERRCODE = code; END IF;
            END $$
            """)
        try await DatabaseClient.running(on: database.address, connections: 1) { try await body(database, $0) }
    }
}
