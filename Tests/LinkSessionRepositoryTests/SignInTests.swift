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
        _ name: String, of token: SHA256Digest, requestID: String, _ storage: Storage
    ) async throws -> (id: SHA256Digest, isStarted: Bool) {
        let id = try SHA256.digest(of: name)
        let isStarted = try await storage.signIns.start(
            id, of: token, at: supplier, in: .en, requestID: requestID, until: soon)
        return (id, isStarted)
    }

    @Test func `a start that is sent again counts once, the tenth too`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            for number in 1...10 {
                for _ in 0..<2 {
                    let (_, isStarted) = try await start(
                        "s-\(number)", of: digest, requestID: "r-\(number)", storage)
                    #expect(isStarted, "\(number)")
                }
            }
            #expect(try await start("s-11", of: digest, requestID: "r", storage).isStarted == false)
            #expect(try await storage.database.count("SELECT sign_ins FROM link_sessions") == 10)
            #expect(try await storage.database.count("SELECT count(*) FROM sign_ins") == 10)
        }
    }

    @Test func `a callback may be recorded again under its id until the sign-in is concluded, and no other`()
        async throws
    {
        try await Storage.with { storage in
            let digest = try await storage.created()
            let (id, _) = try await start("s", of: digest, requestID: "r", storage)
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

    @Test func `what is decided cannot be rewritten, not even by statement`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            let identity = try #require(SupplierIdentity(supplier: .sandbox, userID: "u"))
            _ = try await storage.sessions.complete(
                tokenDigest: digest, as: identity, requestID: "r", until: soon)
            let (id, _) = try await start("s", of: try await storage.created(), requestID: "r", storage)
            _ = try await storage.signIns.recordCallback(id, callbackID: "a", until: soon)
            try await storage.signIns.conclude(id, .failed, because: .mixUp, requestID: "r", until: soon)
            for sql in [
                "UPDATE link_sessions SET supplier_user_id = 'other' WHERE completed_at IS NOT NULL",
                "UPDATE link_sessions SET nox_user_id = gen_random_uuid() WHERE completed_at IS NOT NULL",
                "UPDATE link_sessions SET completed_by = sha256('x') WHERE completed_at IS NOT NULL",
                "UPDATE nox_users SET user_id = 'other'", "UPDATE nox_users SET id = gen_random_uuid()",
                "UPDATE sign_ins SET outcome = 'signed_in', supplier_user_id = 'victim', account = 'v'",
            ] {
                await #expect("\(sql)") {
                    try await storage.database.execute(sql)
                } throws: {
                    "\($0)".contains("what is decided in ")
                }
            }
        }
    }

    @Test func `sign-ins are forgotten two hours after they began, and a purge begins with them`() async throws {
        try await Storage.with { storage in
            let digest = try await storage.created()
            for name in ["old", "new"] {
                _ = try await start(name, of: digest, requestID: name, storage)
            }
            let old = try SHA256.digest(of: "old")
            try await storage.database.execute(
                "UPDATE sign_ins SET started_at = now() - interval '121 minutes' WHERE state_hash = '\\x\(old.hex)'")
            _ = try await storage.database.rows("SELECT deleted::text FROM purge_link_sessions(30, 0)")
            #expect(try await storage.database.count("SELECT count(*) FROM sign_ins") == 1)
            #expect(try await storage.signIns.find(old, until: soon) == nil)
            #expect(try await storage.signIns.snapshot(tokenDigest: digest, until: soon) != nil)
        }
    }
}
