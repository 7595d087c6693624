// Migrations that are applied: fresh, again, as a role, at once, ahead.

import PostgresClient
import Synchronization
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct MigratorTests {
    @Test func `a fresh database gets every file, in order, and a second run finds nothing to do`() async throws {
        try await withDirectory { directory, database in
            // Sorted, and each needs the one before it.
            try directory.write("0002_b.sql", "ALTER TABLE a ADD b int;")
            try directory.write("0010_c.sql", "INSERT INTO a (b) VALUES (1); CREATE INDEX ON a (b);")
            try directory.write("0001_a.sql", "CREATE TABLE a (id int);")
            try directory.write("README.md", "not a migration")
            let (first, lines) = await migrate(database, [try directory.history()])
            #expect(try first.get() == 3)
            #expect(lines == ["applied  one/0001_a.sql", "applied  one/0002_b.sql", "applied  one/0010_c.sql"])
            #expect(try await database.count("SELECT b FROM a") == 1)
            let ledger = try await database.rows(
                "SELECT history, version, name, encode(checksum, 'escape'), applied_at > now() - interval '1 minute' FROM schema_migrations ORDER BY version"
            )
            #expect(
                ledger == [
                    ["one", "1", "0001_a.sql", "CREATE TABLE a (id int);", "true"],
                    ["one", "2", "0002_b.sql", "ALTER TABLE a ADD b int;", "true"],
                    ["one", "10", "0010_c.sql", "INSERT INTO a (b) VALUES (1); CREATE INDEX ON a (b);", "true"],
                ])
            let (second, silence) = await migrate(database, [try directory.history()])
            #expect(try second.get() == 0)
            #expect(silence == [])
            #expect(try await database.count("SELECT count(*) FROM a") == 1)
        }
    }

    @Test func `the product's own migrations apply to a fresh database`() async throws {
        try await TestDatabase.withEmpty { database in
            let schema = try TestDatabase.schema()
            let (count, _) = await migrate(database, [schema])
            #expect(try count.get() == schema.migrations.count)
            let status = try await Migrator(address: database.address, histories: [schema]).status()
            #expect(status[0].isUpToDate)
            #expect(status[0].applied == schema.migrations.map(\.name))
        }
    }

    @Test func `an operator's migrations run as its login, one after the other, and are in a ledger of their own`()
        async throws
    {
        try await withDirectory { directory, database in
            let login = "test_operator"
            // The owner's run makes the ledgers.
            #expect(try await migrate(database, []).result.get() == 0)
            try await database.execute(
                """
                CREATE TABLE runs (id int, who text DEFAULT session_user);
                GRANT INSERT ON runs TO \(login);
                GRANT SELECT, INSERT ON deployment_migrations TO \(login);
                """)
            try directory.write("0001_a.sql", "INSERT INTO runs VALUES (1); SET statement_timeout = '1h';")
            try directory.write("0002_b.sql", "INSERT INTO runs VALUES (2);")
            let (count, _) = await migrate(database, [try directory.history(rights: .operator)])
            #expect(try count.get() == 2)
            #expect(try await database.rows("SELECT id, who FROM runs ORDER BY id") == [["1", login], ["2", login]])
            #expect(try await database.count("SELECT count(*) FROM schema_migrations") == 0)
            #expect(try await database.count("SELECT count(*) FROM deployment_migrations") == 2)
            for (sql, refusal) in [
                ("ALTER TABLE runs ADD x int", "must be owner of table runs"),
                ("TRUNCATE runs", "permission denied for table runs"),
                ("CREATE TABLE mine ()", "permission denied for schema public"),
            ] {
                try directory.write("0003_c.sql", sql)
                let (result, _) = await migrate(database, [try directory.history(rights: .operator)])
                #expect(throws: MigrationError.self, "\(sql)") { try result.get() }
                guard case .failure(let failure) = result else { continue }
                #expect("\(failure)".contains(refusal), "\(failure)")
            }
        }
    }

    @Test func `a status that is asked for when idle also waits for an operator's migration whose migrator was lost`()
        async throws
    {
        try await withDirectory { directory, database in
            try directory.write("0001_a.sql", "CREATE TABLE a ();")
            let migrator = Migrator(address: try database.address, histories: [try directory.history()])
            let lost = try OpenTransaction(in: database, "SELECT pg_advisory_xact_lock(3916602718844051)")
            let idle = Task {
                let status = try await migrator.status(whenIdle: true).first
                return (status?.pending, ContinuousClock.now)
            }
            try await Task.sleep(for: .milliseconds(300))
            let released = ContinuousClock.now
            try lost.end("ROLLBACK")
            let (pending, answered) = try await idle.value
            #expect(pending == ["0001_a.sql"] && answered > released)
        }
    }

    @Test func `a status that is asked for when idle waits until no migrator is at work`() async throws {
        try await withDirectory { directory, database in
            try directory.write("0001_a.sql", "CREATE TABLE a ();")
            let migrator = Migrator(address: try database.address, histories: [try directory.history()])
            let other = try OpenTransaction(in: database, "SELECT pg_advisory_lock(7420183390125671)")
            #expect(try await migrator.status().count == 1)
            let idle = Task { try await migrator.status(whenIdle: true).first?.pending }
            try await Task.sleep(for: .milliseconds(300))
            try other.end("SELECT pg_advisory_unlock(7420183390125671); ROLLBACK")
            let released = ContinuousClock.now
            #expect(try await idle.value == ["0001_a.sql"])
            #expect(ContinuousClock.now - released < .seconds(2))
            let held = try OpenTransaction(in: database, "SELECT pg_advisory_lock(7420183390125671)")
            let waiting = Task { try await migrator.status(whenIdle: true).count }
            let first = await withTaskGroup(of: String.self) { group in
                group.addTask { (try? await waiting.value) == nil ? "failed" : "answered" }
                group.addTask {
                    try? await Task.sleep(for: .milliseconds(500))
                    try? held.end("SELECT pg_advisory_unlock(7420183390125671)")
                    return "released"
                }
                return await group.next() ?? ""
            }
            #expect(first == "released")
            try held.end("ROLLBACK")
        }
    }

    @Test func `status tells what would be done, and changes nothing`() async throws {
        try await withDirectory { directory, database in
            try directory.write("0001_a.sql", "CREATE TABLE a ();")
            try directory.write("0002_b.sql", "CREATE TABLE b ();")
            let migrator = Migrator(address: try database.address, histories: [try directory.history()])
            let status = try await migrator.status()
            #expect(status.count == 1)
            #expect(status[0].pending == ["0001_a.sql", "0002_b.sql"])
            #expect(status[0].applied == [])
            #expect(status[0].problems == [])
            #expect(!status[0].isUpToDate)
            #expect(
                try await database.count("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")
                    == 0)
        }
    }

    @Test func `a running service sees the same status through its own connections`() async throws {
        try await withDirectory { directory, database in
            try directory.write("0001_a.sql", "CREATE TABLE a ();")
            let history = try directory.history()
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                let before = try await Migrator.status(of: history, in: client, until: .now + .seconds(5))
                #expect(before.pending == ["0001_a.sql"])
                #expect(!before.isUpToDate)
                _ = await migrate(database, [history])
                let after = try await Migrator.status(of: history, in: client, until: .now + .seconds(5))
                #expect(after.isUpToDate)
                #expect(after.applied == ["0001_a.sql"])
            }
        }
    }

    @Test func `savepoints, and BEGIN in a function's body, are a file's own affair`() async throws {
        try await withDirectory { directory, database in
            try directory.write(
                "0001_a.sql",
                """
                SAVEPOINT s; CREATE TABLE gone (); ROLLBACK TO s;
                DO $$ BEGIN CREATE TABLE a (); END $$;
                """)
            #expect(try await migrate(database, [try directory.history()]).result.get() == 1)
            #expect(try await database.has("a"))
            #expect(try await !database.has("gone"))
        }
    }

    @Test func `two at once take turns, and each file is applied once`() async throws {
        try await withDirectory { directory, database in
            try directory.write("0001_a.sql", "CREATE TABLE a (n int); SELECT pg_sleep(0.3);")
            try directory.write("0002_b.sql", "INSERT INTO a VALUES (1);")
            try directory.write("0003_c.sql", "INSERT INTO a VALUES (2);")
            let history = try directory.history()
            async let first = migrate(database, [history])
            async let second = migrate(database, [history])
            async let third = migrate(database, [history])
            let runs = await [first, second, third]
            #expect(try runs.map { try $0.result.get() }.sorted() == [0, 0, 3])
            #expect(try await database.rows("SELECT n FROM a ORDER BY n") == [["1"], ["2"]])
            #expect(try await database.count("SELECT count(*) FROM schema_migrations") == 3)
            let waited = runs.count { $0.lines.first == "waiting for another migrate to end" }
            #expect(waited == 2)
        }
    }

    @Test func `an older build on a newer schema says ahead, and does not fail`() async throws {
        try await withDirectory { directory, database in
            for name in ["0001_a.sql", "0002_b.sql", "0003_c.sql"] { try directory.write(name, "SELECT 1;") }
            _ = await migrate(database, [try directory.history()])
            try directory.remove("0002_b.sql")
            try directory.remove("0003_c.sql")
            let (result, lines) = await migrate(database, [try directory.history()])
            #expect(try result.get() == 0)
            #expect(lines == ["ahead    one/0002_b.sql", "ahead    one/0003_c.sql"])
            let status = try await Migrator(address: database.address, histories: [try directory.history()]).status()[0]
            #expect(status.ahead == ["0002_b.sql", "0003_c.sql"])
            #expect(status.applied == ["0001_a.sql"])
            #expect(status.problems == [])
            #expect(status.isUpToDate)
            #expect(try await database.count("SELECT count(*) FROM schema_migrations") == 3)
        }
    }

    @Test func `several histories number on their own`() async throws {
        try await withDirectory { directory, database in
            try await withDirectory { other, _ in
                try directory.write("0001_a.sql", "CREATE TABLE a ();")
                try directory.write("0002_b.sql", "CREATE TABLE b ();")
                try other.write("0001_a.sql", "CREATE TABLE other_a ();")
                let (count, lines) = await migrate(database, [try directory.history(), try other.history("two")])
                #expect(try count.get() == 3)
                #expect(lines == ["applied  one/0001_a.sql", "applied  one/0002_b.sql", "applied  two/0001_a.sql"])
                // The one goes on without the other being asked, and the other's files are neither missing nor ahead.
                try other.write("0002_b.sql", "CREATE TABLE other_b ();")
                let status = try await Migrator(address: database.address, histories: [try directory.history()])
                    .status()[0]
                #expect(status.isUpToDate)
                #expect(status.ahead == [])
                #expect(try await migrate(database, [try other.history("two")]).result.get() == 1)
                #expect(
                    try await database.rows("SELECT history, version FROM schema_migrations ORDER BY history, version")
                        == [["one", "1"], ["one", "2"], ["two", "1"], ["two", "2"]])
            }
        }
    }

    @Test func `what one file sets for its session does not reach the next`() async throws {
        try await withDirectory { directory, database in
            // As the head of a dump does.
            try directory.write(
                "0001_a.sql", "SELECT pg_catalog.set_config('search_path', '', false); CREATE TABLE public.a ();")
            try directory.write("0002_b.sql", "CREATE TABLE b ();")
            let (result, _) = await migrate(database, [try directory.history()])
            #expect(try result.get() == 2)
            #expect(try await database.has("b"))
        }
    }
}
