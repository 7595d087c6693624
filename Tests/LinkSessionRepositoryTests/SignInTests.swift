// Sign-ins in the database: what a lost reply may repeat, and what nobody may.

import LinkSessionRepository
import LinkSessions
import TestSupport
import Testing
import TokenGenerator

@Suite(.timeLimit(.minutes(1))) struct SignInTests {
    private let supplier: Supplier.Slug

    init() throws { supplier = try #require(Supplier.Slug("green-grid")) }

    private func start(
        _ name: String, of session: LinkSessionID, requestID: String, _ storage: Storage
    ) async throws -> (id: SignIn.ID, isStarted: Bool) {
        let id = SignIn.ID(session: session, stateDigest: try SHA256.digest(of: name))
        let start = try await storage.signIns.start(
            id, at: supplier, in: .en, requestID: requestID, until: soon)
        return (id, start != .refused)
    }

    @Test func `ten answers are a session's tries: what was begun and never came back is none`() async throws {
        try await Storage.with { storage in
            let session = try await storage.created()
            for number in 1...20 {
                let (id, isStarted) = try await start("s-\(number)", of: session, requestID: "r-\(number)", storage)
                #expect(isStarted, "\(number)")
                // Every other one comes back.
                guard number.isMultiple(of: 2) else { continue }
                #expect(try await storage.signIns.recordCallback(id, callbackID: "c", until: soon))
            }
            #expect(try await start("s-21", of: session, requestID: "r", storage).isStarted == false)
            #expect(try await storage.database.count("SELECT count(*) FROM sign_ins") == 20)
            // One that was begun before is begun still.
            #expect(try await start("s-1", of: session, requestID: "r-1", storage).isStarted)
        }
    }

    @Test func `a start that is sent again counts once, the hundredth too, which is the last`() async throws {
        try await Storage.with { storage in
            let session = try await storage.created()
            for number in 1...100 {
                for _ in 0..<2 {
                    let (_, isStarted) = try await start(
                        "s-\(number)", of: session, requestID: "r-\(number)", storage)
                    #expect(isStarted, "\(number)")
                }
            }
            #expect(try await start("s-101", of: session, requestID: "r", storage).isStarted == false)
            #expect(try await storage.database.count("SELECT sign_ins FROM link_sessions") == 100)
            #expect(try await storage.database.count("SELECT count(*) FROM sign_ins") == 100)
        }
    }

    @Test func `a callback may be recorded again under its id until the sign-in is concluded, and no other`()
        async throws
    {
        try await Storage.with { storage in
            let session = try await storage.created()
            let (id, _) = try await start("s", of: session, requestID: "r", storage)
            for (callbackID, isFirst) in [("a", true), ("b", false), ("a", true), ("b", false)] {
                let counts = try await storage.signIns.recordCallback(id, callbackID: callbackID, until: soon)
                #expect(counts == isFirst, "\(callbackID)")
            }
            let found = try await storage.signIns.find(id, until: soon)
            #expect(found?.signIn.hasCallback == true && found?.signIn.isCallbackBeingProcessed == true)
            try await storage.signIns.conclude(id, .declined, because: .declined, requestID: "r", until: soon)
            let identity = try #require(SupplierIdentity(supplier: supplier, userID: "u"))
            // What is concluded stays so.
            try await storage.signIns.conclude(
                id, .signedIn(identity, account: "a"), requestID: "other", until: soon)
            #expect(try await storage.signIns.recordCallback(id, callbackID: "a", until: soon) == false)
            guard case .declined = try await storage.signIns.find(id, until: soon)?.signIn.outcome else {
                Issue.record("the outcome was changed")
                return
            }
        }
    }

    @Test func `what is decided is rewritten by no statement of the service`() async throws {
        try await Storage.with { storage in
            let session = try await storage.created()
            let identity = try #require(SupplierIdentity(supplier: .sandbox, userID: "u"))
            _ = try await storage.complete(session, as: identity)
            let (id, _) = try await start("s", of: try await storage.created(), requestID: "r", storage)
            _ = try await storage.signIns.recordCallback(id, callbackID: "a", until: soon)
            try await storage.signIns.conclude(id, .failed, because: .mixUp, requestID: "r", until: soon)
            let tables = [
                "SELECT * FROM link_sessions ORDER BY id", "SELECT * FROM nox_users", "SELECT * FROM sign_ins",
            ]
            var before: [[[String?]]] = []
            for table in tables { before.append(try await storage.database.rows(table)) }

            let victim = try #require(SupplierIdentity(supplier: .sandbox, userID: "victim"))
            for identity in [victim, nil] { _ = try await storage.complete(session, as: identity, requestID: "again") }
            _ = try await storage.expire(session)
            _ = try await start("late", of: session, requestID: "late", storage)
            try await storage.signIns.conclude(id, .signedIn(victim, account: "v"), requestID: "again", until: soon)
            _ = try await storage.signIns.recordCallback(id, callbackID: "b", until: soon)
            for (table, rows) in zip(tables, before) { #expect(try await storage.database.rows(table) == rows) }
        }
    }

    @Test func `a sign-in is found under its session and its state together, and under no other`() async throws {
        try await Storage.with { storage in
            let (session, other) = (try await storage.created(), try await storage.created())
            let (id, _) = try await start("s", of: session, requestID: "r", storage)
            let found = try #require(try await storage.signIns.find(id, until: soon))
            #expect(found.signIn.id == id)
            #expect(found.signIn.supplier == supplier)
            #expect(found.snapshot.session.id == session)
            for unknown in [
                SignIn.ID(session: other, stateDigest: id.stateDigest),
                SignIn.ID(session: session, stateDigest: try SHA256.digest(of: "t")),
                SignIn.ID(session: try TestToken().id, stateDigest: id.stateDigest),
            ] {
                #expect(try await storage.signIns.find(unknown, until: soon) == nil)
                #expect(try await storage.signIns.recordCallback(unknown, callbackID: "a", until: soon) == false)
                try await storage.signIns.conclude(unknown, .failed, requestID: "r", until: soon)
            }
            #expect(try await storage.database.count("SELECT count(answered_at) FROM sign_ins") == 0)
        }
    }

    @Test func `sign-ins are forgotten two hours after their session ended, and the session stays`() async throws {
        try await Storage.with { storage in
            for (name, age) in [("old", "131 minutes"), ("new", "129 minutes")] {
                let session = try await storage.addSession(age: age)
                try await storage.database.execute(
                    """
                    INSERT INTO sign_ins (session_id, shard, state_hash, supplier, language)
                    SELECT id, shard, sha256('\(name)'), 'green-grid', 'en' FROM link_sessions WHERE id = \(session.sql)
                    """)
            }
            _ = try await storage.maintain()
            #expect(try await storage.database.rows("SELECT state_hash = sha256('new') FROM sign_ins") == [["true"]])
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 2)
        }
    }
}
