// All rows of one INSERT have one shard, which their ids tell.

import LinkSessionRepository
import LinkSessions
import PostgresClient
import TestSupport
import Testing
import TokenGenerator

@Suite(.timeLimit(.minutes(1))) struct ShardTests {
    @Test func `creates at the same time with different shards go into statements of one shard each`() async throws {
        try await Storage.with { storage in
            let tokens = try makeTokens(400, ofOneShard: 10)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for token in tokens { group.addTask { _ = try await storage.create(try storage.new(), token) } }
                try await group.waitForAll()
            }
            try await storage.expectOneShardEach(400)
        }
    }

    @Test func `so do those that are sent again after a broken connection`() async throws {
        try await Storage.with(connections: 2) { storage in
            let lock = try OpenTransaction(in: storage.database, "LOCK TABLE link_sessions IN SHARE MODE")
            let tokens = try makeTokens(60, ofOneShard: 3)
            let calls = tokens.map { token in Task { try await storage.create(try storage.new(), token) } }
            for _ in 0..<2 {
                try await storage.database.waitForBlocked()
                #expect(try await storage.database.cutConnections() >= 1)
            }
            try await storage.database.waitForBlocked()
            try lock.end("COMMIT")
            for (token, call) in zip(tokens, calls) { #expect(try await call.value.id == token.id) }
            try await storage.expectOneShardEach(60)
        }
    }

    @Test func `events and sign-ins have their session's shard`() async throws {
        try await Storage.with { storage in
            for token in try makeTokens(5, ofOneShard: 1) {
                try await storage.create(try storage.new(), token)
                _ = try await storage.lookUp(token.id)
                let state = SignIn.ID(session: token.id, stateDigest: try SHA256.digest(of: "s"))
                let start = try await storage.signIns.start(
                    state, at: .sandbox, in: .nl, requestID: "r", until: soon)
                #expect(start == .first)
                _ = try await storage.complete(token.id)
            }
            for table in ["link_session_events", "sign_ins"] {
                #expect(
                    try await storage.database.count(
                        "SELECT count(*) FROM \(table) WHERE shard <> get_byte(uuid_send(session_id), 9)") == 0)
                #expect(try await storage.database.count("SELECT count(DISTINCT shard) FROM \(table)") == 5)
            }
        }
    }
}

/// Tokens of this moment whose ids have another shard after so many.
private func makeTokens(_ count: Int, ofOneShard run: Int) throws -> [TestToken] {
    try (0..<count).map { number in
        let shard = UInt64(number / run * 37 % 256)
        let generator = TokenGenerator(randomWords: { () throws(RandomnessError) in
            (shard << 54 | .random(in: 0..<1 << 54), 0, 0, UInt64(number))
        })
        return try TestToken(generator)
    }
}

extension Storage {
    fileprivate func expectOneShardEach(_ count: Int) async throws {
        #expect(
            try await database.count(
                "SELECT count(*) FROM link_sessions WHERE shard = get_byte(uuid_send(id), 9)") == count)
        #expect(
            try await database.rows(
                "SELECT xmin::text FROM link_sessions GROUP BY xmin::text HAVING count(DISTINCT shard) > 1") == [])
        #expect(try await database.count("SELECT count(DISTINCT shard) FROM link_sessions") > 1)
        // They do go together.
        #expect(try await database.count("SELECT count(DISTINCT xmin::text) FROM link_sessions") < count * 3 / 4)
    }
}
