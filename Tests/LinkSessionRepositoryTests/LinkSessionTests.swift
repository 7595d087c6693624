// Link sessions in PostgreSQL: created, found, expired, completed, and races between these.

import LinkSessionRepository
import LinkSessions
import PostgresClient
import TestSupport
import Testing
import TokenGenerator

@Suite(.timeLimit(.minutes(1))) struct LinkSessionTests {
    // MARK: Create and find

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
            #expect(
                try await storage.sessions.complete(tokenDigest: unknown, .anonymous, requestID: "test", until: soon)
                    == nil)
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

    // MARK: Complete

    @Test func `a session is completed once, at the database's time`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            let before = try await storage.now()
            let completed = try #require(
                try await storage.sessions.complete(tokenDigest: digest, .anonymous, requestID: "test", until: soon))
            let after = try await storage.now()
            #expect(completed.status == .completed)
            let time = try #require(completed.completedAt)
            #expect(time >= Int64(before.rounded(.down)) && time <= Int64(after))
            #expect(completed.expiresAt == completed.createdAt + 600)
            #expect(try await storage.stored(digest).completed == Int(time))

            // As if it had been long ago: again is not now.
            try await storage.database.execute(
                """
                UPDATE link_sessions SET created_at = created_at - interval '100 s', completed_at = completed_at - interval '90 s'
                """)
            let again = try #require(
                try await storage.sessions.complete(tokenDigest: digest, .anonymous, requestID: "test", until: soon))
            #expect(again.status == .completed)
            #expect(again.completedAt == time - 90)
            let found = try #require(
                try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon))
            #expect(found.status == .completed)
            #expect(found.completedAt == time - 90)
        }
    }

    @Test func `a completed session stays completed past its expiry`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            _ = try await storage.sessions.complete(tokenDigest: digest, .anonymous, requestID: "test", until: soon)
            try await storage.move(digest, by: "600 seconds")
            for session in [
                try await storage.sessions.complete(tokenDigest: digest, .anonymous, requestID: "test", until: soon),
                try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon),
            ] {
                #expect(session?.status == .completed)
            }
        }
    }

    @Test func `of 32 racing completes one sets the time, and all get the same answer`() async throws {
        try await Storage.with(connections: 8) { storage in
            try await storage.database.execute(
                """
                CREATE TABLE changes (completed_at timestamptz);
                CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN INSERT INTO changes VALUES (NEW.completed_at); RETURN NULL; END $$;
                CREATE TRIGGER note_change AFTER UPDATE ON link_sessions FOR EACH ROW EXECUTE FUNCTION note_change()
                """)
            let digest = try await storage.created()
            // All wait for the row together.
            let lock = try OpenTransaction(in: storage.database, "SELECT FROM link_sessions FOR UPDATE")
            async let answers = withThrowingTaskGroup(of: LinkSession?.self) { group in
                let sessions = storage.sessions
                for _ in 0..<32 {
                    group.addTask {
                        try await sessions.complete(tokenDigest: digest, .anonymous, requestID: "test", until: soon)
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            try await storage.database.waitForBlocked(8)
            try lock.end("ROLLBACK")
            let sessions = try await answers
            let time = try #require(try await storage.stored(digest).completed)
            #expect(sessions.count == 32)
            #expect(sessions.allSatisfy { $0?.status == .completed && $0?.completedAt == Int64(time) })
            #expect(try await storage.database.count("SELECT count(*) FROM changes") == 1)
        }
    }

    @Test(arguments: ["600 seconds", "601 seconds", "1 year"])
    func `a session at its expiry and after it is expired, and is not completed`(by interval: String) async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            try await storage.move(digest, by: interval)
            let expiry = try await storage.stored(digest).expires
            for session in [
                try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon),
                try await storage.sessions.complete(tokenDigest: digest, .anonymous, requestID: "test", until: soon),
                try await storage.sessions.complete(tokenDigest: digest, .anonymous, requestID: "test", until: soon),
            ] {
                #expect(session?.status == .expired)
                #expect(session?.completedAt == nil)
                #expect(session?.expiresAt == Int64(expiry))
            }
            #expect(try await storage.stored(digest).completed == nil)
        }
    }

    @Test func `a session is open until the last moment`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            // Up to two of the 600 seconds are left, and at least one.
            try await storage.move(digest, by: "598 seconds")
            #expect(
                try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon)?.status == .open)
            #expect(
                try await storage.sessions.complete(tokenDigest: digest, .anonymous, requestID: "test", until: soon)?
                    .status
                    == .completed)
        }
    }

    @Test func `a complete that waits while an expiry commits does not complete`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            let expiry = try OpenTransaction(
                in: storage.database,
                "UPDATE link_sessions SET expires_at = greatest(created_at, date_trunc('second', clock_timestamp()))")
            async let completed = storage.sessions.complete(
                tokenDigest: digest, .anonymous, requestID: "test", until: soon)
            try await storage.database.waitForBlocked()
            try expiry.end("COMMIT")
            let session = try #require(try await completed)
            let stored = try await storage.stored(digest)
            #expect(session.status == .expired)
            #expect(session.completedAt == nil)
            #expect(session.expiresAt == Int64(stored.expires))
            #expect(stored.completed == nil)
        }
    }

    @Test func `a complete that waits while an expiry is rolled back completes`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            let expiry = try OpenTransaction(
                in: storage.database,
                "UPDATE link_sessions SET expires_at = greatest(created_at, date_trunc('second', clock_timestamp()))")
            async let completed = storage.sessions.complete(
                tokenDigest: digest, .anonymous, requestID: "test", until: soon)
            try await storage.database.waitForBlocked()
            try expiry.end("ROLLBACK")
            #expect(try await completed?.status == .completed)
            #expect(try await storage.stored(digest).completed != nil)
        }
    }

    @Test func `a complete that waits for the row past its expiry does not complete`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            try await storage.expireSoon(digest)
            let lock = try OpenTransaction(in: storage.database, "SELECT FROM link_sessions FOR UPDATE")
            async let completed = storage.sessions.complete(
                tokenDigest: digest, .anonymous, requestID: "test", until: soon)
            try await storage.database.waitForBlocked()
            #expect(
                try await storage.database.value("SELECT expires_at > clock_timestamp() FROM link_sessions") == "true")
            try await Task.sleep(for: .milliseconds(650))
            try lock.end("ROLLBACK")
            let session = try #require(try await completed)
            #expect(session.status == .expired)
            #expect(session.completedAt == nil)
            #expect(try await storage.stored(digest).completed == nil)
        }
    }

    @Test func `a complete that waits while its session is deleted finds none`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            let deletion = try OpenTransaction(in: storage.database, "DELETE FROM link_sessions")
            async let completed = storage.sessions.complete(
                tokenDigest: digest, .anonymous, requestID: "test", until: soon)
            try await storage.database.waitForBlocked()
            try deletion.end("COMMIT")
            #expect(try await completed == nil)
        }
    }

    @Test func `a row that is locked for longer than a second is unavailable, not wrong`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            let lock = try OpenTransaction(in: storage.database, "SELECT FROM link_sessions FOR UPDATE")
            await #expect(
                throws: RepositoryError.unavailable(cause: "the database gave up (SQLSTATE 55P03)")
            ) { try await storage.sessions.complete(tokenDigest: digest, .anonymous, requestID: "test", until: soon) }
            // Reading waits for nobody.
            #expect(
                try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon)?.status == .open)
            try lock.end("ROLLBACK")
            #expect(try await storage.stored(digest).completed == nil)
        }
    }

    // MARK: Expire

    @Test func `a session is expired at the database's time, and again changes nothing`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            try await storage.move(digest, by: "100 seconds")
            let before = try await storage.now()
            let expired = try #require(
                try await storage.sessions.expire(
                    tokenDigest: digest, of: storage.acme.id, requestID: "test", until: soon))
            let after = try await storage.now()
            #expect(expired.status == .expired)
            #expect(expired.completedAt == nil)
            #expect(expired.expiresAt >= Int64(before.rounded(.down)) && expired.expiresAt <= Int64(after))
            #expect(try await storage.stored(digest).expires == Int(expired.expiresAt))

            try await storage.move(digest, by: "50 seconds")
            let again = try #require(
                try await storage.sessions.expire(
                    tokenDigest: digest, of: storage.acme.id, requestID: "test", until: soon))
            #expect(again.status == .expired)
            #expect(again.expiresAt == expired.expiresAt - 50)
            #expect(
                try await storage.sessions.complete(tokenDigest: digest, .anonymous, requestID: "test", until: soon)?
                    .status
                    == .expired)
            #expect(try await storage.stored(digest).completed == nil)
        }
    }

    @Test func `a session can be expired in the second in which it was made`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            let expired = try #require(
                try await storage.sessions.expire(
                    tokenDigest: digest, of: storage.acme.id, requestID: "test", until: soon))
            #expect(expired.status == .expired)
            #expect(expired.expiresAt >= expired.createdAt)
            #expect(expired.expiresAt <= expired.createdAt + 1)
        }
    }

    @Test func `a clock that stepped back expires no earlier than creation`() async throws {
        try await Storage.with { storage in
            let digests = [try await storage.created(), try await storage.created()]
            // The other way round: the session lies ahead of the clock.
            for digest in digests { try await storage.move(digest, by: "-60 seconds") }
            let expired = try await storage.sessions.expire(
                tokenDigest: digests[0], of: storage.acme.id, requestID: "test", until: soon)
            #expect(expired?.expiresAt == expired?.createdAt)
            let completed = try await storage.sessions.complete(
                tokenDigest: digests[1], .anonymous, requestID: "test", until: soon)
            #expect(completed?.completedAt == completed?.createdAt)
            #expect(completed?.status == .completed)
        }
    }

    @Test func `a session past its expiry keeps it when it is expired`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            try await storage.move(digest, by: "700 seconds")
            let expiry = try await storage.stored(digest).expires
            let expired = try await storage.sessions.expire(
                tokenDigest: digest, of: storage.acme.id, requestID: "test", until: soon)
            #expect(expired?.status == .expired)
            #expect(expired?.expiresAt == Int64(expiry))
            #expect(try await storage.stored(digest).expires == expiry)
        }
    }

    @Test func `a completed session stays completed when it is expired`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            let completed = try await storage.sessions.complete(
                tokenDigest: digest, .anonymous, requestID: "test", until: soon)
            let before = try await storage.stored(digest)
            let expired = try #require(
                try await storage.sessions.expire(
                    tokenDigest: digest, of: storage.acme.id, requestID: "test", until: soon))
            #expect(expired.status == .completed)
            #expect(expired.completedAt == completed?.completedAt)
            #expect(expired.expiresAt == expired.createdAt + 600)
            #expect(try await storage.stored(digest) == before)
        }
    }

    @Test func `another manufacturer's session does not exist for an expiry`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            let before = try await storage.stored(digest)
            #expect(
                try await storage.sessions.expire(
                    tokenDigest: digest, of: storage.beta.id, requestID: "test", until: soon) == nil)
            #expect(try await storage.stored(digest) == before)
            #expect(
                try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon)?.status == .open)
        }
    }

    @Test func `an expiry that waits while a complete commits leaves it completed`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            let completion = try OpenTransaction(
                in: storage.database,
                "UPDATE link_sessions SET completed_at = greatest(created_at, date_trunc('second', clock_timestamp()))")
            async let expired = storage.sessions.expire(
                tokenDigest: digest, of: storage.acme.id, requestID: "test", until: soon)
            try await storage.database.waitForBlocked()
            try completion.end("COMMIT")
            let session = try #require(try await expired)
            let stored = try await storage.stored(digest)
            #expect(session.status == .completed)
            #expect(session.completedAt == stored.completed.map(Int64.init))
            #expect(session.expiresAt == session.createdAt + 600)
            #expect(stored.completed != nil)
            #expect(stored.expires == stored.created + 600)
        }
    }

    @Test func `an expiry that waits for the row past its expiry leaves it as it was`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            try await storage.expireSoon(digest)
            let before = try await storage.database.value("SELECT expires_at FROM link_sessions")
            let lock = try OpenTransaction(in: storage.database, "SELECT FROM link_sessions FOR UPDATE")
            async let expired = storage.sessions.expire(
                tokenDigest: digest, of: storage.acme.id, requestID: "test", until: soon)
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
                let digest = try await storage.created()
                async let completed = storage.sessions.complete(
                    tokenDigest: digest, .anonymous, requestID: "test", until: soon)
                async let expired = storage.sessions.expire(
                    tokenDigest: digest, of: storage.acme.id, requestID: "test", until: soon)
                let (one, other) = try await (completed, expired)
                let found = try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon)
                #expect(one?.status == other?.status)
                #expect(one?.status == found?.status)
                #expect(one?.status == .completed || one?.status == .expired)
                #expect((found?.completedAt != nil) == (found?.status == .completed))
            }
        }
    }

    // MARK: A database that is not as expected

    @Test(arguments: ["language", "expires_at", "redirect_url", "completed_at"])
    func `a schema without a column is a bug, before and after statements were prepared`(column: String) async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            _ = try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon)
            try await storage.database.execute("ALTER TABLE link_sessions DROP COLUMN \(column) CASCADE")
            let sessions = storage.sessions
            let find = await error { _ = try await sessions.find(tokenDigest: digest, of: storage.acme, until: soon) }
            let complete = await error {
                _ = try await sessions.complete(tokenDigest: digest, .anonymous, requestID: "test", until: soon)
            }
            let expire = await error {
                _ = try await sessions.expire(tokenDigest: digest, of: storage.acme.id, requestID: "test", until: soon)
            }
            for error in [find, complete, expire] {
                #expect(error == .bug(cause: "the database refused the statement (SQLSTATE 42703)"))
            }
            guard column != "completed_at" else { return }
            let create = await error {
                _ = try await sessions.create(try storage.new(), tokenDigest: digest, until: soon)
            }
            #expect(create == .bug(cause: "the database refused the statement (SQLSTATE 42703)"))
        }
    }

    @Test func `a column of another type is a bug`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            try await storage.database.execute("ALTER TABLE link_sessions ALTER user_id TYPE varchar(300)")
            let sessions = storage.sessions
            let find = await error { _ = try await sessions.find(tokenDigest: digest, of: storage.acme, until: soon) }
            #expect(find == .bug(cause: "unexpected result of find_link_sessions, column user_id"))
        }
    }

    @Test(arguments: [
        ("redirect_url", "javascript:alert(1)"), ("user_id", "  "), ("language", "de"), ("expires_at", "infinity"),
    ])
    func `a stored value that breaks the domain's rules is a bug that names the column and not the value`(
        column: String, value: String
    ) async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            try await storage.database.execute(
                """
                ALTER TABLE link_sessions DROP CONSTRAINT link_sessions_language_known;
                UPDATE link_sessions SET \(column) = '\(value)'
                """)
            let sessions = storage.sessions
            let find = await error { _ = try await sessions.find(tokenDigest: digest, of: storage.acme, until: soon) }
            #expect(
                find
                    == .bug(
                        cause:
                            "unexpected result of find_link_sessions, column \(column == "expires_at" ? "coalesce" : column)"
                    )
                    || find == .bug(cause: "unexpected result of find_link_sessions, column \(column)"))
        }
    }

    @Test func `look-ups at the same time each get their own session`() async throws {
        try await Storage.with(connections: 4) { storage in
            var expected: [SHA256Digest: String?] = [try makeDigest(): nil, try makeDigest(): nil]
            for number in 0..<50 {
                let digest = try makeDigest()
                _ = try await storage.sessions.create(
                    try storage.new(userID: "user-\(number)"), tokenDigest: digest, until: soon)
                expected[digest] = "user-\(number)"
            }
            try await withThrowingTaskGroup(of: (SHA256Digest, String?).self) { group in
                for _ in 0..<5 {
                    for digest in expected.keys {
                        group.addTask {
                            (
                                digest,
                                try await storage.sessions.find(tokenDigest: digest, of: storage.acme, until: soon)?
                                    .userID.text
                            )
                        }
                    }
                }
                for try await (digest, userID) in group { #expect(userID == expected[digest]) }
            }
        }
    }

    @Test func `a row that cannot be read fails those who ask for it and nobody else`() async throws {
        try await Storage.with(connections: 1) { storage in
            let (broken, whole) = (try await storage.created(), try await storage.created())
            try await storage.database.execute(
                "UPDATE link_sessions SET redirect_url = 'nonsense' WHERE token_hash = \(broken.sql)")
            // Both wait for the one connection, and then go together.
            let lock = try OpenTransaction(in: storage.database, "LOCK TABLE link_sessions")
            async let first = storage.sessions.find(tokenDigest: whole, of: storage.acme, until: soon)
            try await storage.database.waitForBlocked()
            async let good = storage.sessions.find(tokenDigest: whole, of: storage.acme, until: soon)
            let bad = Task { try await storage.sessions.find(tokenDigest: broken, of: storage.acme, until: soon) }
            try await Task.sleep(for: .milliseconds(50))
            try lock.end("COMMIT")
            #expect(try await first != nil)
            #expect(try await good != nil)
            await #expect(
                throws: RepositoryError.bug(cause: "unexpected result of find_link_sessions, column redirect_url")
            ) {
                try await bad.value
            }
        }
    }

    @Test func `a database out of reach is unavailable within the deadline`() async throws {
        let address = try DatabaseAddress(connectionString: "postgres://postgres@127.0.0.1:1/postgres?sslmode=disable")
        try await DatabaseClient.running(on: address, connections: 1) { client in
            let sessions = LinkSessionRepository(database: client)
            let start = ContinuousClock.now
            let find = await error {
                let nobody = Manufacturer(id: .init(1), name: "Nobody", brand: nil)
                _ = try await sessions.find(tokenDigest: try makeDigest(), of: nobody, until: .now + .milliseconds(200))
            }
            #expect(find == .unavailable(cause: "no answer from the database in time"))
            #expect(ContinuousClock.now - start < .milliseconds(1500))
        }
    }
}

/// What the repository says went wrong.
private func error(_ body: () async throws -> Void) async -> RepositoryError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? RepositoryError
    }
}

extension Storage {
    /// Makes the session so much older.
    fileprivate func move(_ digest: SHA256Digest, by interval: String) async throws {
        try await database.execute(
            """
            UPDATE link_sessions SET
                created_at = created_at - interval '\(interval)', expires_at = expires_at - interval '\(interval)',
                completed_at = completed_at - interval '\(interval)'
            WHERE token_hash = \(digest.sql)
            """)
    }

    /// Half a second is left.
    fileprivate func expireSoon(_ digest: SHA256Digest) async throws {
        try await database.execute(
            """
            UPDATE link_sessions SET
                created_at = created_at - interval '599 seconds',
                expires_at = clock_timestamp() + interval '500 milliseconds'
            WHERE token_hash = \(digest.sql)
            """)
    }
}
