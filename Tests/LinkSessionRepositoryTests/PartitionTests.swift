// A partition a day: made ahead, and without them nothing is refused or lost.

import LinkSessionRepository
import LinkSessions
import TestSupport
import Testing
import TokenGenerator

@Suite(.timeLimit(.minutes(1))) struct PartitionTests {
    // MARK: Made ahead

    @Test func `today's partitions and those of the week to come are made, and no others`() async throws {
        try await Storage.with(hasPartitions: false) { storage in
            #expect(try await storage.maintain().added == 24)
            let expected = try await storage.database.rows(
                """
                SELECT parent || to_char((now() AT TIME ZONE 'UTC')::date + day, '_YYYYMMDD') AS name
                FROM unnest(ARRAY['link_sessions', 'link_session_events', 'sign_ins']) AS parent,
                     generate_series(0, 7) AS day
                ORDER BY name
                """)
            #expect(try await storage.partitions() == expected.joined().compactMap(\.self))
            #expect(try await storage.maintain().added == 0)
        }
    }

    @Test func `a partition has its day from the first millisecond to the last, and the same rules as its table`()
        async throws
    {
        try await Storage.with { storage in
            let day = "date_trunc('day', now(), 'UTC') + interval '2 days'"
            let next = "date_trunc('day', now(), 'UTC') + interval '3 days'"
            for (time, at) in [("first", day), ("last", "\(next) - interval '1 millisecond'"), ("next", next)] {
                try await storage.database.execute(
                    """
                    INSERT INTO link_sessions (
                        id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at)
                    VALUES (\(TestDatabase.sessionID(at: at, shard: "255", number: "7")), 255, sha256('x'), 1, '\(time)',
                            'https://a.example/', 'nl', now(), now())
                    """)
            }
            let rows = try await storage.database.rows(
                """
                SELECT user_id, \(Storage.place)
                           = 'link_sessions_' || to_char((now() AT TIME ZONE 'UTC')::date + 2, 'YYYYMMDD')
                FROM link_sessions ORDER BY id
                """)
            #expect(rows == [["first", "true"], ["last", "true"], ["next", "false"]])
            for table in ["link_sessions", "link_session_events", "sign_ins"] {
                let rules = try await storage.database.rows(
                    """
                    SELECT DISTINCT string_agg(pg_get_constraintdef(k.oid), ';' ORDER BY pg_get_constraintdef(k.oid))
                    FROM pg_constraint k
                    WHERE contype <> 'n' AND (conrelid = '\(table)'::regclass
                       OR conrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = '\(table)'::regclass))
                    GROUP BY conrelid
                    """)
                #expect(rules.count == 1, "\(table)")
            }
        }
    }

    // MARK: Days without a partition

    @Test func `sessions of a day without a partition lie in the default one, and are found and changed`() async throws
    {
        try await Storage.with(hasPartitions: false) { storage in
            let ids = [try await storage.created(), try await storage.created()]
            #expect(try await storage.places() == ["link_sessions_default", "link_sessions_default"])
            #expect(try await storage.find(ids[0])?.status == .open)
            #expect(try await storage.complete(ids[0]).session?.status == .completed)
            #expect(try await storage.expire(ids[1])?.status == .expired)
            #expect(try await storage.database.count("SELECT count(*) FROM link_session_events") == 2)
        }
    }

    @Test(arguments: [-40, -1, 30, 40_000] as [Int64])
    func `a replica whose clock is days off makes sessions that are found and live ten minutes`(days: Int64)
        async throws
    {
        try await Storage.with { storage in
            let seconds = Int64(try await storage.now()) + days * 86_400
            let generator = TokenGenerator(
                now: { UInt64(seconds) * 1_000_000_000 },
                randomWords: { () throws(RandomnessError) in (1, 2, 3, .random(in: .min ... .max)) })
            let token = try TestToken(generator)
            let created = try await storage.create(try storage.new(), token)
            #expect(abs(created.createdAt - Int64(try await storage.now())) <= 5)
            #expect(created.expiresAt == created.createdAt + 600)
            #expect(try await storage.find(token.id)?.status == .open)
            #expect(try await storage.complete(token.id).session?.status == .completed)
        }
    }

    @Test func `late rows are moved into their day's partitions once the day is over, each as it was`() async throws {
        try await Storage.with { storage in
            try await storage.addLateRows(100, age: "2 days")
            try await storage.addLateRows(100, age: "3 days")
            let today = try await storage.created()
            let before = try await storage.contents()
            #expect(try await storage.maintain().added == 6)
            #expect(try await storage.contents() == before)
            for table in ["link_sessions", "link_session_events", "sign_ins"] {
                #expect(try await storage.database.count("SELECT count(*) FROM \(table)_default") == 0, "\(table)")
            }
            let ids = try await storage.database.rows("SELECT id FROM link_sessions").joined().compactMap(\.self)
            #expect(ids.count == 201)
            for id in ids {
                #expect(try await storage.find(try #require(LinkSessionID(id)))?.id.text == id)
            }
            #expect(try await storage.find(today)?.status == .open)
        }
    }

    @Test func `late rows of today stay where they are`() async throws {
        try await Storage.with(hasPartitions: false) { storage in
            let id = try await storage.created()
            #expect(try await storage.maintain().added > 0)
            let other = try await storage.created()
            #expect(try await storage.places() == ["link_sessions_default", "link_sessions_default"])
            for id in [id, other] {
                #expect(try await storage.find(id)?.status == .open)
                #expect(try await storage.complete(id).session?.status == .completed)
            }
        }
    }
}

extension Storage {
    /// The names of all partitions but the default ones.
    func partitions() async throws -> [String] {
        try await database.rows(
            """
            SELECT relname::text AS name FROM pg_class
            WHERE relispartition AND relkind = 'r' AND relname !~ '_default$' ORDER BY name
            """
        ).joined().compactMap(\.self)
    }

    /// An SQL expression for the partition of a row, without the number that its table has besides on a node of a cluster.
    fileprivate static let place = "regexp_replace(tableoid::regclass::text, '_[0-9]{6}$', '')"

    /// Where the sessions lie, in the order of their ids.
    func places() async throws -> [String] {
        try await database.rows("SELECT \(Self.place) FROM link_sessions ORDER BY id")
            .joined().compactMap(\.self)
    }

    /// Every row of the data plane, as text.
    fileprivate func contents() async throws -> [[String?]] {
        try await database.rows(
            """
            SELECT t::text AS row FROM link_sessions t UNION ALL SELECT t::text FROM link_session_events t ORDER BY row
            """)
    }

    /// Sessions of a day that has no partition, each with an event and a sign-in.
    func addLateRows(_ count: Int, age: String) async throws {
        try await database.addSessions(count, age: age, of: acme.id.number)
        try await database.execute(
            """
            INSERT INTO link_session_events (session_id, shard, manufacturer_id, event, request_id)
            SELECT id, shard, manufacturer_id, 'opened', 'x' FROM link_sessions_default
            ON CONFLICT DO NOTHING;
            INSERT INTO sign_ins (session_id, shard, state_hash, supplier, language)
            SELECT id, shard, sha256('x'), 'green-grid', 'en' FROM link_sessions_default
            ON CONFLICT DO NOTHING
            """)
    }
}
