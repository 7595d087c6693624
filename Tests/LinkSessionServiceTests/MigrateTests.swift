// migrate as an operator meets it.

import Foundation
import PostgresClient
import TestSupport
import Testing

extension ProgramTests {
    @Suite struct MigrateTests {
        private static let deadDatabase = ["DATABASE_URL": "postgres://zq7:zq7password@127.0.0.1:1/none"]

        @Test func `migrate applies what is pending, and status and check tell`() async throws {
            try await TestDatabase.withEmpty { database in
                let environment = ["DATABASE_URL": database.url]
                func migrate(_ options: String...) async throws -> Command {
                    try await Command.run(["migrate"] + options, environment: environment)
                }
                let names = try TestDatabase.schema().migrations.map(\.name)
                func lines(_ state: String) -> String { names.map { "\(state)schema/\($0)\n" }.joined() }

                for _ in 1...2 {
                    let status = try await migrate("--status")
                    #expect(status.status == 0, "\(status.summary)")
                    #expect(status.output == lines("pending  "), "\(status.summary)")
                    let check = try await migrate("--check")
                    #expect(check.status == 1, "\(check.summary)")
                    #expect(check.output == lines("pending  "), "\(check.summary)")
                }
                #expect(
                    try await database.count(
                        "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0,
                    "--status and --check change nothing")

                let first = try await migrate()
                #expect(first.status == 0, "\(first.summary)")
                #expect(first.output == lines("applied  ") + "\(names.count) applied\n", "\(first.summary)")
                #expect(first.errors.isEmpty, "\(first.summary)")
                #expect(try await database.count("SELECT count(*) FROM link_sessions") == 0)
                let second = try await migrate()
                #expect(second.status == 0, "\(second.summary)")
                #expect(second.output == "nothing to apply\n", "\(second.summary)")
                for option in ["--status", "--check"] {
                    let run = try await migrate(option)
                    #expect(run.status == 0, "\(option): \(run.summary)")
                    #expect(run.output == lines("applied  "), "\(option): \(run.summary)")
                }
            }
        }

        @Test func `a deployment's own migrations have a history of their own`() async throws {
            try await TestDatabase.withEmpty { database in
                try await withTemporaryDirectory { directory in
                    try directory.write("INSERT INTO manufacturers (name) VALUES ('Own');", to: "own/0001_own.sql")
                    let own = directory.appending(path: "own").path
                    let names = try TestDatabase.schema().migrations.map(\.name)
                    let environment = [
                        "DATABASE_URL": database.url, "OPERATOR_DATABASE_URL": database.operatorURL,
                        "MIGRATIONS_DIRECTORIES": "\(TestDatabase.schemaDirectory),\(own)",
                    ]
                    let run = try await Command.run(["migrate"], environment: environment)
                    #expect(run.status == 0, "\(run.summary)")
                    #expect(
                        run.output.hasSuffix(
                            "applied  schema/\(names.last ?? "")\napplied  own/0001_own.sql\n\(names.count + 1) applied\n"
                        ),
                        "\(run.summary)")
                    #expect(try await database.count("SELECT count(*) FROM manufacturers WHERE name = 'Own'") == 1)
                    let check = try await Command.run(["migrate", "--check"], environment: environment)
                    #expect(check.status == 0, "\(check.summary)")
                    // The same by an option, and without them.
                    let byOption = try await Command.run(
                        ["migrate", "--check", "--migrations-directories", "\(TestDatabase.schemaDirectory),\(own)"],
                        environment: ["DATABASE_URL": database.url])
                    #expect(byOption.output == check.output && byOption.status == 0, "\(byOption.summary)")
                    let without = try await Command.run(
                        ["migrate", "--check"], environment: ["DATABASE_URL": database.url])
                    #expect(without.status == 0 && !without.output.contains("own/"), "\(without.summary)")
                }
            }
        }

        @Test func `an older build finds a newer schema ahead, and an edited one is refused by name`() async throws {
            try await TestDatabase.with { database in
                try await withTemporaryDirectory { directory in
                    let schema = directory.appending(path: "migrations")
                    try FileManager.default.copyItem(at: URL(filePath: TestDatabase.schemaDirectory), to: schema)
                    let environment = ["DATABASE_URL": database.url, "MIGRATIONS_DIRECTORIES": schema.path]

                    let newest = try #require(try TestDatabase.schema().migrations.last?.name)
                    try FileManager.default.removeItem(at: schema.appending(path: newest))
                    for options in [["migrate"], ["migrate", "--status"], ["migrate", "--check"]] {
                        let run = try await Command.run(options, environment: environment)
                        #expect(run.status == 0, "\(options): \(run.summary)")
                        #expect(
                            run.output.contains("ahead    schema/\(newest)"), "\(options): \(run.summary)")
                    }

                    try directory.write("-- Edited.\n", to: "migrations/0002_suppliers.sql")
                    for options in [["migrate"], ["migrate", "--status"], ["migrate", "--check"]] {
                        let run = try await Command.run(options, environment: environment)
                        #expect(run.status == 1, "\(options): \(run.summary)")
                        #expect(run.errorLines.count == 1, "\(options): \(run.summary)")
                        #expect(
                            run.errors.contains("schema/0002_suppliers.sql was edited after it was applied"),
                            "\(options): \(run.summary)")
                    }
                }
            }
        }

        @Test func `a migration that fails is one line with file, line and reason, and leaves nothing behind`()
            async throws
        {
            try await TestDatabase.with { database in
                try await withTemporaryDirectory { directory in
                    try directory.write(
                        "INSERT INTO manufacturers (name) VALUES ('One');\n\nINSERT INTO nowhere VALUES (1);\n",
                        to: "own/0001_broken.sql")
                    let run = try await Command.run(
                        ["migrate"],
                        environment: [
                            "DATABASE_URL": database.url, "OPERATOR_DATABASE_URL": database.operatorURL,
                            "MIGRATIONS_DIRECTORIES":
                                "\(TestDatabase.schemaDirectory),\(directory.appending(path: "own").path)",
                        ])
                    #expect(run.status == 1, "\(run.summary)")
                    #expect(run.errorLines.count == 1, "\(run.summary)")
                    #expect(
                        run.errors.contains("own/0001_broken.sql: line 3:") && run.errors.contains("nowhere"),
                        "\(run.summary)")
                    #expect(try await database.count("SELECT count(*) FROM manufacturers") == 0)
                }
            }
        }

        @Test func `a database that cannot hold every character is refused with a sentence, and nothing is left in it`()
            async throws
        {
            try await TestDatabase.withEmpty { database in
                let name = database.name + "_ascii"
                try await database.execute("CREATE DATABASE \(name) ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
                let url = database.url.replacing(database.name, with: name)
                let run = try await Command.run(
                    ["migrate"],
                    environment: ["DATABASE_URL": url, "MIGRATIONS_DIRECTORIES": TestDatabase.schemaDirectory])
                let tables = try await TestDatabase(name: name, url: url).count(
                    "SELECT count(*) FROM pg_class WHERE relname = 'manufacturers'")
                try await database.execute("DROP DATABASE \(name) WITH (FORCE)")
                #expect(run.status == 1 && run.errorLines.count == 1, "\(run.summary)")
                #expect(run.errors.contains("the database has the encoding SQL_ASCII"), "\(run.summary)")
                #expect(tables == 0)
            }
        }

        @Test func `migrate on a database out of reach is one line without the password`() async throws {
            for options in [["migrate"], ["migrate", "--status"], ["migrate", "--check"]] {
                let run = try await Command.run(options, environment: Self.deadDatabase)
                #expect(run.status == 1, "\(options): \(run.summary)")
                #expect(run.errorLines.count == 1, "\(options): \(run.summary)")
                #expect(run.errors.contains("cannot connect to the database"), "\(options): \(run.summary)")
                #expect(!run.errors.contains("zq7password") && run.output.isEmpty, "\(options): \(run.summary)")
            }
        }
    }
}
