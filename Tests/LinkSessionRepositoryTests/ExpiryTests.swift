// Expiries, and races between them and completions.

import LinkSessionRepository
import LinkSessions
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct ExpiryTests {
    @Test func `a session is expired at the database's time, and again changes nothing`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            try await storage.move(id, by: "100 seconds")
            let before = try await storage.now()
            let expired = try #require(
                try await storage.expire(id))
            let after = try await storage.now()
            #expect(expired.status == .expired)
            #expect(expired.completedAt == nil)
            #expect(expired.expiresAt >= Int64(before.rounded(.down)) && expired.expiresAt <= Int64(after))
            #expect(try await storage.stored(id).expires == Int(expired.expiresAt))

            try await storage.move(id, by: "50 seconds")
            let again = try #require(
                try await storage.expire(id))
            #expect(again.status == .expired)
            #expect(again.expiresAt == expired.expiresAt - 50)
            #expect(
                try await storage.complete(id)
                    .session?
                    .status
                    == .expired)
            #expect(try await storage.stored(id).completed == nil)
        }
    }

    @Test(arguments: ["expired", "expired_early"])
    func `a session that was told to be over stays so when the clock steps back`(end: String) async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            try await storage.database.execute(
                """
                INSERT INTO link_session_events (session_id, shard, manufacturer_id, event, request_id, position)
                SELECT id, shard, manufacturer_id, '\(end)', 'expiry', 1 FROM link_sessions
                """)
            #expect(try await storage.complete(id).session?.status == .expired)
            #expect(try await storage.expire(id)?.status == .expired)
            _ = try await storage.lookUp(id)
            #expect(try await storage.stored(id).completed == nil)
            #expect(
                try await storage.database.rows("SELECT event FROM link_session_events ORDER BY event")
                    == [["completion_refused"], [end]])
        }
    }

    @Test func `a session can be expired in the second in which it was made`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            let expired = try #require(
                try await storage.expire(id))
            #expect(expired.status == .expired)
            #expect(expired.expiresAt >= expired.createdAt)
            #expect(expired.expiresAt <= expired.createdAt + 1)
        }
    }

    @Test func `a clock that stepped back expires no earlier than creation`() async throws {
        try await Storage.with { storage in
            let ids = [try await storage.created(), try await storage.created()]
            // The other way round: the session lies ahead of the clock.
            for id in ids { try await storage.move(id, by: "-60 seconds") }
            let expired = try await storage.expire(ids[0])
            #expect(expired?.expiresAt == expired?.createdAt)
            let completed = try await storage.complete(ids[1]).session
            #expect(completed?.completedAt == completed?.createdAt)
            #expect(completed?.status == .completed)
        }
    }

    @Test func `a session past its expiry keeps it when it is expired`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            try await storage.move(id, by: "700 seconds")
            let expiry = try await storage.stored(id).expires
            let expired = try await storage.expire(id)
            #expect(expired?.status == .expired)
            #expect(expired?.expiresAt == Int64(expiry))
            #expect(try await storage.stored(id).expires == expiry)
        }
    }

    @Test func `a completed session stays completed when it is expired`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            let completed = try await storage.complete(id).session
            let before = try await storage.stored(id)
            let expired = try #require(
                try await storage.expire(id))
            #expect(expired.status == .completed)
            #expect(expired.completedAt == completed?.completedAt)
            #expect(expired.expiresAt == expired.createdAt + 600)
            #expect(try await storage.stored(id) == before)
        }
    }

    @Test func `an expiry that waits while a complete commits leaves it completed`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            let completion = try OpenTransaction(
                in: storage.database,
                TestDatabase.update(["completed_at": "greatest(created_at, date_trunc('second', clock_timestamp()))"]))
            async let expired = storage.expire(id)
            try await storage.database.waitForBlocked()
            try completion.end("COMMIT")
            let session = try #require(try await expired)
            let stored = try await storage.stored(id)
            #expect(session.status == .completed)
            #expect(session.completedAt == stored.completed.map(Int64.init))
            #expect(session.expiresAt == session.createdAt + 600)
            #expect(stored.completed != nil)
            #expect(stored.expires == stored.created + 600)
        }
    }

    @Test func `an expiry that waits for the row past its expiry leaves it as it was`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            try await storage.expireSoon(id)
            let before = try await storage.database.value("SELECT expires_at FROM link_sessions")
            let lock = try OpenTransaction(in: storage.database, TestDatabase.lock(id))
            async let expired = storage.expire(id)
            try await storage.database.waitForBlocked()
            try await Task.sleep(for: .milliseconds(650))
            try lock.end("ROLLBACK")
            #expect(try await expired?.status == .expired)
            #expect(try await storage.database.value("SELECT expires_at FROM link_sessions") == before)
        }
    }

    @Test func `of a racing complete and expire one wins, and both see the same end`() async throws {
        try await Storage.with { storage in
            for _ in 0..<10 {
                let id = try await storage.created()
                async let completed = storage.complete(id)
                async let expired = storage.expire(id)
                let (one, other) = try await (completed.session, expired)
                let found = try await storage.find(id)
                #expect(one?.status == other?.status)
                #expect(one?.status == found?.status)
                #expect(one?.status == .completed || one?.status == .expired)
                #expect((found?.completedAt != nil) == (found?.status == .completed))
            }
        }
    }
}
