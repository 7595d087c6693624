// Migrations: fresh, again, edited, missing, out of order, failing, at once, ahead.

import Foundation
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

    @Test func `a history's migrations run as its role, one after the other, and the ledger is written without it`()
        async throws
    {
        try await withDirectory { directory, database in
            let role = "role_of_history"
            try await database.execute(
                """
                DO $$ BEGIN CREATE ROLE \(role) NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
                CREATE TABLE runs (id int, who text DEFAULT current_user);
                GRANT INSERT ON runs TO \(role);
                DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO \(role)', current_database()); END $$;
                """)
            try directory.write("0001_a.sql", "INSERT INTO runs VALUES (1); SET statement_timeout = '1h';")
            try directory.write("0002_b.sql", "INSERT INTO runs VALUES (2);")
            let (count, _) = await migrate(database, [try directory.history(role: role)])
            #expect(try count.get() == 2)
            #expect(try await database.rows("SELECT id, who FROM runs ORDER BY id") == [["1", role], ["2", role]])
            for (sql, refusal) in [
                ("ALTER TABLE runs ADD x int", "must be owner of table runs"),
                ("TRUNCATE runs", "permission denied for table runs"),
                ("CREATE TABLE mine ()", "permission denied for schema public"),
            ] {
                try directory.write("0003_c.sql", sql)
                let (result, _) = await migrate(database, [try directory.history(role: role)])
                #expect(throws: MigrationError.self, "\(sql)") { try result.get() }
                guard case .failure(let failure) = result else { continue }
                #expect("\(failure)".contains(refusal), "\(failure)")
            }
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

    @Test func `an edited file is refused and named, and nothing is applied`() async throws {
        try await withDirectory { directory, database in
            try directory.write("0001_a.sql", "CREATE TABLE a ();")
            _ = await migrate(database, [try directory.history()])
            try directory.write("0001_a.sql", "CREATE TABLE a ( );")
            try directory.write("0002_b.sql", "CREATE TABLE b ();")
            let (result, _) = await migrate(database, [try directory.history()])
            #expect(
                result.failure == [
                    "one/0001_a.sql was edited after it was applied: restore it, and put the change into a new migration"
                ])
            #expect(try await !database.has("b"))
            let status = try await Migrator(address: database.address, histories: [try directory.history()]).status()
            #expect(status[0].problems == result.failure)
            #expect(!status[0].isUpToDate)
        }
    }

    @Test func `a missing file is refused and named`() async throws {
        try await withDirectory { directory, database in
            try directory.write("0001_a.sql", "CREATE TABLE a ();")
            try directory.write("0002_b.sql", "CREATE TABLE b ();")
            _ = await migrate(database, [try directory.history()])
            try directory.remove("0001_a.sql")
            try directory.write("0003_c.sql", "CREATE TABLE c ();")
            let (result, _) = await migrate(database, [try directory.history()])
            #expect(result.failure == ["one/0001_a.sql was applied and its file is missing"])
            #expect(try await !database.has("c"))
        }
    }

    @Test func `a file that comes too late for its number is refused and named`() async throws {
        try await withDirectory { directory, database in
            try directory.write("0001_a.sql", "CREATE TABLE a ();")
            try directory.write("0003_c.sql", "CREATE TABLE c ();")
            _ = await migrate(database, [try directory.history()])
            try directory.write("0002_b.sql", "CREATE TABLE b ();")
            let (result, _) = await migrate(database, [try directory.history()])
            #expect(result.failure == ["one/0002_b.sql is out of order: number 3 is applied already"])
            #expect(try await !database.has("b"))
        }
    }

    @Test func `every problem of every history is told at once`() async throws {
        try await withDirectory { directory, database in
            try await withDirectory { other, _ in
                for place in [directory, other] {
                    try place.write("0001_a.sql", "CREATE TABLE IF NOT EXISTS a ();")
                    try place.write("0003_c.sql", "CREATE TABLE IF NOT EXISTS c ();")
                }
                _ = await migrate(database, [try directory.history(), try other.history("two")])
                try directory.write("0001_a.sql", "-- edited")
                try directory.write("0002_b.sql", "CREATE TABLE b ();")
                try other.remove("0001_a.sql")
                let (result, _) = await migrate(database, [try directory.history(), try other.history("two")])
                #expect(
                    result.failure == [
                        "one/0001_a.sql was edited after it was applied: restore it, and put the change into a new migration",
                        "one/0002_b.sql is out of order: number 3 is applied already",
                        "two/0001_a.sql was applied and its file is missing",
                    ])
            }
        }
    }

    @Test func `a file that fails half way leaves nothing of itself, and all that came before it`() async throws {
        try await withDirectory { directory, database in
            try directory.write("0001_a.sql", "CREATE TABLE a ();")
            try directory.write(
                "0002_b.sql",
                """
                -- ünïcode before the fault, so that bytes and characters differ
                CREATE TABLE b (id int);
                INSERT INTO b VALUES (1);
                SELECT nothing FROM b;
                CREATE TABLE b2 ();
                """)
            try directory.write("0003_c.sql", "CREATE TABLE c ();")
            let (result, lines) = await migrate(database, [try directory.history()])
            #expect(result.failure == [#"one/0002_b.sql: line 4: column "nothing" does not exist (SQLSTATE 42703)"#])
            #expect(lines == ["applied  one/0001_a.sql"])
            #expect(try await database.has("a"))
            #expect(try await !database.has("b"))
            #expect(try await !database.has("b2"))
            #expect(try await !database.has("c"))
            #expect(try await database.rows("SELECT name FROM schema_migrations") == [["0001_a.sql"]])
            // Mended, it goes on where it stopped.
            try directory.write("0002_b.sql", "CREATE TABLE b ();")
            #expect(try await migrate(database, [try directory.history()]).result.get() == 2)
        }
    }

    @Test func `a failure that PostgreSQL gives no place for names the file and the SQLSTATE`() async throws {
        try await withDirectory { directory, database in
            try directory.write("0001_a.sql", "CREATE TABLE a (id int UNIQUE); INSERT INTO a VALUES (1), (1);")
            let (result, _) = await migrate(database, [try directory.history()])
            let line = try #require(result.failure?.first)
            #expect(line.hasPrefix("one/0001_a.sql: "))
            #expect(line.hasSuffix("(SQLSTATE 23505)"))
            #expect(try await !database.has("a"))
        }
    }

    @Test(arguments: [
        "CREATE TABLE a (); COMMIT;", "CREATE TABLE a (); ROLLBACK;", "CREATE TABLE a (); COMMIT; BEGIN;",
        "CREATE TABLE a (); ROLLBACK; BEGIN; CREATE TABLE b ();", "CREATE TABLE a (); COMMIT AND CHAIN;",
        "END; START TRANSACTION;",
        "CREATE TABLE a (); ABORT;",
    ])
    func `a file that ends its own transaction is refused and not recorded`(sql: String) async throws {
        try await withDirectory { directory, database in
            try directory.write("0001_a.sql", sql)
            try directory.write("0002_c.sql", "CREATE TABLE c ();")
            let (result, _) = await migrate(database, [try directory.history()])
            #expect(
                result.failure == [
                    "one/0001_a.sql: ends its own transaction; leave BEGIN, COMMIT and ROLLBACK to migrate"
                ])
            #expect(try await database.count("SELECT count(*) FROM schema_migrations") == 0)
            #expect(try await !database.has("c"))
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

    @Test func `COPY from standard input is refused`() async throws {
        try await withDirectory { directory, database in
            try directory.write("0001_a.sql", "CREATE TABLE a (id int); COPY a FROM STDIN;")
            let (result, _) = await migrate(database, [try directory.history()])
            #expect(result.failure?.first?.hasPrefix("one/0001_a.sql: ") == true)
            #expect(try await !database.has("a"))
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

    @Test func `a table that another session has locked fails the file after three seconds, and nothing of it stays`()
        async throws
    {
        try await withDirectory { directory, database in
            try await database.execute("CREATE TABLE locked (n int)")
            try directory.write("0001_a.sql", "CREATE TABLE a ();")
            try directory.write("0002_b.sql", "CREATE TABLE b ();\nALTER TABLE locked ADD m int;")
            let transaction = try OpenTransaction(in: database, "LOCK TABLE locked IN ACCESS SHARE MODE")
            let start = ContinuousClock.now
            let (result, _) = await migrate(database, [try directory.history()])
            let duration = ContinuousClock.now - start
            #expect(result.failure == ["one/0002_b.sql: canceling statement due to lock timeout (SQLSTATE 55P03)"])
            #expect(duration > .milliseconds(2900))
            #expect(duration < .milliseconds(4000))
            #expect(try await !database.has("b"))
            #expect(try await database.rows("SELECT name FROM schema_migrations") == [["0001_a.sql"]])
            try transaction.end("ROLLBACK")
            #expect(try await migrate(database, [try directory.history()]).result.get() == 1)
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

    @Test func `a database out of reach is said in one line without a password`() async throws {
        let address = try DatabaseAddress(connectionString: "postgres://app:secret@127.0.0.1:1/prod?sslmode=disable")
        let failure = await #expect(throws: MigrationError.self) {
            _ = try await Migrator(address: address, histories: []).migrate { _ in }
        }
        let line = try #require(failure?.lines.first)
        #expect(failure?.lines.count == 1)
        #expect(line.hasPrefix("cannot connect to the database: "))
        #expect(!line.contains("secret"))
        #expect(!line.contains("\n"))
    }

    @Test func `a ledger of another shape is refused`() async throws {
        try await withDirectory { directory, database in
            try directory.write("0001_a.sql", "CREATE TABLE a ();")
            try await database.execute(
                "CREATE TABLE schema_migrations (history text, version text, name text, checksum text); INSERT INTO schema_migrations VALUES ('one', '1', 'a', 'b')"
            )
            let (result, _) = await migrate(database, [try directory.history()])
            #expect(result.failure == ["the ledger schema_migrations has another shape than this build expects"])
            #expect(try await !database.has("a"))
        }
    }
}

@Suite struct MigrationFileTests {
    @Test(arguments: [
        "1_a.sql", "001_a.sql", "00001_a.sql", "0001.sql", "0001-a.sql", "0001a.sql", "a.sql", "0000_a.sql",
        "-001_a.sql",
        "٠٠٠١_a.sql", " 0001_a.sql", ".sql",
    ])
    func `a name without a number of four digits is refused and named`(name: String) throws {
        let directory = try Directory()
        defer { directory.delete() }
        try directory.write(name, "SELECT 1;")
        let failure = #expect(throws: MigrationError.self) { try directory.history() }
        #expect(failure?.lines.count == 1)
        #expect(failure?.lines.first?.hasSuffix("/\(name): expected a name like 0001_what_it_does.sql") == true)
    }

    @Test func `two files of one number are refused and named`() throws {
        let directory = try Directory()
        defer { directory.delete() }
        for name in ["0001_a.sql", "0002_b.sql", "0002_c.sql"] { try directory.write(name, "SELECT 1;") }
        let failure = #expect(throws: MigrationError.self) { try directory.history() }
        #expect(failure?.lines.first?.hasSuffix(": 0002_b.sql and 0002_c.sql have the same number") == true)
    }

    @Test(arguments: [[0x53, 0xFF], [0xC3, 0x28], [0xED, 0xA0, 0x80], [0xC0, 0x80]] as [[UInt8]])
    func `a file that is not UTF-8 is refused and named`(bytes: [UInt8]) throws {
        let directory = try Directory()
        defer { directory.delete() }
        try directory.write("0001_a.sql", bytes)
        let failure = #expect(throws: MigrationError.self) { try directory.history() }
        #expect(failure?.lines.first?.hasSuffix("/0001_a.sql: cannot be read as UTF-8 text") == true)
    }

    /// libpq would send what stands before it, and the rest would count as applied.
    @Test func `a file with a NUL is refused and named`() throws {
        let directory = try Directory()
        defer { directory.delete() }
        try directory.write("0001_a.sql", "CREATE TABLE a ();\u{0}CREATE TABLE b ();")
        let failure = #expect(throws: MigrationError.self) { try directory.history() }
        #expect(failure?.lines.first?.contains("0001_a.sql") == true)
    }

    @Test func `a file that cannot be read is refused and named`() throws {
        let directory = try Directory()
        defer { directory.delete() }
        try FileManager.default.createDirectory(
            atPath: directory.path + "/0001_a.sql", withIntermediateDirectories: false)
        let failure = #expect(throws: MigrationError.self) { try directory.history() }
        #expect(failure?.lines.first?.contains("0001_a.sql") == true)
    }

    @Test func `a directory that is not there is refused and named`() throws {
        let directory = try Directory()
        directory.delete()
        let failure = #expect(throws: MigrationError.self) { try directory.history() }
        #expect(
            failure?.lines == ["MIGRATIONS_DIRECTORIES expects readable directories: cannot read \(directory.path)"])
    }

    @Test func `other files are left alone`() throws {
        let directory = try Directory()
        defer { directory.delete() }
        for name in ["README.md", "0001_a.sql~", "0001_a.sql.bak", "0001_a.txt", "sql"] {
            try directory.write(name, "?")
        }
        #expect(try directory.history().migrations == [])
    }

    @Test func `versions, names and bytes are read`() throws {
        let directory = try Directory()
        defer { directory.delete() }
        try directory.write("9999_z.sql", "SELECT 'é';")
        try directory.write("0008_y.sql", "")
        #expect(
            try directory.history().migrations == [
                Migration(version: 8, name: "0008_y.sql", sql: "", checksum: []),
                Migration(version: 9999, name: "9999_z.sql", sql: "SELECT 'é';", checksum: Array("SELECT 'é';".utf8)),
            ])
    }
}

/// A directory of migrations.
private struct Directory: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "migrations-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func write(_ name: String, _ sql: String) throws { try write(name, Array(sql.utf8)) }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        try Data(bytes).write(to: URL(filePath: path + "/" + name))
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: path + "/" + name) }

    func delete() { try? FileManager.default.removeItem(atPath: path) }

    /// The digest is the text itself: what is tested here is that it is kept and compared.
    func history(_ name: String = "one", role: String? = nil) throws -> MigrationHistory {
        try MigrationHistory(name: name, role: role, directory: path) { $0 }
    }
}

private func withDirectory(_ body: (Directory, TestDatabase) async throws -> Void) async throws {
    let directory = try Directory()
    defer { directory.delete() }
    try await TestDatabase.withEmpty { try await body(directory, $0) }
}

private func migrate(
    _ database: TestDatabase, _ histories: [MigrationHistory]
) async -> (result: Result<Int, any Error>, lines: [String]) {
    let lines = Mutex<[String]>([])
    let result: Result<Int, any Error>
    do {
        let migrator = Migrator(address: try database.address, histories: histories)
        result = .success(try await migrator.migrate { line in lines.withLock { $0.append(line) } })
    } catch {
        result = .failure(error)
    }
    return (result, lines.withLock { $0 })
}

extension Result {
    fileprivate var failure: [String]? {
        if case .failure(let error) = self { (error as? MigrationError)?.lines ?? ["\(error)"] } else { nil }
    }
}

extension TestDatabase {
    fileprivate func has(_ table: String) async throws -> Bool {
        try await count("SELECT count(*) FROM pg_tables WHERE tablename = '\(table)' AND schemaname = 'public'") == 1
    }
}
