// A deployment's own migrations: they run with the operator's rights, whatever they leave behind.

import Foundation
import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct OperatorMigrationTests {
        /// Makes a table as whoever the connection can be again.
        private static let steal =
            "BEGIN RESET ROLE; CREATE TABLE public.stolen (); RETURN NULL; EXCEPTION WHEN insufficient_privilege THEN RETURN NULL; END"

        private static let stealingTrigger =
            "CREATE FUNCTION pg_temp.steal() RETURNS trigger LANGUAGE plpgsql AS $f$ \(steal) $f$;\n"

        private static let stealingFunction =
            "CREATE FUNCTION pg_temp.steal() RETURNS bigint LANGUAGE plpgsql AS $f$ \(steal) $f$;\n"

        private static func stealingLedger(_ name: String) -> String {
            """
            CREATE TEMPORARY TABLE \(name) (history text, version integer, name text, checksum bytea);
            GRANT ALL ON pg_temp.\(name) TO PUBLIC;
            CREATE TRIGGER steal BEFORE INSERT ON pg_temp.\(name) FOR EACH ROW EXECUTE FUNCTION pg_temp.steal();

            """
        }

        private static func stealingStatement(_ name: String) -> String {
            """
            DO $d$ BEGIN EXECUTE 'DEALLOCATE \(name)'; EXCEPTION WHEN OTHERS THEN NULL; END $d$;
            DO $d$ BEGIN EXECUTE 'PREPARE \(name) (text, bigint, text, bytea) AS
                SELECT pg_temp.steal() FROM (VALUES ($1, $2, $3, $4)) AS p';
            EXCEPTION WHEN OTHERS THEN NULL; END $d$;

            """
        }

        /// What a migration can leave behind on its connection, to be run later: by the next statement on the ledger, at
        /// the commit, under the name of a prepared statement of the migrator's.
        private static let leftovers: [(what: String, sql: String)] = [
            (
                "a temporary ledger",
                stealingTrigger + stealingLedger("schema_migrations") + stealingLedger("deployment_migrations")
            ),
            (
                "a deferred trigger",
                stealingTrigger + """
                    CREATE TEMPORARY TABLE late (n integer);
                    CREATE CONSTRAINT TRIGGER steal AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED
                        FOR EACH ROW EXECUTE FUNCTION pg_temp.steal();
                    INSERT INTO late VALUES (1);
                    """
            ),
            (
                "a prepared statement",
                stealingFunction + stealingStatement("record_migration")
                    + stealingStatement("record_in_schema_migrations")
                    + stealingStatement("record_in_deployment_migrations")
            ),
            (
                "a cursor that the commit runs to its end",
                stealingFunction
                    + "DO $d$ BEGIN EXECUTE 'DECLARE held CURSOR WITH HOLD FOR SELECT pg_temp.steal()'; END $d$;"
            ),
        ]

        @Test(arguments: leftovers)
        func `what a migration leaves behind never runs with the owner's rights`(what: String, sql: String) async throws
        {
            try await TestDatabase.with { database in
                // The right that they need: where `migrate` has made the tables, nobody has it.
                try await database.execute("GRANT TEMPORARY ON DATABASE \(database.name) TO test_operator")
                try await withTemporaryDirectory { directory in
                    try directory.write("SELECT 1;", to: "own/0001_first.sql")
                    try directory.write(sql, to: "own/0002_\(what.filter(\.isLetter)).sql")
                    try directory.write("SELECT 1;", to: "own/0003_last.sql")
                    let run = try await Self.migrate(database, directory)
                    #expect(run.status == 0, "\(what): \(run.summary)")
                }
                #expect(try await database.value("SELECT tableowner FROM pg_tables WHERE tablename = 'stolen'") == nil)
                #expect(try await database.count("SELECT count(*) FROM schema_migrations WHERE history = 'own'") == 0)
                #expect(try await database.count("SELECT count(*) FROM deployment_migrations") == 3)
            }
        }

        @Test func `a migration can neither leave its role nor its transaction, nor change a table`() async throws {
            try await TestDatabase.with { database in
                for (sql, refusal) in [
                    ("RESET ROLE; CREATE TABLE mine ()", "line 1: permission denied for schema public"),
                    ("SET LOCAL ROLE postgres", "permission denied to set role"),
                    ("RESET SESSION AUTHORIZATION; TRUNCATE api_keys", "permission denied for table api_keys"),
                    ("SET SESSION AUTHORIZATION postgres", "permission denied to set session authorization"),
                    ("COMMIT; CREATE TABLE mine ()", "transaction commands is not implemented"),
                    ("DO $$ BEGIN COMMIT; END $$", "invalid transaction termination"),
                    ("PREPARE TRANSACTION 'later'", "transaction commands is not implemented"),
                    ("CREATE TABLE mine ()", "line 1: permission denied for schema public"),
                    ("INSERT INTO manufacturers (name) VALUES ('x');\nTRUNCATE api_keys", "denied for table api_keys"),
                    ("UPDATE manufacturers SET enabled = false;\nINSERT INTO nowhere VALUES (1)", "line 2: relation"),
                    (
                        "INSERT INTO schema_migrations VALUES ('schema', 99, 'x', '')",
                        "denied for table schema_migrations"
                    ),
                    (
                        "UPDATE deployment_migrations SET name = 'x'",
                        "permission denied for table deployment_migrations"
                    ),
                ] {
                    try await withTemporaryDirectory { directory in
                        try directory.write(sql, to: "own/0001_own.sql")
                        let run = try await Self.migrate(database, directory)
                        #expect(run.status == 1 && run.errorLines.count == 1, "\(sql): \(run.summary)")
                        #expect(run.errors.contains(refusal), "\(sql): \(run.summary)")
                    }
                }
                #expect(try await database.value("SELECT to_regclass('mine')::text") == nil)
                #expect(try await database.count("SELECT count(*) FROM manufacturers") == 0)
                #expect(try await database.count("SELECT count(*) FROM deployment_migrations") == 0)
            }
        }

        @Test func `what a migration sets, prepares, locks and listens to is gone before the next one`() async throws {
            try await TestDatabase.with { database in
                try await database.execute("GRANT TEMPORARY ON DATABASE \(database.name) TO test_operator")
                try await withTemporaryDirectory { directory in
                    try directory.write(
                        """
                        SET search_path = ''; SET statement_timeout = '1h'; LISTEN changes; PREPARE one AS SELECT 1;
                        CREATE TEMPORARY TABLE manufacturers (name text); SELECT pg_advisory_lock(1);
                        """, to: "own/0001_first.sql")
                    try directory.write(
                        """
                        INSERT INTO manufacturers (name) VALUES (current_setting('statement_timeout'));
                        PREPARE one AS SELECT 1;
                        SELECT ensure(count(*) = 0, 'a lock was left behind')
                        FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND classid = 0;
                        SELECT ensure(pg_listening_channels() IS NULL, 'somebody listens') FROM (VALUES (1)) AS one;
                        """, to: "own/0002_second.sql")
                    let run = try await Self.migrate(database, directory)
                    #expect(run.status == 0, "\(run.summary)")
                }
                #expect(try await database.value("SELECT name FROM manufacturers") == "0")
            }
        }

        @Test func `a login that can come to the owner's rights applies no migration of a deployment`() async throws {
            try await TestDatabase.with { database in
                try await database.execute(
                    """
                    CREATE ROLE \(database.name)_creator LOGIN CREATEROLE IN ROLE link_session_operator;
                    CREATE ROLE \(database.name)_member LOGIN IN ROLE link_session_operator, postgres;
                    """)
                for login in ["postgres", "\(database.name)_creator", "\(database.name)_member"] {
                    let url = database.url.replacing("postgres@", with: "\(login)@", maxReplacements: 1)
                    for environment in [
                        ["OPERATOR_DATABASE_URL": url],
                        // Where it is unset, the other setting is meant.
                        ["OPERATOR_DATABASE_URL": "", "DATABASE_URL": url],
                    ] {
                        try await withTemporaryDirectory { directory in
                            try directory.write("UPDATE manufacturers SET enabled = true", to: "own/0001_own.sql")
                            let run = try await Self.migrate(database, directory, environment)
                            #expect(run.status == 1 && run.errorLines.count == 1, "\(login): \(run.summary)")
                            #expect(
                                run.errors.contains(
                                    "own/0001_own.sql: OPERATOR_DATABASE_URL expects a login with the operator's rights"
                                ),
                                "\(login): \(run.summary)")
                        }
                    }
                }
                #expect(try await database.count("SELECT count(*) FROM deployment_migrations") == 0)
                try await database.execute("DROP ROLE \(database.name)_creator, \(database.name)_member")
            }
        }

        @Test func `an operator needs no login but his own, and the owner not to be one`() async throws {
            try await PostgresServer.with { server in
                let cluster = TestDatabase(name: "postgres", url: server.url)
                try await cluster.execute("CREATE ROLE owner LOGIN CREATEROLE")
                try await cluster.execute("CREATE DATABASE owned OWNER owner")
                func url(_ login: String) -> String {
                    server.url.replacing("postgres@/postgres", with: "\(login)@/owned")
                }
                let owned = TestDatabase(name: "owned", url: url("owner"))
                for arguments in [["admin", "create-roles"], ["migrate"]] {
                    let run = try await Command.run(
                        arguments, environment: ["DATABASE_URL": url("owner")], within: 30)
                    #expect(run.status == 0, "\(arguments): \(run.summary)")
                    // It makes roles, and is a member of none of them that counts.
                    try await cluster.execute("ALTER ROLE owner NOCREATEROLE")
                }
                try await cluster.execute("CREATE ROLE person LOGIN IN ROLE link_session_operator")
                try await withTemporaryDirectory { directory in
                    let environment = [
                        "DATABASE_URL": url("person"), "MIGRATIONS_DIRECTORIES": "migrations,\(directory.path)",
                    ]
                    for arguments in [
                        ["admin", "add-manufacturer", "--name", "Own", "--unrestricted", "--apply"], ["admin", "list"],
                        ["migrate"],
                    ] {
                        let run = try await Command.run(arguments, environment: environment, within: 30)
                        #expect(run.status == 0, "\(arguments): \(run.summary)")
                    }
                }
                #expect(try await owned.count("SELECT count(*) FROM manufacturers") == 1)
                #expect(
                    try await owned.rows("SELECT name FROM deployment_migrations") == [["0001_add_manufacturer.sql"]])
            }
        }

        @Test func `a migrator that is killed in the middle of a migration leaves all of it or nothing`() async throws {
            try await TestDatabase.with { database in
                try await withTemporaryDirectory { directory in
                    try directory.write(
                        "INSERT INTO manufacturers (name) VALUES ('x'); SELECT pg_sleep(1);", to: "own/0001_slow.sql")
                    let process = try ServiceProcess(
                        ["migrate"], environment: Self.environment(of: database, directory))
                    try await wait(until: "the migration is under way") {
                        try await database.count(
                            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'DO %pg_sleep%' AND pid <> pg_backend_pid()"
                        ) == 1
                    }
                    process.send(SIGKILL)
                    _ = try await process.waitForExit()
                    // The next one waits until the server is through with it.
                    let run = try await Self.migrate(database, directory)
                    #expect(run.status == 0, "\(run.summary)")
                    #expect(run.output.hasSuffix("applied  own/0001_slow.sql\n1 applied\n"), "\(run.summary)")
                }
                #expect(try await database.count("SELECT count(*) FROM manufacturers") == 1)
                #expect(try await database.count("SELECT count(*) FROM deployment_migrations") == 1)
            }
        }

        private static func environment(of database: TestDatabase, _ directory: URL) -> [String: String] {
            [
                "DATABASE_URL": database.url, "OPERATOR_DATABASE_URL": database.operatorURL,
                "MIGRATIONS_DIRECTORIES": "migrations,\(directory.path)/own",
            ]
        }

        private static func migrate(
            _ database: TestDatabase, _ directory: URL, _ environment: [String: String] = [:]
        ) async throws -> Command {
            try await Command.run(
                ["migrate"], environment: Self.environment(of: database, directory).merging(environment) { $1 },
                within: 30)
        }
    }
}
