// What is old is dropped, a day at a time.

import LinkSessionRepository
import LinkSessions
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct RetentionTests {
    @Test func `whole days older than the retention time are dropped with their events and sign-ins, and nothing else`()
        async throws
    {
        try await Storage.with { storage in
            for days in [32, 31, 30, 29] { try await storage.addDay(days, sessions: 3) }
            try await storage.database.addSessions(4, age: "0 seconds", of: storage.acme.id.number)
            try await storage.database.execute(
                """
                INSERT INTO link_session_events (session_id, shard, manufacturer_id, event, request_id)
                SELECT id, shard, manufacturer_id, 'opened', 'x' FROM link_sessions;
                INSERT INTO sign_ins (session_id, shard, state_hash, supplier, language)
                SELECT id, shard, sha256('x'), 'green-grid', 'en' FROM link_sessions
                """)
            #expect(try await storage.maintain(keeping: 30) == (0, 6))
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 10)
            #expect(try await storage.database.count("SELECT count(*) FROM link_session_events") == 10)
            // Those of other days are forgotten by their age.
            #expect(try await storage.database.count("SELECT count(*) FROM sign_ins") == 4)
            for table in ["link_sessions", "link_session_events", "sign_ins"] {
                for (days, isThere) in [(32, false), (31, false), (30, true), (29, true), (0, true)] {
                    #expect(try await storage.hasPartition(of: table, days: days) == isThere, "\(table) \(days)")
                }
            }
            #expect(try await storage.maintain(keeping: 30) == (0, 0))
        }
    }

    @Test func `each step drops one day, the oldest first, and the last one says so`() async throws {
        try await Storage.with { storage in
            for days in [50, 40, 45, 1] { try await storage.addDay(days, sessions: 2000) }
            for days in [50, 45, 40] {
                let step = try #require(try await storage.retention.step(keeping: 30, until: soon))
                #expect(step.deleted == 2000 && !step.isLast)
                #expect(try await !storage.hasPartition(of: "link_sessions", days: days), "\(days)")
            }
            let last = try #require(try await storage.retention.step(keeping: 30, until: soon))
            #expect(last.deleted == 0 && last.isLast)
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 2000)
        }
    }

    @Test func `rows of old days without a partition are deleted, and their events`() async throws {
        try await Storage.with { storage in
            for age in ["40 days", "29 days"] {
                try await storage.database.addSessions(3, age: age, of: storage.acme.id.number)
            }
            try await storage.database.execute(
                """
                INSERT INTO link_session_events (session_id, shard, manufacturer_id, event, request_id)
                SELECT id, shard, manufacturer_id, 'opened', 'x' FROM link_sessions
                """)
            #expect(try await storage.maintain(keeping: 30).deleted == 3)
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 3)
            #expect(try await storage.database.count("SELECT count(*) FROM link_session_events") == 3)
        }
    }

    @Test func `while one works another is told so, and drops nothing`() async throws {
        try await Storage.with { storage in
            try await storage.addDay(40, sessions: 1)
            let other = try OpenTransaction(in: storage.database, "SELECT * FROM maintain_partitions(100)")
            #expect(try await storage.retention.step(keeping: 30, until: soon) == nil)
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 1)
            try other.end("COMMIT")
            #expect(try await storage.maintain(keeping: 30).deleted == 1)
        }
    }

    @Test func `of many who work at once no two do the same, and nobody fails`() async throws {
        try await Storage.with(connections: 4) { storage in
            for days in 40..<48 { try await storage.addDay(days, sessions: 10) }
            let deleted = try await withThrowingTaskGroup(of: Int64.self) { group in
                for _ in 0..<4 { group.addTask { try await storage.maintain(keeping: 30).deleted } }
                return try await group.reduce(into: 0) { $0 += $1 }
            }
            // Whoever was told that another is at work gave up, and that other one may have done only a step.
            #expect(deleted + (try await storage.maintain(keeping: 30).deleted) == 80)
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 0)
        }
    }

    @Test func `less than a day is no retention time`() async throws {
        try await Storage.with { storage in
            try await storage.addDay(2, sessions: 1)
            for days in [0, -1, Int(Int32.min)] {
                await #expect(throws: RepositoryError.self) {
                    try await storage.retention.step(keeping: days, until: soon)
                }
            }
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 1)
        }
    }

    @Test func `a NOX user is forgotten 400 days after its latest completion`() async throws {
        try await Storage.with { storage in
            for (user, days) in [("old", 401), ("new", 400)] {
                try await storage.database.execute(
                    """
                    INSERT INTO nox_users (manufacturer_id, user_id, last_linked_on)
                    VALUES (\(storage.acme.id.number), '\(user)', (now() AT TIME ZONE 'UTC')::date - \(days))
                    """)
            }
            _ = try await storage.maintain(keeping: 30)
            #expect(try await storage.database.rows("SELECT user_id FROM nox_users") == [["new"]])
        }
    }
}

extension Storage {
    /// Stores sessions of a day in partitions of its own, as they were made then.
    fileprivate func addDay(_ days: Int, sessions: Int) async throws {
        try await database.execute(
            """
            SELECT add_partition(parent, (now() AT TIME ZONE 'UTC')::date - \(days))
            FROM unnest(ARRAY['link_sessions', 'link_session_events', 'sign_ins']) AS parent
            """)
        try await database.addSessions(sessions, age: "\(days) days", of: acme.id.number)
    }

    fileprivate func hasPartition(of table: String, days: Int) async throws -> Bool {
        try await database.value(
            "SELECT to_regclass('\(table)_' || to_char((now() AT TIME ZONE 'UTC')::date - \(days), 'YYYYMMDD')) IS NOT NULL"
        ) == "true"
    }
}
