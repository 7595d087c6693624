// Completions, and races between them and expiries.

import LinkSessionRepository
import LinkSessions
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct CompletionTests {
    @Test func `a session is completed once, at the database's time`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            let before = try await storage.now()
            let completed = try #require(
                try await storage.complete(id)
                    .session)
            let after = try await storage.now()
            #expect(completed.status == .completed)
            let time = try #require(completed.completedAt)
            #expect(time >= Int64(before.rounded(.down)) && time <= Int64(after))
            #expect(completed.expiresAt == completed.createdAt + 600)
            #expect(try await storage.stored(id).completed == Int(time))

            // As if it had been long ago: again is not now.
            try await storage.database.execute(
                TestDatabase.update([
                    "created_at": "created_at - interval '100 s'", "completed_at": "completed_at - interval '90 s'",
                ]))
            let again = try #require(
                try await storage.complete(id)
                    .session)
            #expect(again.status == .completed)
            #expect(again.completedAt == time - 90)
            let found = try #require(
                try await storage.find(id))
            #expect(found.status == .completed)
            #expect(found.completedAt == time - 90)
        }
    }

    @Test func `a completed session stays completed past its expiry`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            _ = try await storage.complete(id)
            try await storage.move(id, by: "600 seconds")
            for session in [
                try await storage.complete(id)
                    .session,
                try await storage.find(id),
            ] {
                #expect(session?.status == .completed)
            }
        }
    }

    @Test func `of 32 racing completes one sets the time, and all get the same answer`() async throws {
        try await Storage.with(connections: 8) { storage in
            // A distributed table takes no trigger: there the events alone say how often the time was set.
            if TestEnvironment.citusNodes == nil {
                try await storage.database.execute(
                    """
                    CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
                    BEGIN INSERT INTO changes VALUES (NEW.completed_at); RETURN NULL; END $$;
                    CREATE TABLE changes (completed_at timestamptz);
                    CREATE TRIGGER note_change AFTER UPDATE ON link_sessions FOR EACH ROW EXECUTE FUNCTION note_change()
                    """)
            }
            let id = try await storage.created()
            // All wait for the row together.
            let lock = try OpenTransaction(in: storage.database, TestDatabase.lock(id))
            async let answers = withThrowingTaskGroup(of: LinkSession?.self) { group in
                for number in 0..<32 {
                    group.addTask { try await storage.complete(id, requestID: "c-\(number)").session }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            try await storage.database.waitForBlocked(8)
            try lock.end("ROLLBACK")
            let sessions = try await answers
            let time = try #require(try await storage.stored(id).completed)
            #expect(sessions.count == 32)
            #expect(sessions.allSatisfy { $0?.status == .completed && $0?.completedAt == Int64(time) })
            #expect(try await storage.database.rows("SELECT event FROM link_session_events") == [["completed"]])
            if TestEnvironment.citusNodes == nil {
                #expect(try await storage.database.count("SELECT count(*) FROM changes") == 1)
            }
        }
    }

    @Test(arguments: ["600 seconds", "601 seconds", "1 year"])
    func `a session at its expiry and after it is expired, and is not completed`(by interval: String) async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            try await storage.move(id, by: interval)
            let expiry = try await storage.stored(id).expires
            for session in [
                try await storage.find(id),
                try await storage.complete(id)
                    .session,
                try await storage.complete(id)
                    .session,
            ] {
                #expect(session?.status == .expired)
                #expect(session?.completedAt == nil)
                #expect(session?.expiresAt == Int64(expiry))
            }
            #expect(try await storage.stored(id).completed == nil)
        }
    }

    @Test func `a session is open until the last moment`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            // Up to two of the 600 seconds are left, and at least one.
            try await storage.move(id, by: "598 seconds")
            #expect(
                try await storage.find(id)?.status == .open)
            #expect(
                try await storage.complete(id)
                    .session?
                    .status
                    == .completed)
        }
    }

    @Test func `a complete that waits while an expiry commits does not complete`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            let expiry = try OpenTransaction(
                in: storage.database,
                TestDatabase.update(["expires_at": "greatest(created_at, date_trunc('second', clock_timestamp()))"]))
            async let completed = storage.complete(id)
            try await storage.database.waitForBlocked()
            try expiry.end("COMMIT")
            let session = try #require(try await completed.session)
            let stored = try await storage.stored(id)
            #expect(session.status == .expired)
            #expect(session.completedAt == nil)
            #expect(session.expiresAt == Int64(stored.expires))
            #expect(stored.completed == nil)
        }
    }

    @Test func `a complete that waits while an expiry is rolled back completes`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            let expiry = try OpenTransaction(
                in: storage.database,
                TestDatabase.update(["expires_at": "greatest(created_at, date_trunc('second', clock_timestamp()))"]))
            async let completed = storage.complete(id)
            try await storage.database.waitForBlocked()
            try expiry.end("ROLLBACK")
            #expect(try await completed.session?.status == .completed)
            #expect(try await storage.stored(id).completed != nil)
        }
    }

    @Test func `a complete that waits for the row past its expiry does not complete`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            try await storage.expireSoon(id)
            let lock = try OpenTransaction(in: storage.database, TestDatabase.lock(id))
            async let completed = storage.complete(id)
            try await storage.database.waitForBlocked()
            #expect(
                try await storage.database.value("SELECT expires_at > clock_timestamp() FROM link_sessions") == "true")
            try await Task.sleep(for: .milliseconds(650))
            try lock.end("ROLLBACK")
            let session = try #require(try await completed.session)
            #expect(session.status == .expired)
            #expect(session.completedAt == nil)
            #expect(try await storage.stored(id).completed == nil)
        }
    }

    @Test func `a complete that waits while its session is deleted finds none`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            let deletion = try OpenTransaction(in: storage.database, "DELETE FROM link_sessions")
            async let completed = storage.complete(id)
            try await storage.database.waitForBlocked()
            try deletion.end("COMMIT")
            guard case .unknown = try await completed else {
                Issue.record("a session that is deleted was completed")
                return
            }
        }
    }

    @Test func `a row that is locked for longer than a second is unavailable, not wrong`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            let lock = try OpenTransaction(in: storage.database, TestDatabase.lock(id))
            // A node of a cluster knows nothing of the session's lock_timeout: its statement_timeout ends the wait.
            let state = TestEnvironment.citusNodes == nil ? "55P03" : "57014"
            await #expect(
                throws: RepositoryError.unavailable(cause: "the database gave up (SQLSTATE \(state))")
            ) { try await storage.complete(id) }
            // Reading waits for nobody.
            #expect(
                try await storage.find(id)?.status == .open)
            try lock.end("ROLLBACK")
            #expect(try await storage.stored(id).completed == nil)
        }
    }

    @Test func `an open session is completed for an account at an enabled supplier, while its manufacturer is served`()
        async throws
    {
        try await Storage.with { storage in
            let id = try await storage.created()
            let session = try #require(try await storage.find(id))
            func complete(at supplier: Supplier.Slug) async throws -> CompletionOutcome {
                let identity = try #require(SupplierIdentity(supplier: supplier, userID: "u"))
                return try await storage.complete(id, as: identity)
            }
            /// Whether its manufacturer is enabled and may redirect there.
            func served() -> Bool {
                guard let owner = storage.controlPlane.latest?.manufacturers[storage.acme.id] else { return false }
                return owner.isEnabled && (try? owner.redirectPolicy.check(session.redirectURL)) != nil
            }
            for (what, change, back) in [
                (
                    "disabled", "UPDATE manufacturers SET enabled = false",
                    "UPDATE manufacturers SET enabled = true"
                ),
                (
                    "without its redirect URL", "UPDATE manufacturers SET redirect_urls = '{}'",
                    "UPDATE manufacturers SET redirect_urls = '{https://your-app.com/callback}'"
                ),
            ] {
                try await storage.change(change) { _ in !served() }
                guard case .blocked = try await complete(at: .sandbox) else {
                    Issue.record("completed for a manufacturer that is \(what)")
                    return
                }
                try await storage.change(back) { _ in served() }
            }
            guard case .supplierDisabled = try await complete(at: try #require(Supplier.Slug("no-grid"))) else {
                Issue.record("completed at a supplier that is not enabled")
                return
            }
            #expect(try await storage.stored(id).completed == nil)
            guard case .completed = try await complete(at: .sandbox) else {
                Issue.record("not completed")
                return
            }
            // What is completed is answered the same whatever changed meanwhile.
            try await storage.change("UPDATE manufacturers SET redirect_urls = '{}', enabled = false") { _ in !served()
            }
            guard case .completed = try await complete(at: .sandbox) else {
                Issue.record("another answer than before")
                return
            }
            guard case .completedByAnother = try await complete(at: try #require(Supplier.Slug("no-grid"))) else {
                Issue.record("two accounts completed one session")
                return
            }
        }
    }
}
