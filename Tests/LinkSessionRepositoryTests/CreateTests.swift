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
            let token = try TestToken()
            let before = try await storage.now()
            let created = try await storage.create(
                try storage.new(userID: "Zürich \u{1F600} e\u{301}", language: .fr), token)
            let after = try await storage.now()
            #expect(created.createdAt >= Int64(before.rounded(.down)))
            #expect(created.createdAt <= Int64(after))
            #expect(created.expiresAt == created.createdAt + 600)

            let snapshot = try #require(try await storage.sessions.find(token.id, until: soon))
            #expect(snapshot.manufacturer.id == storage.acme.id)
            #expect(snapshot.manufacturer.name == "Acme Manufacturing")
            #expect(snapshot.manufacturer.brand?.titleCased == "Acme Manufacturing")
            for session in [created, snapshot.session] {
                #expect(session.id == token.id)
                #expect(session.manufacturer == storage.acme.id)
                #expect(Array(session.userID.text.utf8) == Array("Zürich \u{1F600} e\u{301}".utf8))
                #expect(session.redirectURL.text == "https://your-app.com/callback")
                #expect(session.language == .fr)
                #expect(session.createdAt == created.createdAt)
                #expect(session.expiresAt == created.expiresAt)
                #expect(session.completedAt == nil)
                #expect(session.status == .open)
            }
        }
    }

    @Test func `a manufacturer without a brand has none`() async throws {
        try await Storage.with { storage in
            let token = try TestToken()
            try await storage.create(try storage.new(of: storage.beta), token)
            let found = try #require(try await storage.sessions.find(token.id, until: soon))
            #expect(found.session.manufacturer == storage.beta.id)
            #expect(found.manufacturer.name == "Beta Devices")
            #expect(found.manufacturer.brand == nil)
        }
    }

    @Test(arguments: Language.allCases) func `each language is stored and read`(language: Language) async throws {
        try await Storage.with { storage in
            let token = try TestToken()
            try await storage.create(try storage.new(language: language), token)
            #expect(try await storage.find(token.id)?.language == language)
            #expect(try await storage.database.value("SELECT language FROM link_sessions") == language.rawValue)
        }
    }

    @Test func `the longest values that the domain takes are stored`() async throws {
        try await Storage.with { storage in
            let token = try TestToken()
            let userID = String(repeating: "\u{1F600}", count: 256)
            let start = "https://your-app.com/"
            let url = start + String(repeating: "a", count: 2048 - start.utf8.count)
            try await storage.create(try storage.new(userID: userID, redirectURL: url), token)
            let found = try await storage.find(token.id)
            #expect(found?.userID.text == userID)
            #expect(found?.redirectURL.text == url)
        }
    }

    @Test func `what is stored is the id and the digest, not the token`() async throws {
        try await Storage.with { storage in
            let token = try TokenGenerator().makeToken()
            let digest = try SHA256.digest(of: token.characters)
            _ = try await storage.sessions.create(try storage.new(), id: token.id, tokenDigest: digest, until: soon)
            #expect(
                try await storage.database.rows("SELECT id, encode(token_hash, 'hex') FROM link_sessions")
                    == [[token.id.text, digest.hex]])
            // PostgreSQL computes the same digest, of the 54 characters.
            #expect(
                try await storage.database.count(
                    "SELECT count(*) FROM link_sessions WHERE token_hash = sha256('\(token.characters)')") == 1)
            let row = try #require(try await storage.database.value("SELECT s::text FROM link_sessions s"))
            #expect(!row.contains(token.characters))
            // Nor the part of it that the id does not tell.
            #expect(!row.contains(token.characters.suffix(32)))
            #expect(row.contains(digest.hex))
        }
    }

    @Test func `an id that nobody stored is not found, expired or completed`() async throws {
        try await Storage.with { storage in
            let known = try #require(try await storage.sessions.find(try await storage.created(), until: soon))
            let unknown = try TestToken().id
            #expect(try await storage.find(unknown) == nil)
            #expect(try await storage.expire(unknown) == nil)
            try await storage.database.execute("DELETE FROM link_sessions")
            guard case .unknown = try await storage.sessions.complete(known, as: nil, requestID: "x", until: soon)
            else {
                Issue.record("completed")
                return
            }
        }
    }

    @Test func `400 concurrent creates share few commits, and each gets its own session`() async throws {
        try await Storage.with { storage in
            let answers = try await withThrowingTaskGroup(of: (Int, LinkSession).self) { group in
                for caller in 0..<400 {
                    let token = try TestToken()
                    let new = try storage.new(userID: "user \(caller)", language: Language.allCases[caller % 4])
                    group.addTask { (caller, try await storage.create(new, token)) }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers.count == 400)
            for (caller, session) in answers {
                #expect(session.userID.text == "user \(caller)")
                guard caller % 20 == 0 else { continue }
                let found = try await storage.find(session.id)
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
            try await storage.database.execute(
                "ALTER TABLE link_sessions ADD CONSTRAINT the_thirtieth CHECK (user_id <> 'user 30')")
            let errors = await withTaskGroup(of: (Int, RepositoryError?).self) { group in
                for caller in 0..<60 {
                    group.addTask {
                        do {
                            try await storage.create(try storage.new(userID: "user \(caller)"), try TestToken())
                            return (caller, nil)
                        } catch {
                            return (caller, error as? RepositoryError)
                        }
                    }
                }
                return await group.reduce(into: [Int: RepositoryError]()) { $0[$1.0] = $1.1 }
            }
            // A node of a cluster does not say which.
            let constraint = TestEnvironment.citusNodes == nil ? ", constraint the_thirtieth" : ""
            #expect(
                errors == [
                    30: .bug(cause: "the database refused the statement (SQLSTATE 23514\(constraint))")
                ])
            let count = try await storage.database.count("SELECT count(*) FROM link_sessions")
            #expect(count == 59)
        }
    }

    @Test func `a second session under the same id is refused, and the first one stays`() async throws {
        try await Storage.with { storage in
            let token = try TestToken()
            try await storage.create(try storage.new(userID: "first"), token)
            // Its day's partition has a constraint of its own; a node of a cluster does not say which.
            let refusal =
                TestEnvironment.citusNodes == nil
                ? /the database refused the statement \(SQLSTATE 23505, constraint link_sessions_\d{8}_pkey\)/
                : /the database refused the statement \(SQLSTATE 23505\)/
            await #expect {
                try await storage.create(try storage.new(userID: "second"), token)
            } throws: { error in
                guard case .bug(let cause)? = error as? RepositoryError else { return false }
                return cause.wholeMatch(of: refusal) != nil
            }
            #expect(try await storage.find(token.id)?.userID.text == "first")
        }
    }

    /// The first attempt's commit happens, unheard of, while the second one is sent.
    @Test func `a create that is sent again after a broken connection returns the first attempt's times`() async throws
    {
        try await Storage.with { storage in
            let token = try TestToken()
            let first = try OpenTransaction(
                in: storage.database,
                """
                \(storage.insert(token)), t, t + interval '600 seconds'
                FROM (SELECT date_trunc('second', now()) - interval '7 seconds') AS first (t)
                """)
            async let created = storage.create(try storage.new(userID: "user"), token)
            try await storage.database.waitForBlocked()
            #expect(try await storage.database.cutConnections() >= 1)
            try await storage.database.waitForBlocked()
            try first.end("COMMIT")
            let session = try await created
            let stored = try await storage.stored(token.id)
            #expect(session.createdAt == Int64(stored.created))
            #expect(session.expiresAt == Int64(stored.expires))
            #expect(session.createdAt <= Int64(try await storage.now()) - 7)
            #expect(session.status == .open)
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 1)
        }
    }

    @Test func `of creates that are sent again together each gets its own times`() async throws {
        try await Storage.with { storage in
            // Of one shard: they go together.
            let generator = TokenGenerator(
                now: { 1_700_000_000_000_000_000 },
                randomWords: { () throws(RandomnessError) in (0, 0, 0, .random(in: .min ... .max)) })
            let tokens = try (0..<9).map { _ in try TestToken(generator) }
            let first = try OpenTransaction(
                in: storage.database,
                """
                \(storage.insert(tokens[4])), t, t + interval '600 seconds'
                FROM (SELECT date_trunc('second', now()) - interval '7 seconds') AS first (t)
                """)
            let new = try storage.new(userID: "user")
            let creates = [tokens[4]] + tokens[..<4] + tokens[5...]
            let calls = creates.map { token in
                Task { try await storage.create(new, token) }
            }
            try await storage.database.waitForBlocked()
            try await Task.sleep(for: .milliseconds(100))
            #expect(try await storage.database.cutConnections() >= 1)
            try await storage.database.waitForBlocked()
            try first.end("COMMIT")
            for (token, call) in zip(creates, calls) {
                let (session, stored) = (try await call.value, try await storage.stored(token.id))
                #expect(session.createdAt == Int64(stored.created))
                #expect(session.expiresAt == Int64(stored.expires))
            }
            #expect(try await storage.database.count("SELECT count(DISTINCT created_at) FROM link_sessions") > 1)
        }
    }
}

extension Storage {
    /// As an earlier attempt to create it: times follow.
    fileprivate func insert(_ token: TestToken) -> String {
        """
        INSERT INTO link_sessions (
            id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at)
        SELECT \(token.id.sql), \(token.id.shard), \(token.digest.sql), \(acme.id.number), 'user',
               'https://your-app.com/callback', 'nl'
        """
    }
}
