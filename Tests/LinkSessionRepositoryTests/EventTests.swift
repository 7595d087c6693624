// The trail for support: what is recorded of a session, once, and what is not.

import LinkSessionRepository
import LinkSessions
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct EventTests {
    @Test func `a create and a manufacturer's own look record nothing`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            _ = try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon)
            #expect(try await storage.events() == [])
        }
    }

    @Test func `the Authenticator's first look is recorded, and no later one`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            for number in 1...3 {
                let session = try await storage.sessions.lookUp(
                    tokenDigest: digest, requestID: "look-\(number)", until: soon)
                #expect(session?.userID.text == "manufacturer_user_id_123")
                #expect(session?.status == .open)
            }
            #expect(try await storage.events() == [[digest.hex, "looked_up", nil, "look-1"]])
            #expect(try await storage.sessions.lookUp(tokenDigest: makeDigest(), requestID: "x", until: soon) == nil)
            #expect(try await storage.events().count == 1)
        }
    }

    @Test func `of racing first looks one is recorded, and all are answered`() async throws {
        try await Storage.with(connections: 8) { storage in
            for _ in 0..<20 {
                let digest = try await storage.created()
                let found = try await withThrowingTaskGroup(of: Bool.self) { group in
                    for number in 0..<8 {
                        group.addTask {
                            try await storage.sessions.lookUp(
                                tokenDigest: digest, requestID: "race-\(number)", until: soon) != nil
                        }
                    }
                    return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
                }
                #expect(found == 8)
                #expect(
                    try await storage.database.count(
                        "SELECT count(*) FROM link_session_events WHERE token_hash = \(digest.sql)") == 1)
            }
        }
    }

    @Test func `an early expiry is recorded once, by whoever made it`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            for number in 1...2 {
                _ = try await storage.sessions.expire(
                    tokenDigest: digest, of: storage.acme.id, requestID: "expire-\(number)", until: soon)
            }
            _ = try await storage.sessions.expire(
                tokenDigest: digest, of: storage.beta.id, requestID: "of-another", until: soon)
            #expect(try await storage.events() == [[digest.hex, "expired_early", nil, "expire-1"]])
        }
    }

    @Test func `a completion is recorded once, and an expiry that came too late is not`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            for number in 1...2 {
                _ = try await storage.sessions.complete(
                    tokenDigest: digest, as: nil, requestID: "c-\(number)", until: soon)
            }
            _ = try await storage.sessions.expire(
                tokenDigest: digest, of: storage.acme.id, requestID: "e", until: soon)
            #expect(try await storage.events() == [[digest.hex, "completed", nil, "c-1"]])
        }
    }

    @Test func `a refused completion is recorded with its reason, each request once, and 100 of them at most`()
        async throws
    {
        try await Storage.with { storage in
            let digest = try await storage.created()
            try await storage.database.execute("UPDATE link_sessions SET expires_at = created_at")
            for number in 1...102 {
                for _ in 1...2 {
                    let session = try await storage.sessions.complete(
                        tokenDigest: digest, as: nil, requestID: "late-\(number)", until: soon
                    ).session
                    #expect(session?.status == .expired)
                }
            }
            let events = try await storage.events()
            #expect(events.count == 100)
            #expect(events.first == [digest.hex, "completion_refused", "expired", "late-1"])
            #expect(Set(events.map { $0[3] }).count == 100)
        }
    }

    @Test func `a look at a session that is being deleted leaves no event behind`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            try await storage.database.execute("UPDATE link_sessions SET created_at = created_at - interval '2 days'")
            let deletion = try OpenTransaction(
                in: storage.database, "SELECT * FROM purge_link_sessions(1, 0)")
            async let look = storage.sessions.lookUp(tokenDigest: digest, requestID: "x", until: soon)
            try await storage.database.waitForBlocked()
            try deletion.end("COMMIT")
            _ = try await look
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 0)
            #expect(try await storage.events() == [])
        }
    }

    @Test func `a session that is being looked at is deleted with the event of that look`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            let look = try OpenTransaction(
                in: storage.database,
                """
                INSERT INTO link_session_events (token_hash, event, request_id)
                SELECT token_hash, 'looked_up', 'x' FROM (SELECT token_hash FROM link_sessions FOR KEY SHARE) AS locked
                """)
            async let receipt = AdminRepository(address: try storage.database.address).erase(
                try ManufacturerUserID("manufacturer_user_id_123"), at: try DisplayText("Acme Manufacturing"))
            try await storage.database.waitForBlocked()
            try look.end("COMMIT")
            #expect(try await receipt.events == 1)
            #expect(try await storage.events() == [])
            #expect(try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon) == nil)
        }
    }

    @Test func `a look does not wait for a completion that is under way`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            let completion = try OpenTransaction(
                in: storage.database, "UPDATE link_sessions SET completed_at = created_at")
            let session = try await storage.sessions.lookUp(tokenDigest: digest, requestID: "x", until: soon)
            #expect(session?.status == .open)
            try completion.end("COMMIT")
        }
    }

    @Test func `events cannot be changed`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            _ = try await storage.sessions.lookUp(tokenDigest: digest, requestID: "x", until: soon)
            await #expect {
                try await storage.database.execute("UPDATE link_session_events SET request_id = 'y'")
            } throws: {
                ($0 as? ConnectionError)?.message == "the table link_session_events is append-only"
            }
        }
    }
}

extension Storage {
    /// Digest, event, reason and request id, in order.
    fileprivate func events() async throws -> [[String?]] {
        try await database.rows(
            """
            SELECT encode(token_hash, 'hex') AS digest, event, reason, request_id FROM link_session_events
            ORDER BY occurred_at
            """)
    }
}
