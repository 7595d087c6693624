// The client on a healthy server: deadlines, refusals, the waiting line, cancellation, shutdown.

import PostgresClient
import Synchronization
import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

@Suite(.timeLimit(.minutes(1))) struct ClientTests {
    // MARK: Deadlines

    @Test func `a query that takes too long is answered at its deadline, and the next one works at once`() async throws
    {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                _ = try await client.backend()
                let slow = await timed {
                    try await client.run(perform("SELECT pg_sleep(5)"), within: .milliseconds(300))
                }
                #expect(slow.result.databaseError == .unavailable(.timedOut))
                #expect(slow.duration >= .milliseconds(300))
                #expect(slow.duration < .milliseconds(1500))
                try await client.run(perform("SELECT 1"), within: .seconds(1))
                // client_connection_check_interval and statement_timeout: nobody waits for it any more.
                try await database.waitForSleeping(0)
            }
        }
    }

    @Test func `a call that waits in line is answered at its deadline`() async throws {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                async let slow: Void = client.run(perform("SELECT pg_sleep(1.5)"))
                try await database.waitForSleeping()
                let waiting = await timed { try await client.run(perform("SELECT 1"), within: .milliseconds(200)) }
                #expect(waiting.result.databaseError == .unavailable(.timedOut))
                #expect(waiting.duration >= .milliseconds(200))
                #expect(waiting.duration < .seconds(1))
                try await slow
            }
        }
    }

    @Test func `a call with little time does not wait for one with more that came before it`() async throws {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                async let slow: Void = client.run(perform("SELECT pg_sleep(1.5)"))
                try await database.waitForSleeping()
                async let patient: Void = client.run(perform("SELECT 1"), within: .seconds(5))
                try await Task.sleep(for: .milliseconds(50))
                let hasty = await timed { try await client.run(perform("SELECT 1"), within: .milliseconds(200)) }
                #expect(hasty.result.databaseError == .unavailable(.timedOut))
                #expect(hasty.duration < .seconds(1))
                try await slow
                try await patient
            }
        }
    }

    @Test func `a call whose deadline has passed already is not carried out`() async throws {
        try await TestDatabase.withEmpty { database in
            try await database.execute("CREATE TABLE written (n int)")
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                let late = await timed {
                    try await client.run(perform("INSERT INTO written VALUES (1)"), within: .milliseconds(-1))
                }
                #expect(late.result.databaseError == .unavailable(.timedOut))
                _ = try await client.backend()
                #expect(try await database.count("SELECT count(*) FROM written") == 0)
            }
        }
    }

    // MARK: What PostgreSQL refuses

    @Test func `a value that does not fit is refused with its SQLSTATE and is not repeated`() async throws {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                let before = try await client.backend()
                let query = ask("SELECT $1::text::bigint", { (text: String, to) in to.append(text) }) {
                    row throws(DatabaseError) in try row.int64(0)
                }
                let result = await timed { try await client.run(query, "personal-data", until: .now + .seconds(5)) }
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
                let insert = ask("INSERT INTO users VALUES ($1::text)", { (text: String, to) in to.append(text) }) {
                    _ in ()
                }
                _ = try await client.run(insert, "personal-data", until: .now + .seconds(5))
                let result = await timed { try await client.run(insert, "personal-data", until: .now + .seconds(5)) }
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

    // MARK: The waiting line

    @Test func `callers beyond the line's limit are refused at once`() async throws {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 1, waitingLimit: 3) { client in
                async let slow: Void = client.run(perform("SELECT pg_sleep(1.5)"))
                try await database.waitForSleeping()
                let results = await withTaskGroup(of: (DatabaseError?, Duration).self) { group in
                    for _ in 0..<10 {
                        group.addTask {
                            let (result, duration) = await timed { try await client.run(perform("SELECT 1")) }
                            return (result.databaseError, duration)
                        }
                    }
                    return await group.reduce(into: []) { $0.append($1) }
                }
                #expect(results.count { $0.0 == nil } == 3)
                let refused = results.filter { $0.0 == .unavailable(.overloaded) }
                #expect(refused.count == 7)
                #expect(refused.allSatisfy { $0.1 < .seconds(1) })
                try await slow
                // Those who left the line made room.
                try await client.run(perform("SELECT 1"))
            }
        }
    }

    @Test func `callers are served in the order in which they came`() async throws {
        try await TestDatabase.withEmpty { database in
            try await database.execute("CREATE TABLE served (place int GENERATED ALWAYS AS IDENTITY, caller int)")
            let insert = ask(
                "INSERT INTO served (caller) VALUES ($1::bigint)", { (caller: Int64, to) in to.append(caller) }
            ) {
                _ in ()
            }
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                async let slow: Void = client.run(perform("SELECT pg_sleep(0.3)"))
                try await database.waitForSleeping()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for caller in 0..<8 {
                        group.addTask { _ = try await client.run(insert, Int64(caller), until: .now + .seconds(5)) }
                        try await Task.sleep(for: .milliseconds(10))
                    }
                    try await group.waitForAll()
                }
                try await slow
                let callers = try await database.rows("SELECT caller FROM served ORDER BY place").map { $0[0] }
                #expect(callers == (0..<8).map { "\($0)" })
            }
        }
    }

    @Test func `every connection works`() async throws {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 4) { client in
                let sleep = read("SELECT pg_backend_pid() FROM pg_sleep(1)") { row throws(DatabaseError) in
                    try row.int32(0)
                }
                let backends = try await withThrowingTaskGroup(of: Int32.self) { group in
                    for _ in 0..<4 { group.addTask { try await client.run(sleep)[0] } }
                    return try await group.reduce(into: Set<Int32>()) { $0.insert($1) }
                }
                #expect(backends.count == 4)
            }
        }
    }

    // MARK: Cancellation

    @Test func `cancelling a call that waits takes it out of the line`() async throws {
        try await TestDatabase.withEmpty { database in
            try await database.execute("CREATE TABLE written (n int)")
            try await DatabaseClient.running(on: database.address, connections: 1, waitingLimit: 1) { client in
                async let slow: Void = client.run(perform("SELECT pg_sleep(1.5)"))
                try await database.waitForSleeping()
                let waiting = Task { await timed { try await client.run(perform("INSERT INTO written VALUES (1)")) } }
                // A probe before it stands in line would take its place.
                try await Task.sleep(for: .milliseconds(100))
                let more = await timed { try await client.run(perform("SELECT 1")) }
                #expect(more.result.databaseError == .unavailable(.overloaded))
                waiting.cancel()
                let (result, duration) = await waiting.value
                #expect(result.databaseError == .cancelled)
                #expect(duration < .milliseconds(1200))
                async let next: Void = client.run(perform("SELECT 1"))
                _ = try await (slow, next)
                #expect(try await database.count("SELECT count(*) FROM written") == 0)
            }
        }
    }

    @Test func `a call from a task that is cancelled already does not wait`() async throws {
        try await TestDatabase.withEmpty { database in
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                async let slow: Void = client.run(perform("SELECT pg_sleep(1.5)"))
                try await database.waitForSleeping()
                let cancelled = Task {
                    withUnsafeCurrentTask { $0?.cancel() }
                    return await timed { try await client.run(perform("SELECT 1")) }
                }
                let (result, duration) = await cancelled.value
                #expect(result.databaseError == .cancelled)
                #expect(duration < .seconds(1))
                try await slow
            }
        }
    }

    @Test func `cancelling a call under way lets it end`() async throws {
        try await TestDatabase.withEmpty { database in
            try await database.execute("CREATE TABLE written (n int)")
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                let call = Task {
                    try await client.run(perform("INSERT INTO written SELECT 1 FROM pg_sleep(0.2)"))
                }
                try await database.waitForSleeping()
                call.cancel()
                try await call.value
                #expect(try await database.count("SELECT count(*) FROM written") == 1)
            }
        }
    }

    // MARK: Shutdown

    @Test func `shutdown refuses who waits and who comes, and lets end what is under way`() async throws {
        try await TestDatabase.withEmpty { database in
            let client = try DatabaseClient.underTest(database.address, connections: 1)
            let running = Task { try await client.run() }
            async let underWay: Void = client.run(perform("SELECT pg_sleep(1.5)"))
            try await database.waitForSleeping()
            let waiting = (0..<5).map { _ in Task { await timed { try await client.run(perform("SELECT 1")) } } }
            try await Task.sleep(for: .milliseconds(50))
            running.cancel()
            let end = await timed { try await running.value }
            #expect(end.duration < .seconds(1))
            for call in waiting {
                let (result, _) = await call.value
                #expect(result.databaseError == .unavailable(.shuttingDown))
            }
            let late = await timed { try await client.run(perform("SELECT 1")) }
            #expect(late.result.databaseError == .unavailable(.shuttingDown))
            #expect(late.duration < .seconds(1))
            try await underWay
            // Its connection is closed behind it.
            try await wait(until: "the connection is closed") {
                try await database.count(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'client under test'"
                ) == 0
            }
        }
    }

    @Test func `a client runs once`() async throws {
        let client = try DatabaseClient.underTest(
            DatabaseAddress(connectionString: TestEnvironment.databaseURL), connections: 1)
        let running = Task { try await client.run() }
        try await client.run(perform("SELECT 1"))
        await #expect(throws: DatabaseClientStartError.self) { try await client.run() }
        try await client.run(perform("SELECT 1"))
        running.cancel()
        try await running.value
        await #expect(throws: DatabaseClientStartError.self) { try await client.run() }
    }

    @Test func `an address that does not answer: calls time out, and shutdown does not wait for it`() async throws {
        let silent = try SilentServer()
        let client = try DatabaseClient.underTest(
            DatabaseAddress(connectionString: "postgres://postgres@127.0.0.1:\(silent.port)/postgres?sslmode=disable"),
            connections: 3)
        let running = Task { try await client.run() }
        let call = await timed { try await client.run(perform("SELECT 1"), within: .milliseconds(200)) }
        #expect(call.result.databaseError == .unavailable(.timedOut))
        #expect(call.duration < .milliseconds(1500))
        let waiting = Task { await timed { try await client.run(perform("SELECT 1")) } }
        try await Task.sleep(for: .milliseconds(50))
        running.cancel()
        let end = await timed { try await running.value }
        #expect(end.duration < .seconds(1))
        let (result, _) = await waiting.value
        #expect(result.databaseError == .unavailable(.shuttingDown))
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

/// Takes connections and never says a word.
private final class SilentServer {
    let port: UInt16
    private let descriptor: CInt

    init() throws {
        #if canImport(Glibc)
            let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        #else
            let descriptor = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isListening = withUnsafeMutableBytes(of: &address) { bytes in
            let address = bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self)
            return bind(descriptor, address, length) == 0 && listen(descriptor, 16) == 0
                && getsockname(descriptor, address, &length) == 0
        }
        try #require(isListening)
        self.descriptor = descriptor
        port = UInt16(bigEndian: address.sin_port)
    }

    deinit { close(descriptor) }
}
