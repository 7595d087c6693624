// Look-ups by id share a SELECT, and each gets its own answer.

import LinkSessionRepository
import LinkSessions
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct FindTests {
    @Test func `of many who ask at once, for sessions of several days, twice, or for none, each gets its own answer`()
        async throws
    {
        try await Storage.with(connections: 1) { storage in
            var expected: [LinkSessionID: String?] = [:]
            for number in 0..<20 {
                let token = try TestToken()
                try await storage.create(try storage.new(userID: "user-\(number)"), token)
                expected[token.id] = "user-\(number)"
            }
            for days in 1...9 {
                let user = "of-\(days)"
                // Some lie in a partition of their own, others in the default one.
                if days % 2 == 0 {
                    try await storage.database.execute(
                        "SELECT add_partition('link_sessions', (now() AT TIME ZONE 'UTC')::date - \(days))")
                }
                expected[try await storage.addSession(age: "\(days) days", user: user)] = user
            }
            for _ in 0..<20 { expected[try TestToken().id] = .some(nil) }
            // Unknown, and of other times than any partition's.
            for ticks in [0, 1 << 40, .max] as [UInt64] {
                expected[LinkSessionID(ticks: ticks, shard: 3, random: 1)] = .some(nil)
            }
            // They wait for the one connection, and then go together.
            let lock = try OpenTransaction(in: storage.database, "LOCK TABLE link_sessions")
            let first = Task { try await storage.find(try TestToken().id) }
            try await storage.database.waitForBlocked()
            let asked = Array(expected.keys)
            let calls = (asked + asked + asked).map { id in
                (id, Task { try await storage.find(id)?.userID.text })
            }
            try await Task.sleep(for: .milliseconds(100))
            try lock.end("COMMIT")
            #expect(try await first.value == nil)
            for (id, call) in calls { #expect(try await call.value == expected[id]) }
            #expect(expected.count == 52)
        }
    }

    @Test func `an id whose shard is another one is unknown`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            let other = try #require(LinkSessionID(words: (id.words.0, id.words.1 ^ 1 << 48)))
            #expect(other.shard != id.shard)
            #expect(try await storage.find(other) == nil)
            #expect(try await storage.expire(other) == nil)
            #expect(try await storage.find(id)?.status == .open)
        }
    }

    @Test func `whoever shows a token has to have the right one`() async throws {
        try await Storage.with { storage in
            let (token, other) = (try TestToken(), try TestToken())
            for token in [token, other] { try await storage.create(try storage.new(), token) }
            func find(_ id: LinkSessionID, _ digest: SHA256Digest) async throws -> LinkSessionID? {
                try await storage.sessions.find(id, tokenDigest: digest, until: soon)?.session.id
            }
            #expect(try await find(token.id, token.digest) == token.id)
            #expect(try await find(token.id, other.digest) == nil)
            #expect(try await find(other.id, token.digest) == nil)
            #expect(try await find(try TestToken().id, token.digest) == nil)
            // One bit is another.
            for bit in [0, 7, 128, 255] {
                var bytes = token.digest.bytes
                bytes[bit / 8] ^= 0x80 >> UInt8(bit % 8)
                #expect(try await find(token.id, try #require(SHA256Digest(bytes: bytes))) == nil, "\(bit)")
            }
        }
    }

    @Test func `a row that cannot be read fails its own callers alone, of the same day and of another`() async throws {
        try await Storage.with(connections: 1) { storage in
            let (broken, whole) = (try await storage.created(), try await storage.created())
            let (brokenLate, wholeLate) = (
                try await storage.addSession(age: "3 days"), try await storage.addSession(age: "4 days")
            )
            try await storage.database.execute(
                "UPDATE link_sessions SET redirect_url = 'nonsense' WHERE id IN (\(broken.sql), \(brokenLate.sql))")
            let lock = try OpenTransaction(in: storage.database, "LOCK TABLE link_sessions")
            let first = Task { try await storage.find(whole) }
            try await storage.database.waitForBlocked()
            let good = [whole, wholeLate, whole].map { id in Task { try await storage.find(id)?.id } }
            let bad = [broken, brokenLate, broken].map { id in Task { try await storage.find(id) } }
            try await Task.sleep(for: .milliseconds(100))
            try lock.end("COMMIT")
            #expect(try await first.value?.id == whole)
            for (call, id) in zip(good, [whole, wholeLate, whole]) { #expect(try await call.value == id) }
            for call in bad {
                await #expect(
                    throws: RepositoryError.bug(cause: "unexpected result of find_link_sessions, column redirect_url")
                ) { try await call.value }
            }
        }
    }
}
