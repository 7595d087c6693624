// Deleting what is old, and every trace of a user.

import LinkSessionRepository
import LinkSessions
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct RetentionTests {
    @Test func `a pass deletes what is older than the retention time, its events too, and nothing else`() async throws {
        try await Storage.with { storage in
            try await storage.addSessions(3, age: "30 days 1 second")
            try await storage.addSessions(2, age: "29 days 23:59:50")
            try await storage.addSessions(4, age: "0 seconds")
            try await storage.database.execute(
                "INSERT INTO link_session_events (token_hash, event, request_id) SELECT token_hash, 'looked_up', 'x' FROM link_sessions"
            )
            let piece = try await storage.retention.purge(olderThan: 30, from: 0, until: soon)
            #expect(piece?.deleted == 3)
            #expect(piece?.nextBlock == nil)
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 6)
            #expect(try await storage.database.count("SELECT count(*) FROM link_session_events") == 6)
            #expect(try await storage.retention.purge(olderThan: 30, from: 0, until: soon)?.deleted == 0)
        }
    }

    @Test func `a large table is walked in pieces to its end, however old and new rows are mixed`() async throws {
        try await Storage.with { storage in
            for _ in 0..<4 {
                try await storage.addSessions(2000, age: "40 days")
                try await storage.addSessions(2000, age: "1 day")
            }
            var block: Int64? = 0
            var pieces: [Int64] = []
            while let from = block {
                let piece = try #require(try await storage.retention.purge(olderThan: 30, from: from, until: soon))
                pieces.append(piece.deleted)
                block = piece.nextBlock
            }
            #expect(pieces.reduce(0, +) == 8000)
            #expect(pieces.count > 4)
            #expect(pieces.allSatisfy { $0 < 4000 })
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 8000)
        }
    }

    @Test func `while one deletes another is told so, and deletes nothing`() async throws {
        try await Storage.with { storage in
            try await storage.addSessions(1, age: "40 days")
            let other = try OpenTransaction(
                in: storage.database, "SELECT * FROM purge_link_sessions(100, 0)")
            #expect(try await storage.retention.purge(olderThan: 30, from: 0, until: soon) == nil)
            try other.end("COMMIT")
            #expect(try await storage.retention.purge(olderThan: 30, from: 0, until: soon)?.deleted == 1)
        }
    }

    @Test func `less than a day is no retention time`() async throws {
        try await Storage.with { storage in
            try await storage.addSessions(1, age: "2 days")
            for days in [0, -1, Int(Int32.min)] {
                await #expect(throws: RepositoryError.self) {
                    try await storage.retention.purge(olderThan: days, from: 0, until: soon)
                }
            }
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 1)
        }
    }

    @Test func `an erasure deletes every session of the user and counts it, and touches nobody else's`() async throws {
        try await Storage.with { storage in
            let administration = AdminRepository(address: try storage.database.address)
            for (user, manufacturer) in [
                ("u", storage.acme), ("u", storage.acme), ("u ", storage.acme), ("u", storage.beta),
            ] {
                let digest = try makeDigest()
                _ = try await storage.sessions.create(
                    try storage.new(userID: user, of: manufacturer), tokenDigest: digest, until: soon)
                _ = try await storage.sessions.lookUp(tokenDigest: digest, requestID: "x", until: soon)
            }
            let before = try await storage.now()
            let receipt = try await administration.erase(
                try ManufacturerUserID("u"), at: try DisplayText("Acme Manufacturing"))
            #expect(receipt.sessions == 2)
            #expect(receipt.events == 2)
            #expect(Double(receipt.erasedAt) >= before.rounded(.down))
            #expect(
                try await storage.database.rows(
                    "SELECT user_id, manufacturer_id::text FROM link_sessions ORDER BY manufacturer_id")
                    == [["u ", "\(storage.acme.id.number)"], ["u", "\(storage.beta.id.number)"]])
            #expect(try await storage.database.count("SELECT count(*) FROM link_session_events") == 2)
            let again = try await administration.erase(
                try ManufacturerUserID("u"), at: try DisplayText("Acme Manufacturing"))
            #expect(again.sessions == 0)
            await #expect {
                try await administration.erase(try ManufacturerUserID("u"), at: try DisplayText("Nobody"))
            } throws: {
                ($0 as? AdminError)?.line.hasPrefix("there is no manufacturer of this name") == true
            }
        }
    }
}

extension Storage {
    fileprivate var retention: RetentionRepository { RetentionRepository(database: client) }

    fileprivate func addSessions(_ count: Int, age: String) async throws {
        try await database.execute(
            """
            INSERT INTO link_sessions
            SELECT sha256(gen_random_uuid()::text::bytea), \(acme.id.number), 'user', 'https://your-app.com/callback',
                   'nl', t, t + interval '600 seconds', NULL
            FROM generate_series(1, \(count)), (SELECT now() - interval '\(age)') AS at (t)
            """)
    }
}
