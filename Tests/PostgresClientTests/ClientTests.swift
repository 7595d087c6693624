// The client on a healthy server: deadlines, cancellation, shutdown.

import PostgresClient
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

    @Test func `the connect_timeout of a connection string goes before our own`() async throws {
        let silent = try SilentServer()
        let address = try DatabaseAddress(
            connectionString:
                "postgres://postgres@127.0.0.1:\(silent.port)/postgres?sslmode=disable&connect_timeout=4")
        let attempt = await timed {
            try await onThread { _ = try Connection.open(to: address, applicationName: "test", settings: "") }
        }
        #expect(throws: ConnectionError.self) { try attempt.result.get() }
        #expect(attempt.duration > .seconds(3) && attempt.duration < .seconds(8), "\(attempt.duration)")
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
