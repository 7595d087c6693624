// Migrations that are refused, or fail: edited, missing, out of order, wrong, locked out.

import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct MigrationRefusalTests {
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

    @Test func `COPY from standard input is refused`() async throws {
        try await withDirectory { directory, database in
            try directory.write("0001_a.sql", "CREATE TABLE a (id int); COPY a FROM STDIN;")
            let (result, _) = await migrate(database, [try directory.history()])
            #expect(result.failure?.first?.hasPrefix("one/0001_a.sql: ") == true)
            #expect(try await !database.has("a"))
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
