// The feed: its order, the ends of sessions whose time is over, and what an event says.

import LinkSessionRepository
import LinkSessions
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct EventFeedTests {
    @Test func `an event that is committed late comes behind what was read, and is not passed over`() async throws {
        try await Storage.with { storage in
            let (late, early) = (try await storage.created(), try await storage.created())
            let open = try OpenTransaction(
                in: storage.database,
                """
                INSERT INTO link_session_events (session_id, shard, manufacturer_id, event, request_id, position)
                SELECT id, shard, manufacturer_id, 'opened', 'late', 0 FROM link_sessions WHERE id = \(late.sql)
                """)
            _ = try await storage.lookUp(early)
            #expect(try await storage.advance() == true)
            let first = try await storage.page()
            #expect(first.events.map(\.session.id) == [early] && !first.hasMore)
            try open.end("COMMIT")
            #expect(try await storage.page(after: first.next).events.isEmpty, "it has no position yet")
            try await storage.advance()
            let second = try await storage.page(after: first.next)
            #expect(second.events.map(\.session.id) == [late])
            #expect(try await storage.page().events.map(\.session.id) == [early, late], "the order stays")

            // Whoever has read so far is woken by what came later alone.
            let state = try await storage.feed.state(after: first.next, until: soon)
            func changed(after position: FeedPosition) async throws -> [LinkSessionID]? {
                try await storage.feed.changes(of: [storage.acme.id], after: position, state, until: soon)?.map(
                    \.session)
            }
            #expect(try await changed(after: first.next) == [late])
            #expect(try await changed(after: second.next) == [])
        }
    }

    @Test func `positions ascend whatever the clock does, and one replica at a time gives them`() async throws {
        try await Storage.with { storage in
            // A clock was a hundred days ahead.
            try await storage.database.execute(
                "UPDATE event_feed SET (last_position, readable_position) = (SELECT p, p FROM (SELECT (extract(epoch FROM now()) * 1000000)::bigint + 8640000000000) AS far (p))"
            )
            let last = try #require(Int(try await storage.database.value("SELECT last_position FROM event_feed") ?? ""))
            for _ in 0..<3 { _ = try await storage.lookUp(try await storage.created()) }
            let other = try OpenTransaction(in: storage.database, "SELECT FROM event_feed FOR UPDATE")
            #expect(try await storage.advance() == nil)
            try other.end("ROLLBACK")
            try await storage.advance()
            #expect(
                try await storage.page().events.map(\.position.eventID) == (1...3).map { "evt_\(last + $0)" })
            let second = try await storage.page(after: try #require(FeedPosition(eventID: "evt_\(last + 1)")))
            #expect(second.events.count == 2, "their sessions are looked for a hundred days back")
        }
    }

    @Test func `a page is as long as its limit, says where to go on, and has the asked types alone`() async throws {
        try await Storage.with { storage in
            for _ in 0..<3 {
                let id = try await storage.created()
                _ = try await storage.lookUp(id)
                try await storage.complete(id)
            }
            _ = try await storage.lookUp(try await storage.created(of: storage.beta))
            try await storage.advance()
            let all = try await storage.page()
            #expect(all.events.map(\.kind) == [.opened, .completed, .opened, .completed, .opened, .completed])
            #expect(!all.hasMore && all.next == all.events.last?.position)
            try #require(all.events.count == 6)
            let two = try await storage.page(limit: 2)
            #expect(two.events.map(\.position) == all.events[..<2].map(\.position) && two.hasMore)
            #expect(try await storage.page(after: two.next).events.count == 4)
            let completed = try await storage.page([.completed], limit: 2)
            #expect(completed.events.map(\.kind) == [.completed, .completed] && completed.hasMore)
            #expect(completed.next == all.events[3].position)
            let last = try await storage.page(after: completed.next, [.completed], limit: 2)
            #expect(last.events.count == 1 && !last.hasMore)
            let none = try await storage.page(after: .start, [.confirmed])
            #expect(none.events.isEmpty && none.next == all.next && !none.hasMore, "nothing is looked at twice")
            #expect(try await storage.page(of: storage.beta).events.map(\.kind) == [.opened])
        }
    }

    @Test func `an event has the session as it was then, whatever followed`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            _ = try await storage.lookUp(id)
            let identity = SupplierIdentity(supplier: .sandbox, userID: "account")
            try await storage.complete(id, as: identity)
            let user = try ManufacturerUserID("manufacturer_user_id_123")
            _ = try await storage.sessions.confirm(id, userID: user, requestID: "c", until: soon)
            try await storage.advance()
            let events = try await storage.page().events
            #expect(events.map(\.kind) == [.opened, .completed, .confirmed])
            #expect(events.map(\.session.status) == [.open, .completed, .completed])
            #expect(events.map { $0.session.completedAt != nil } == [false, true, true])
            #expect(events.map { $0.session.confirmedAt != nil } == [false, false, true])
            #expect(events.map { $0.session.link?.noxUserID != nil } == [false, true, true])
            #expect(try await storage.feed.events(of: id, until: soon).map(\.position) == events.map(\.position))
            #expect(try await storage.feed.events(of: try TestToken().id, until: soon).isEmpty)
        }
    }

    @Test func `a session whose time is over has one end, where it was opened or its manufacturer asks for all`()
        async throws
    {
        try await Storage.with { storage in
            try await storage.beginAnew()
            let opened = try await storage.addSession(age: "11 minutes", user: "opened")
            let signedIn = try await storage.addSession(age: "11 minutes", user: "signed-in")
            let unseen = try await storage.addSession(age: "11 minutes", user: "unseen")
            let old = try await storage.addSession(age: "20 hours", user: "old")
            let young = try await storage.addSession(age: "9 minutes", user: "young")
            let early = try await storage.addSession(age: "11 minutes", user: "early")
            try await storage.database.execute(
                """
                UPDATE link_sessions SET opened_at = created_at WHERE user_id IN ('opened', 'old', 'young', 'early');
                UPDATE link_sessions SET sign_ins = 1 WHERE user_id = 'signed-in';
                INSERT INTO link_session_events (session_id, shard, manufacturer_id, event, request_id, position)
                SELECT id, shard, manufacturer_id, 'expired_early', 'x', 0 FROM link_sessions WHERE user_id = 'early'
                """)
            for _ in 0..<3 { try await storage.advance(whole: true) }
            let events = try await storage.page().events
            #expect(Set(events.map(\.session.id)) == [opened, signedIn, old, early] && events.count == 4)
            #expect(events.allSatisfy { $0.kind == .expired && $0.session.status == .expired })
            #expect(events.filter { $0.reason == "manufacturer" }.map(\.session.id) == [early])
            #expect(events.filter { $0.reason == "time" }.count == 3)

            try await storage.database.execute("UPDATE manufacturers SET expires_unopened = true")
            try await storage.beginAnew()
            for _ in 0..<3 { try await storage.advance(whole: true) }
            let more = try await storage.page(after: try #require(events.last).position).events
            #expect(more.map(\.session.id) == [unseen])
            _ = young
        }
    }

    @Test func `more sessions than a step takes all have their end, in as many steps`() async throws {
        try await Storage.with { storage in
            try await storage.beginAnew()
            try await storage.database.addSessions(4500, age: "11 minutes", of: storage.acme.id.number)
            try await storage.database.execute("UPDATE link_sessions SET opened_at = created_at")
            var steps = 1
            while try await storage.advance() == false { steps += 1 }
            #expect(steps == 3)
            #expect(
                try await storage.database.count(
                    "SELECT count(DISTINCT position) FROM link_session_events WHERE event = 'expired'") == 4500)
        }
    }

    @Test(.disabled(if: TestEnvironment.citusNodes != nil, "Citus sets no random times"))
    func `a session that is completed at the last moment has one end, and it is the one that it has`()
        async throws
    {
        try await Storage.with(connections: 8) { storage in
            try await storage.beginAnew()
            try await storage.database.addSessions(160, age: "603 seconds", of: storage.acme.id.number)
            // As if each had a little time left, though its id says that it is over.
            try await storage.database.execute(
                """
                UPDATE link_sessions SET opened_at = created_at, created_at = created_at + interval '2 seconds',
                    expires_at = clock_timestamp() + random() * interval '1 second'
                """)
            let ids = try await storage.database.rows("SELECT id FROM link_sessions").compactMap {
                $0[0].flatMap { LinkSessionID($0) }
            }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<2 {
                    group.addTask {
                        let end = ContinuousClock.now + .seconds(2)
                        while ContinuousClock.now < end {
                            try await storage.advance(whole: true)
                            try await storage.database.execute(
                                "UPDATE event_feed SET expired_until = first_id_at(now() - interval '1 day')")
                        }
                    }
                }
                for id in ids {
                    group.addTask {
                        try await Task.sleep(for: .milliseconds(Int.random(in: 0...1100)))
                        try await storage.complete(id, requestID: "last")
                    }
                }
                try await group.waitForAll()
            }
            for _ in 0..<2 { try await storage.advance(whole: true) }
            let ends = try await storage.database.rows(
                """
                SELECT s.completed_at IS NOT NULL, e.event FROM link_sessions s
                    LEFT JOIN link_session_events e ON e.session_id = s.id AND e.event IN ('completed', 'expired')
                """)
            #expect(ends.count == 160)
            #expect(ends.allSatisfy { $0 == ["true", "completed"] || $0 == ["false", "expired"] }, "\(Set(ends))")
            #expect(Set(ends).count == 2, "both happened")
        }
    }

    @Test(.disabled(if: TestEnvironment.citusNodes != nil, "the lock that is waited for is on another node"))
    func `an end that is committed during a step stands, and the others of the step have theirs`() async throws {
        try await Storage.with { storage in
            try await storage.beginAnew()
            try await storage.database.addSessions(10, age: "11 minutes", of: storage.acme.id.number)
            try await storage.database.execute("UPDATE link_sessions SET opened_at = created_at")
            let completion = try OpenTransaction(
                in: storage.database,
                """
                INSERT INTO link_session_events (session_id, shard, manufacturer_id, event, request_id, position)
                SELECT id, shard, manufacturer_id, 'completed', 'last', 0 FROM link_sessions ORDER BY id LIMIT 1
                """)
            async let step = storage.advance()
            try await wait(until: "the step waits for the completion") {
                try await storage.database.count("SELECT count(*) FROM pg_locks WHERE NOT granted") == 1
            }
            try completion.end("COMMIT")
            _ = try await step
            let ends = try await storage.database.rows(
                "SELECT event, count(*) FROM link_session_events GROUP BY event ORDER BY event")
            #expect(ends == [["completed", "1"], ["expired", "9"]])
        }
    }

    @Test func `a refusal is told with the reason that is the manufacturer's business, or not at all`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            for reason in [
                SignInRefusal.declined, .crossOrigin, .codeRefused, .idTokenInvalid, .mixUp, .stateUsed,
                .supplierUnavailable,
            ] {
                try await storage.sessions.record(
                    .signInRefused(reason), of: id, requestID: reason.rawValue, until: soon)
            }
            try await storage.advance()
            let events = try await storage.page().events
            #expect(
                events.map(\.reason) == ["declined", "supplier_failed", "supplier_failed", "supplier_unavailable"])
            #expect(events.allSatisfy { $0.kind == .signInFailed })
            let erased = try await AdminRepository(address: try storage.database.address).erase(
                .user(try ManufacturerUserID("manufacturer_user_id_123"), of: storage.acme.id), digest: nil)
            #expect(erased.events == 7)
            #expect(try await storage.page().events.isEmpty)
        }
    }
}

extension Storage {
    @discardableResult
    fileprivate func advance(whole: Bool = false) async throws -> Bool? {
        let isDone = try await feed.advance(whole: whole, until: soon)?.isDone
        // On a cluster, what got its position is read once the nodes have committed, for which a further step looks.
        while isDone != nil,
            try await database.count("SELECT count(*) FROM event_feed WHERE readable_position < last_position") > 0
        {
            _ = try await feed.advance(whole: false, until: soon)
        }
        return isDone
    }

    fileprivate func page(
        of manufacturer: Manufacturer? = nil, after position: FeedPosition = .start,
        _ kinds: Set<FeedEvent.Kind>? = nil, limit: Int = 100
    ) async throws -> FeedPage {
        try await feed.page(of: (manufacturer ?? acme).id, after: position, kinds, limit: limit, until: soon)
    }

    fileprivate func created(of manufacturer: Manufacturer) async throws -> LinkSessionID {
        try await create(try new(of: manufacturer), try TestToken()).id
    }

    /// Ends of sessions of a day are looked for, as if none had been.
    fileprivate func beginAnew() async throws {
        try await database.execute(
            """
            UPDATE event_feed SET expired_until = first_id_at(now() - interval '1 day'),
                expired_for_sure_until = first_id_at(now() - interval '1 day')
            """)
    }
}
