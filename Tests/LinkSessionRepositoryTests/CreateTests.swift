// Link sessions in PostgreSQL: created and found.

import LinkSessionRepository
import LinkSessions
import PostgresClient
import TestSupport
import Testing
import TokenGenerator

@Suite(.timeLimit(.minutes(1))) struct CreateTests {
    @Test func `a session is created for 600 seconds and found as it was created`() async throws {
        try await Storage.with { storage in
            let digest = try makeDigest()
            let before = try await storage.now()
            let created = try await storage.sessions.create(
                try storage.new(userID: "Zürich \u{1F600} e\u{301}", language: .fr), tokenDigest: digest, until: soon)
            let after = try await storage.now()
            #expect(created.createdAt >= Int64(before.rounded(.down)))
            #expect(created.createdAt <= Int64(after))
            #expect(created.expiresAt == created.createdAt + 600)
            #expect(created.completedAt == nil)
            #expect(created.status == .open)
            #expect(created.manufacturer.id == storage.acme.id)

            let found = try #require(
                try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon))
            for session in [created, found] {
                #expect(Array(session.userID.text.utf8) == Array("Zürich \u{1F600} e\u{301}".utf8))
                #expect(session.redirectURL.text == "https://your-app.com/callback")
                #expect(session.language == .fr)
                #expect(session.manufacturer.name == "Acme Manufacturing")
                #expect(session.manufacturer.brand?.titleCased == "Acme Manufacturing")
            }
            #expect(found.createdAt == created.createdAt)
            #expect(found.expiresAt == created.expiresAt)
            #expect(found.completedAt == nil)
            #expect(found.status == .open)
            #expect(found.manufacturer.id == storage.acme.id)
        }
    }

    @Test func `a manufacturer without a brand has none`() async throws {
        try await Storage.with { storage in
            let digest = try makeDigest()
            _ = try await storage.sessions.create(try storage.new(of: storage.beta), tokenDigest: digest, until: soon)
            let found = try #require(
                try await storage.sessions.lookUp(tokenDigest: digest, requestID: "test", until: soon))
            #expect(found.manufacturer.name == "Beta Devices")
            #expect(found.manufacturer.brand == nil)
            #expect(try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon) == nil)
            #expect(try await storage.sessions.find(tokenDigest: digest, of: storage.beta, until: soon) != nil)
        }
    }

    @Test(arguments: Language.allCases) func `each language is stored and read`(language: Language) async throws {
        try await Storage.with { storage in
            let digest = try makeDigest()
            _ = try await storage.sessions.create(try storage.new(language: language), tokenDigest: digest, until: soon)
            #expect(
                try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon)?.language
                    == language)
            #expect(try await storage.database.value("SELECT language FROM link_sessions") == language.rawValue)
        }
    }

    @Test func `the longest values that the domain takes are stored`() async throws {
        try await Storage.with { storage in
            let digest = try makeDigest()
            let userID = String(repeating: "\u{1F600}", count: 256)
            let start = "https://your-app.com/"
            let url = start + String(repeating: "a", count: 2048 - start.utf8.count)
            _ = try await storage.sessions.create(
                try storage.new(userID: userID, redirectURL: url), tokenDigest: digest, until: soon)
            let found = try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon)
            #expect(found?.userID.text == userID)
            #expect(found?.redirectURL.text == url)
        }
    }

    @Test func `what is stored is the digest, not the token`() async throws {
        try await Storage.with { storage in
            let token = try TokenGenerator().makeToken()
            let digest = try SHA256.digest(of: token.characters)
            _ = try await storage.sessions.create(try storage.new(), tokenDigest: digest, until: soon)
            #expect(
                try await storage.database.value("SELECT encode(token_hash, 'hex') FROM link_sessions") == digest.hex)
            // PostgreSQL computes the same digest, of the 43 characters.
            #expect(
                try await storage.database.count(
                    "SELECT count(*) FROM link_sessions WHERE token_hash = sha256('\(token.characters)')") == 1)
            let row = try #require(try await storage.database.value("SELECT s::text FROM link_sessions s"))
            #expect(!row.contains(token.characters))
            #expect(row.contains(digest.hex))
        }
    }

    @Test func `a digest that nobody stored is not found, expired or completed`() async throws {
        try await Storage.with { storage in
            _ = try await storage.created()
            let unknown = try makeDigest()
            #expect(try await storage.sessions.find(tokenDigest: unknown, of: storage.acme, until: soon) == nil)
            #expect(
                try await storage.sessions.expire(
                    tokenDigest: unknown, of: storage.acme.id, requestID: "test", until: soon) == nil)
            guard
                case .unknown = try await storage.sessions.complete(
                    tokenDigest: unknown, as: nil, requestID: "test", until: soon)
            else {
                Issue.record("completed")
                return
            }
        }
    }

    @Test func `400 concurrent creates share few commits, and each gets its own session`() async throws {
        try await Storage.with { storage in
            let answers = try await withThrowingTaskGroup(of: (Int, SHA256Digest, LinkSession).self) { group in
                for caller in 0..<400 {
                    let digest = try makeDigest()
                    let new = try storage.new(userID: "user \(caller)", language: Language.allCases[caller % 4])
                    let sessions = storage.sessions
                    group.addTask { (caller, digest, try await sessions.create(new, tokenDigest: digest, until: soon)) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.count == 400)
            for (caller, digest, session) in answers {
                #expect(session.userID.text == "user \(caller)")
                guard caller % 20 == 0 else { continue }
                let found = try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon)
                #expect(found?.userID.text == "user \(caller)")
                #expect(found?.language == Language.allCases[caller % 4])
                #expect(found?.createdAt == session.createdAt)
            }
            #expect(try await storage.database.count("SELECT count(DISTINCT user_id) FROM link_sessions") == 400)
            #expect(try await storage.database.count("SELECT count(DISTINCT xmin::text) FROM link_sessions") < 100)
        }
    }

    @Test func `a create that the database refuses does not fail its neighbours`() async throws {
        try await Storage.with { storage in
            let stranger = Manufacturer(id: .init(999_999), name: "Unknown", brand: nil)
            let errors = await withTaskGroup(of: (Int, RepositoryError?).self) { group in
                for caller in 0..<60 {
                    let sessions = storage.sessions
                    group.addTask {
                        do {
                            let new = try storage.new(userID: "user \(caller)", of: caller == 30 ? stranger : nil)
                            _ = try await sessions.create(new, tokenDigest: try makeDigest(), until: soon)
                            return (caller, nil)
                        } catch {
                            return (caller, error as? RepositoryError)
                        }
                    }
                }
                return await group.reduce(into: [Int: RepositoryError]()) { $0[$1.0] = $1.1 }
            }
            #expect(
                errors == [
                    30: .bug(
                        cause:
                            "the database refused the statement (SQLSTATE 23503, constraint link_sessions_manufacturer_fkey)"
                    )
                ])
            let count = try await storage.database.count("SELECT count(*) FROM link_sessions")
            #expect(count == 59)
        }
    }

    @Test func `a second session under the same digest is refused, and the first one stays`() async throws {
        try await Storage.with { storage in
            let digest = try makeDigest()
            _ = try await storage.sessions.create(try storage.new(userID: "first"), tokenDigest: digest, until: soon)
            await #expect(
                throws: RepositoryError.bug(
                    cause: "the database refused the statement (SQLSTATE 23505, constraint link_sessions_pkey)")
            ) {
                _ = try await storage.sessions.create(
                    try storage.new(userID: "second"), tokenDigest: digest, until: soon)
            }
            #expect(
                try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon)?.userID.text
                    == "first")
        }
    }

    /// The first attempt's commit happens, unheard of, while the second one is sent.
    @Test func `a create that is sent again after a broken connection returns the first attempt's times`() async throws
    {
        try await Storage.with { storage in
            let digest = try makeDigest()
            let first = try OpenTransaction(
                in: storage.database,
                """
                INSERT INTO link_sessions
                SELECT \(digest.sql), \(storage.acme.id.number), 'user', 'https://your-app.com/callback', 'nl',
                       t, t + interval '600 seconds'
                FROM (SELECT date_trunc('second', now()) - interval '7 seconds') AS first (t)
                """)
            async let created = storage.sessions.create(
                try storage.new(userID: "user"), tokenDigest: digest, until: soon)
            try await storage.database.waitForBlocked()
            #expect(try await storage.database.cutConnections() >= 1)
            try await storage.database.waitForBlocked()
            try first.end("COMMIT")
            let session = try await created
            let stored = try await storage.stored(digest)
            #expect(session.createdAt == Int64(stored.created))
            #expect(session.expiresAt == Int64(stored.expires))
            #expect(session.createdAt <= Int64(try await storage.now()) - 7)
            #expect(session.status == .open)
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 1)
        }
    }

    @Test func `of creates that are sent again together each gets its own times`() async throws {
        try await Storage.with { storage in
            let digests = try (0..<9).map { _ in try makeDigest() }
            let first = try OpenTransaction(
                in: storage.database,
                """
                INSERT INTO link_sessions
                SELECT \(digests[4].sql), \(storage.acme.id.number), 'user', 'https://your-app.com/callback', 'nl',
                       t, t + interval '600 seconds'
                FROM (SELECT date_trunc('second', now()) - interval '7 seconds') AS first (t)
                """)
            let new = try storage.new(userID: "user")
            let creates = [digests[4]] + digests.filter { $0 != digests[4] }
            let calls = creates.map { digest in
                Task { try await storage.sessions.create(new, tokenDigest: digest, until: soon) }
            }
            try await storage.database.waitForBlocked()
            try await Task.sleep(for: .milliseconds(100))
            #expect(try await storage.database.cutConnections() >= 1)
            try await storage.database.waitForBlocked()
            try first.end("COMMIT")
            for (digest, call) in zip(creates, calls) {
                let (session, stored) = (try await call.value, try await storage.stored(digest))
                #expect(session.createdAt == Int64(stored.created))
                #expect(session.expiresAt == Int64(stored.expires))
            }
            #expect(try await storage.database.count("SELECT count(DISTINCT created_at) FROM link_sessions") > 1)
        }
    }
}
