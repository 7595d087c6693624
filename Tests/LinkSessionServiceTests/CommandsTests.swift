// The commands as an operator meets them: help, healthcheck, and what serve says of a database that is not ready.

import Foundation
import PostgresClient
import TestSupport
import Testing

extension ProgramTests {
    @Suite struct CommandsTests {
        @Test func `help names every command and every variable, and says what they are for`() async throws {
            let variables = [
                "LINK_SESSION_ENV", "DATABASE_URL", "AUTHENTICATOR_API_KEY_DIGESTS", "PUBLIC_BASE_URL", "HTTP_HOST",
                "HTTP_PORT",
                "DATABASE_CONNECTIONS", "MIGRATIONS_DIRECTORIES", "RETENTION_DAYS", "LOG_LEVEL", "LOG_FORMAT",
                "SHUTDOWN_DELAY_SECONDS",
                "SHUTDOWN_GRACE_SECONDS",
            ]
            for (arguments, words) in [
                (
                    ["--help"],
                    variables + ["serve", "migrate", "purge", "admin", "healthcheck", "config/base.json", "sha256sum"]
                ),
                (["-h"], ["serve", "migrate", "healthcheck"]),
                (["serve", "--help"], ["SIGTERM", "behind", "--http-port", "--public-base-url", "--log-level"]),
                (["migrate", "--help"], ["--status", "--check", "--migrations-directories", "ahead", "transaction"]),
                (["healthcheck", "--help"], ["exit 0", "/health/ready", "--http-port"]),
                (["help", "migrate"], ["--check"]),
                (["purge", "--help"], ["RETENTION_DAYS", "cron"]),
                (
                    ["admin", "--help"],
                    [
                        "add-manufacturer", "add-key", "rotate-key", "revoke-key", "enable", "disable",
                        "allow-redirect",
                        "remove-redirect", "redirect-policy", "list", "sessions", "export-user", "erase-user",
                        "erase-again", "audit", "create-roles",
                        "distribute", "--apply",
                    ]
                ),
                (["admin", "distribute", "--help"], ["--shards", "coordinator", "workers"]),
                (["admin", "erase-user", "--help"], ["standard input", "Backups", "--supplier"]),
                (["admin", "export-user", "--help"], ["standard input", "--supplier", "JSON"]),
                (["listen", "--help"], ["LINK_SESSION_API_KEY", "--forward-to", "--after", "--state", "webhook-id"]),
                (["trigger", "--help"], ["LINK_SESSION_API_KEY", "supplier_failed", "--wait", "ten minutes"]),
                (["admin", "erase-again", "--help"], ["restore", "standard input"]),
            ] {
                // Help needs neither configuration nor a working directory with one.
                let run = try await Command.run(arguments, directory: URL(filePath: "/"))
                #expect(run.status == 0, "\(arguments): \(run.summary)")
                #expect(run.errors.isEmpty, "\(arguments): \(run.errors)")
                for word in words { #expect(run.output.contains(word), "\(arguments) says nothing of \(word)") }
                #expect(!run.output.contains("--database-url"), "a secret is no option: \(arguments)")
            }
            let unknown = try await Command.run(["migrat"])
            #expect(unknown.status == 64, "\(unknown.summary)")
            #expect(unknown.output.isEmpty && unknown.errors.contains("migrat"), "\(unknown.summary)")
        }

        @Test func `healthcheck exits 0 where the service is ready and 1 where it is not`() async throws {
            try await Service.run { service in
                for (arguments, environment) in [
                    (["healthcheck"], ["HTTP_PORT": "\(service.port)"]),
                    (["healthcheck"], ["HTTP_PORT": "\(service.port)", "HTTP_HOST": "0.0.0.0"]),
                    (["healthcheck", "--http-port", "\(service.port)"], [:]),
                ] {
                    let run = try await Command.run(arguments, environment: environment)
                    #expect(run.status == 0, "\(run.summary)")
                    #expect(run.errors.isEmpty, "\(run.summary)")
                    #expect(run.output.hasPrefix(#"{"status":"ok","checks":{"#), "\(run.summary)")
                    #expect(run.output.split(separator: "\n").count == 1, "\(run.summary)")
                }
                try await service.database.execute("UPDATE schema_migrations SET checksum = '\\x00' WHERE version = 1")
                try await Task.sleep(for: .milliseconds(1100))
                let edited = try await Command.run(["healthcheck"], environment: ["HTTP_PORT": "\(service.port)"])
                #expect(edited.status == 1, "\(edited.summary)")
                #expect((edited.output + edited.errors).contains("0001_manufacturers.sql"), "\(edited.summary)")
            }
            let nobody = try await Command.run(["healthcheck"], environment: ["HTTP_PORT": "1"])
            #expect(nobody.status == 1, "\(nobody.summary)")
            #expect(nobody.errorLines.count == 1 && nobody.errors.contains("127.0.0.1:1"), "\(nobody.summary)")
        }

        @Test func `serve refuses a schema that is behind or edited, and says what to do`() async throws {
            func serve(_ database: TestDatabase) async throws -> Command {
                try await Command.run(["serve"], environment: Service.environment(of: database), within: 5)
            }
            try await TestDatabase.withEmpty { database in
                let run = try await serve(database)
                #expect(run.status == 1, "\(run.summary)")
                for name in try TestDatabase.schema().migrations.map(\.name) {
                    #expect(run.errors.contains(name), "\(run.summary)")
                }
                #expect(run.errorLines.allSatisfy { $0.contains("link-session-service migrate") }, "\(run.summary)")
                #expect(!run.output.contains("listening"), "\(run.summary)")
                #expect(!(run.output + run.errors).contains("zq7"), "\(run.summary)")
            }
            try await TestDatabase.with { database in
                try await database.execute("UPDATE schema_migrations SET checksum = '\\x00' WHERE version = 2")
                let run = try await serve(database)
                #expect(run.status == 1, "\(run.summary)")
                #expect(run.errorLines.count == 1, "\(run.summary)")
                #expect(
                    run.errors.contains("schema/0002_suppliers.sql was edited after it was applied"), "\(run.summary)")
                #expect(run.errors.contains("new migration"), "what to do about it: \(run.summary)")
                #expect(!run.output.contains("listening"), "\(run.summary)")
            }
            try await TestDatabase.with { database in
                try await database.execute(
                    "DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)")
                let run = try await serve(database)
                #expect(run.status == 1, "\(run.summary)")
                let last = try #require(try TestDatabase.schema().migrations.last?.name)
                #expect(run.errorLines.count == 1 && run.errors.contains(last), "\(run.summary)")
            }
            // A later build has migrated: that is no reason.
            try await Service.run(prepare: { database in
                try await database.execute(
                    "INSERT INTO schema_migrations VALUES ('schema', 9999, '9999_later.sql', '\\x00')")
            }) { service in
                let created = try await service.create()
                #expect(created.status == 201)
            }
        }

        @Test func `serve is the default, and is ready within a second of its start`() async throws {
            try await TestDatabase.with { database in
                try await database.addManufacturers()
                var environment = Service.environment(of: database)
                var times: [Duration] = []
                // The first start finds a free port for the others, so that these can be asked before they can say where.
                for arguments in [[], ["serve"], ["serve"], ["serve"], ["serve"], ["serve"]] {
                    let start = ContinuousClock.now
                    let process = try ServiceProcess(arguments, environment: environment)
                    defer { process.send(SIGKILL) }
                    if environment["HTTP_PORT"] == "0" {
                        try await process.waitUntilListening()
                        environment["HTTP_PORT"] = "\(process.port)"
                    }
                    let port = try #require(environment["HTTP_PORT"].flatMap { Int($0) })
                    func send(_ method: String, _ path: String) async throws -> TestResponse {
                        try await TestConnection.with(port: port) {
                            try await $0.send(
                                method, path,
                                headers: [("x-api-key", TestKeys.acme), ("Content-Type", "application/json")],
                                body: method == "POST" ? Array(Service.publishedRequest.utf8) : [])
                        }
                    }
                    while (try? await send("GET", "/health/ready"))?.status != 200, .now - start < .seconds(5) {
                        try await Task.sleep(for: .milliseconds(1))
                    }
                    times.append(.now - start)
                    #expect(try await send("POST", Service.sessions).status == 201, "ready means ready")
                    try await process.waitForLog("status=201", within: 10)
                    Secrets.expectNone(in: process.log, #_sourceLocation)
                    process.send(SIGKILL)
                    _ = try await process.waitForExit()
                }
                // The quickest: what is more than that is the machine's.
                let ready = try #require(times.min())
                #expect(ready < .seconds(1), "ready after \(times)")
            }
        }

        @Test func `serve starts without a database and is ready once it is there`() async throws {
            try await PostgresServer.with { server in
                try await TestDatabase.with(on: server.url) { database in
                    try await database.addManufacturers()
                    try server.killHard()
                    try await Service.serving(database, waitsForKeys: false) { service in
                        for _ in 0..<3 {
                            let ready = try await service.get("/health/ready")
                            #expect(ready.status == 503)
                            #expect(ready.json["checks"]?["database"]?["state"] == .string("unavailable"))
                            #expect(try await service.get("/health/live").status == 200)
                            let (duration, created) = try await timed { try await service.create() }
                            service.expect(created, 503, "unavailable", "without a database")
                            #expect(created.header("Retry-After") != nil)
                            #expect(duration < .seconds(2), "\(duration)")
                        }
                        let check = try await Command.run(
                            ["healthcheck"], environment: ["HTTP_PORT": "\(service.port)"])
                        #expect(check.status == 1, "\(check.summary)")

                        try await server.start()
                        let back = ContinuousClock.now
                        while try await service.create().status != 201, .now - back < .seconds(5) {
                            try await Task.sleep(for: .milliseconds(20))
                        }
                        #expect(.now - back < .seconds(2), "served after \(.now - back)")
                        while try await service.get("/health/ready").status != 200, .now - back < .seconds(5) {
                            try await Task.sleep(for: .milliseconds(20))
                        }
                        #expect(.now - back < .seconds(2.5), "ready after \(.now - back)")
                    }
                }
            }
        }
    }
}
