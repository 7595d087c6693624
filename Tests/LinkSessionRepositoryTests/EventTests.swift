// The trail for support: what is recorded of a session, once, and what is not.

import LinkSessionRepository
import LinkSessions
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct EventTests {
    @Test func `a create and a manufacturer's own look record nothing`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            _ = try await storage.find(id)
            #expect(try await storage.events() == [])
        }
    }

    @Test func `the Authenticator's first look is recorded, and no later one`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            for number in 1...3 {
                let session = try await storage.lookUp(id, requestID: "look-\(number)")
                #expect(session?.userID.text == "manufacturer_user_id_123")
                #expect(session?.status == .open)
            }
            #expect(try await storage.events() == [[id.text, "opened", nil, "look-1"]])
            #expect(try await storage.lookUp(try TestToken().id, requestID: "x") == nil)
            #expect(try await storage.events().count == 1)
        }
    }

    @Test func `of racing first looks one is recorded, and all are answered`() async throws {
        try await Storage.with(connections: 8) { storage in
            for _ in 0..<20 {
                let id = try await storage.created()
                let found = try await withThrowingTaskGroup(of: Bool.self) { group in
                    for number in 0..<8 {
                        group.addTask {
                            try await storage.lookUp(id, requestID: "race-\(number)") != nil
                        }
                    }
                    return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
                }
                #expect(found == 8)
                #expect(
                    try await storage.database.count(
                        "SELECT count(*) FROM link_session_events WHERE session_id = \(id.sql)") == 1)
            }
        }
    }

    @Test func `an early expiry is recorded once, by whoever made it`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            for number in 1...2 {
                _ = try await storage.expire(id, requestID: "expire-\(number)")
            }
            #expect(try await storage.events() == [[id.text, "expired_early", nil, "expire-1"]])
        }
    }

    @Test func `a completion is recorded once, and an expiry that came too late is not`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            for number in 1...2 {
                _ = try await storage.complete(id, requestID: "c-\(number)")
            }
            _ = try await storage.expire(id, requestID: "e")
            #expect(try await storage.events() == [[id.text, "completed", nil, "c-1"]])
        }
    }

    @Test func `a refused completion is recorded with its reason, each request once, and 100 of them at most`()
        async throws
    {
        try await Storage.with { storage in
            let id = try await storage.created()
            try await storage.database.execute("UPDATE link_sessions SET expires_at = created_at")
            for number in 1...102 {
                for _ in 1...2 {
                    let session = try await storage.complete(id, requestID: "late-\(number)").session
                    #expect(session?.status == .expired)
                }
            }
            let events = try await storage.events()
            #expect(events.count == 100)
            #expect(events.first == [id.text, "completion_refused", "expired", "late-1"])
            #expect(Set(events.map { $0[3] }).count == 100)
        }
    }

    @Test func `a look at a session that is being deleted leaves no event behind`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            let deletion = try OpenTransaction(
                in: storage.database,
                "SELECT * FROM erase_user(\(storage.acme.id.number), 'manufacturer_user_id_123', NULL)")
            _ = try await storage.lookUp(id, requestID: "x")
            async let refused: Void = storage.sessions.record(
                .signInRefused(.declined), of: id, requestID: "x", until: soon)
            try await storage.database.waitForBlocked()
            try deletion.end("COMMIT")
            try await refused
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 0)
            #expect(try await storage.events() == [])
        }
    }

    @Test func `a session that is being looked at is deleted with the event of that look`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            let look = try OpenTransaction(
                in: storage.database,
                """
                INSERT INTO link_session_events (session_id, shard, manufacturer_id, event, request_id)
                SELECT id, shard, manufacturer_id, 'opened', 'x' FROM (
                    SELECT id, shard, manufacturer_id FROM link_sessions WHERE id = \(id.sql) AND shard = \(id.shard) FOR KEY SHARE
                ) AS locked
                """)
            async let receipt = AdminRepository(address: try storage.database.address).erase(
                .user(try ManufacturerUserID("manufacturer_user_id_123"), of: storage.acme.id), digest: nil)
            try await storage.database.waitForBlocked()
            try look.end("COMMIT")
            #expect(try await receipt.events == 1)
            #expect(try await storage.events() == [])
            #expect(try await storage.find(id) == nil)
        }
    }

    @Test func `a look does not wait for a completion that is under way`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            let completion = try OpenTransaction(
                in: storage.database, "UPDATE link_sessions SET completed_at = created_at")
            let session = try await storage.lookUp(id, requestID: "x")
            #expect(session?.status == .open)
            try completion.end("COMMIT")
        }
    }
}

extension Storage {
    /// Session, event, reason and request id, in order.
    fileprivate func events() async throws -> [[String?]] {
        try await database.rows(
            """
            SELECT session_id, event, reason, request_id FROM link_session_events
            ORDER BY occurred_at
            """)
    }
}
