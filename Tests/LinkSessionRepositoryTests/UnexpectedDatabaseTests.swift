// A database that is out of reach, or not as the repository expects it.

import LinkSessionRepository
import LinkSessions
import Logging
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct UnexpectedDatabaseTests {
    @Test(arguments: ["language", "expires_at", "redirect_url", "completed_at"])
    func `a schema without a column is a bug, before and after statements were prepared`(column: String) async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            _ = try await storage.find(id)
            try await storage.database.execute("ALTER TABLE link_sessions DROP COLUMN \(column) CASCADE")
            let find = await error { _ = try await storage.find(id) }
            let complete = await error {
                _ = try await storage.complete(id)
            }
            let expire = await error {
                _ = try await storage.expire(id)
            }
            for error in [find, complete, expire] {
                #expect(error == .bug(cause: "the database refused the statement (SQLSTATE 42703)"))
            }
            guard column != "completed_at" else { return }
            let create = await error {
                try await storage.create(try storage.new(), try TestToken())
            }
            #expect(create == .bug(cause: "the database refused the statement (SQLSTATE 42703)"))
        }
    }

    @Test func `a column of another type is a bug`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            try await storage.database.execute("ALTER TABLE link_sessions ALTER user_id TYPE varchar(300)")
            let find = await error { _ = try await storage.find(id) }
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
            let id = try await storage.created()
            try await storage.database.execute(
                """
                ALTER TABLE link_sessions DROP CONSTRAINT link_sessions_language_known;
                UPDATE link_sessions SET \(column) = '\(value)'
                """)
            let find = await error { _ = try await storage.find(id) }
            #expect(
                find
                    == .bug(
                        cause:
                            "unexpected result of find_link_sessions, column \(column == "expires_at" ? "coalesce" : column)"
                    )
                    || find == .bug(cause: "unexpected result of find_link_sessions, column \(column)"))
        }
    }

    @Test func `a stored list of suppliers with one that can be none is a bug, and no shorter list`() async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            try await storage.database.execute(
                "UPDATE link_sessions SET offered_suppliers = '{green-grid,Nobody & Sons}'")
            let find = await error { _ = try await storage.find(id) }
            let cause = "\(String(describing: find))"
            #expect(cause.contains("unexpected result of find_link_sessions") && !cause.contains("Sons"), "\(cause)")
        }
    }

    @Test func `look-ups at the same time each get their own session`() async throws {
        try await Storage.with(connections: 4) { storage in
            var expected: [LinkSessionID: String?] = [try TestToken().id: nil, try TestToken().id: nil]
            for number in 0..<50 {
                let token = try TestToken()
                try await storage.create(try storage.new(userID: "user-\(number)"), token)
                expected[token.id] = "user-\(number)"
            }
            try await withThrowingTaskGroup(of: (LinkSessionID, String?).self) { group in
                for _ in 0..<5 {
                    for id in expected.keys {
                        group.addTask {
                            (
                                id,
                                try await storage.find(id)?
                                    .userID.text
                            )
                        }
                    }
                }
                for try await (id, userID) in group { #expect(userID == expected[id]) }
            }
        }
    }

    @Test func `a row that cannot be read fails those who ask for it and nobody else`() async throws {
        try await Storage.with(connections: 1) { storage in
            let (broken, whole) = (try await storage.created(), try await storage.created())
            try await storage.database.execute(
                "UPDATE link_sessions SET redirect_url = 'nonsense' WHERE id = \(broken.sql)")
            // Both wait for the one connection, and then go together.
            let lock = try OpenTransaction(in: storage.database, "LOCK TABLE link_sessions")
            async let first = storage.find(whole)
            try await storage.database.waitForBlocked()
            async let good = storage.find(whole)
            let bad = Task { try await storage.find(broken) }
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
            let controlPlane = ControlPlaneCache(
                repository: ControlPlaneRepository(database: client), hasSandbox: false,
                logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
            let sessions = LinkSessionRepository(database: client, controlPlane: controlPlane)
            let start = ContinuousClock.now
            let find = await error {
                _ = try await sessions.find(try TestToken().id, until: .now + .milliseconds(200))
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
