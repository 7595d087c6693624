// Partitions are made, filled and dropped beside requests, which neither fail nor wait long.

import LinkSessionRepository
import LinkSessions
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct PartitionRaceTests {
    @Test func `a row that is changed when late rows are to be moved is moved with its change`() async throws {
        try await Storage.with { storage in
            let id = try await storage.addSession(age: "2 days")
            let change = try OpenTransaction(
                in: storage.database, "UPDATE link_sessions SET expires_at = created_at WHERE id = \(id.sql)")
            async let maintained = try? storage.maintain()
            try await storage.database.waitForBlocked()
            try change.end("COMMIT")
            // It may have waited for too long; then the next one does it.
            _ = await maintained
            _ = try await storage.maintain()
            #expect(try await storage.places().allSatisfy { $0 != "link_sessions_default" })
            let stored = try await storage.stored(id)
            #expect(stored.expires == stored.created)
        }
    }

    @Test func `a change that comes while late rows are moved is not lost, and neither is the row`() async throws {
        try await Storage.with { storage in
            let id = try await storage.addSession(age: "2 days")
            // Open, however old its id is.
            try await storage.database.execute("UPDATE link_sessions SET expires_at = now() + interval '5 minutes'")
            for _ in 0..<3 { _ = try await storage.find(id) }
            let move = try OpenTransaction(
                in: storage.database,
                "SELECT add_partition('link_sessions', (now() AT TIME ZONE 'UTC')::date - 2)")
            async let expired = storage.expire(id)
            try await storage.database.waitForBlocked()
            try move.end("COMMIT")
            let answer = try await expired
            let found = try #require(try await storage.find(id))
            // Whoever asks at this very moment may be told that there is no such session, and can ask again.
            #expect(answer == nil || answer?.status == .expired)
            #expect((answer?.status == .expired) == (found.status == .expired))
            #expect(try await storage.expire(id)?.status == .expired)
            #expect(try await storage.places().allSatisfy { $0 != "link_sessions_default" })
        }
    }

    @Test func `a lock that is held for long makes a step give up, and nothing is lost`() async throws {
        try await Storage.with { storage in
            let id = try await storage.addSession(age: "2 days")
            let change = try OpenTransaction(
                in: storage.database, "UPDATE link_sessions SET expires_at = created_at WHERE id = \(id.sql)")
            await #expect(throws: RepositoryError.unavailable(cause: "the database gave up (SQLSTATE 55P03)")) {
                while try await storage.retention.step(keeping: 30, until: soon)?.isLast == false {}
            }
            try change.end("ROLLBACK")
            #expect(try await storage.places() == ["link_sessions_default"])
            _ = try await storage.maintain()
            #expect(try await storage.places() != ["link_sessions_default"])
            #expect(try await storage.find(id)?.id == id)
        }
    }

    /// Its row was on the way to the default partition, which takes it no more.
    @Test func `a create that waits while today's partition is made is stored in it`() async throws {
        try await Storage.with(hasPartitions: false) { storage in
            _ = try await storage.find(try TestToken().id)
            let step = try OpenTransaction(
                in: storage.database, "SELECT add_partition('link_sessions', (now() AT TIME ZONE 'UTC')::date)")
            let token = try TestToken()
            async let created = storage.create(try storage.new(), token)
            try await storage.database.waitForBlocked()
            try step.end("COMMIT")
            #expect(try await created.id == token.id)
            #expect(try await storage.find(token.id)?.status == .open)
            #expect(try await storage.places().allSatisfy { $0 != "link_sessions_default" })
        }
    }

    @Test func `creates go on while a step that makes a partition has not committed`() async throws {
        try await Storage.with { storage in
            for table in ["link_sessions", "link_session_events", "sign_ins"] {
                try await storage.database.execute(
                    "DO $$ BEGIN EXECUTE 'DROP TABLE \(table)_' || to_char((now() AT TIME ZONE 'UTC')::date + 7, 'YYYYMMDD'); END $$"
                )
            }
            let step = try OpenTransaction(in: storage.database, "SELECT * FROM maintain_partitions(30)")
            for _ in 0..<20 { _ = try await storage.created() }
            try step.end("COMMIT")
            #expect(try await storage.maintain().added == 2)
        }
    }

    @Test func `no request fails or waits long while days are dropped, made and moved`() async throws {
        try await Storage.with(connections: 8) { storage in
            for days in [40, 41, 42] {
                try await storage.addPartition(days: days)
                try await storage.database.addSessions(20_000, age: "\(days) days", of: storage.acme.id.number)
            }
            for days in 2...4 { try await storage.addLateRows(2000, age: "\(days) days") }
            let longest = try await storage.longestRequest { _ = try await storage.maintain() }
            #expect(longest < .milliseconds(250))
            #expect(
                try await storage.database.count(
                    "SELECT count(*) FROM link_sessions WHERE id < first_id_at(now() - interval '35 days')") == 0)
        }
    }

    /// As a backup reads: a drop has to wait for it, and everybody waits behind the drop.
    @Test func `no request waits long while somebody reads all and a day is to be dropped`() async throws {
        try await Storage.with(connections: 8) { storage in
            try await storage.addPartition(days: 40)
            let reader = try OpenTransaction(in: storage.database, "SELECT count(*) FROM link_sessions")
            let longest = try await storage.longestRequest {
                await #expect(throws: RepositoryError.unavailable(cause: "the database gave up (SQLSTATE 55P03)")) {
                    try await storage.maintain()
                }
            }
            #expect(longest < .milliseconds(250))
            try reader.end("COMMIT")
            _ = try await storage.maintain()
            #expect(try await storage.partitions().count == 24)
        }
    }
}

extension Storage {
    fileprivate func addPartition(days: Int) async throws {
        try await database.execute(
            "SELECT add_partition('link_sessions', (now() AT TIME ZONE 'UTC')::date - \(days))")
    }

    /// Creates sessions and finds them in four tasks while `body` runs; how long the slowest call took.
    fileprivate func longestRequest(while body: () async throws -> Void) async throws -> Duration {
        let isDone = Flag()
        let callers = (0..<4).map { _ in
            Task { () async throws -> Duration in
                var longest = Duration.zero
                while !isDone.isSet {
                    let start = ContinuousClock.now
                    let id = try await created()
                    let between = ContinuousClock.now
                    _ = try await find(id)
                    longest = max(longest, between - start, ContinuousClock.now - between)
                }
                return longest
            }
        }
        // Statements are prepared, and plans are made.
        try await Task.sleep(for: .milliseconds(300))
        try await body()
        isDone.set()
        var longest = Duration.zero
        for caller in callers { longest = max(longest, try await caller.value) }
        return longest
    }
}

private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)

    var isSet: Bool { value.load(ordering: .relaxed) }

    func set() { value.store(true, ordering: .relaxed) }
}
