// /health/live and /health/ready: their shapes, what turns them, and what they cost the database.

@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct HealthTests {
        /// Asks until the answer has this status; the answer is at most a second old, and the keys' age counts too.
        private func ready(_ service: Service, _ status: Int, within time: Duration = .seconds(3)) async throws
            -> TestResponse
        {
            let start = ContinuousClock.now
            while true {
                let response = try await service.get("/health/ready")
                if response.status == status || .now - start > time { return response }
                try await Task.sleep(for: .milliseconds(50))
            }
        }

        private func state(_ response: TestResponse, _ check: String) -> String? {
            response.json["checks"]?[check]?["state"]?.string
        }

        private func cause(_ response: TestResponse, _ check: String) -> String {
            response.json["checks"]?[check]?["cause"]?.string ?? ""
        }

        @Test func `live and ready have exactly their shapes`() async throws {
            try await Service.run { service in
                let live = try await service.get("/health/live")
                #expect(live.status == 200)
                #expect(live.text == #"{"status":"ok"}"#)
                // The first pass of the maintenance makes the partitions.
                try await wait(until: "tomorrow's partitions are there") {
                    state(try await service.get("/health/ready"), "partitions") == "ok"
                }
                let ready = try await ready(service, 200)
                #expect(ready.status == 200)
                let ok = JSONValue.object(["state": .string("ok")])
                #expect(
                    ready.json == [
                        "status": .string("ok"),
                        "checks": .object(["database": ok, "migrations": ok, "partitions": ok, "control_plane": ok]),
                    ])
                for response in [live, ready] { #expect(response.header("Cache-Control") == "no-store") }
                // A key is neither needed nor looked at.
                for key in ["", "unknown", TestKeys.disabled] {
                    #expect(try await service.get("/health/live", key: key).status == 200)
                    #expect(try await service.get("/health/ready", key: key).status == 200)
                }
            }
        }

        @Test func `while the database is gone the replica lives, is not ready, and says why`() async throws {
            try await Service.run { service in
                let name = service.database.name
                let administration = TestDatabase(name: "postgres", url: try TestEnvironment.databaseURL)
                try await administration.execute("ALTER DATABASE \(name) ALLOW_CONNECTIONS false")
                try await administration.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(name)'")
                let gone = try await ready(service, 503)
                #expect(gone.status == 503)
                #expect(gone.json["status"] == .string("unavailable"))
                #expect(gone.header("Retry-After") != nil)
                #expect(state(gone, "database") == "unavailable")
                #expect(!cause(gone, "database").isEmpty)
                #expect(state(gone, "migrations") == "unknown")
                #expect(state(gone, "partitions") == "unknown")
                try await Task.sleep(for: .milliseconds(1100))
                let (duration, later) = try await timed { try await service.get("/health/ready") }
                #expect(duration < .seconds(2), "\(duration)")
                #expect(state(later, "control_plane") == "unavailable")
                #expect(!cause(later, "control_plane").isEmpty)
                #expect(try await service.get("/health/live").status == 200)

                try await administration.execute("ALTER DATABASE \(name) ALLOW_CONNECTIONS true")
                #expect(try await ready(service, 200).status == 200)
            }
        }

        @Test func `a database that answers and takes no writes is not ready, and the log says why`() async throws {
            try await Service.run { service in
                #expect(try await ready(service, 200).status == 200)
                let name = service.database.name
                let administration = TestDatabase(name: "postgres", url: try TestEnvironment.databaseURL)
                func setReadOnly(_ value: String) async throws {
                    try await administration.execute(
                        "ALTER DATABASE \(name) SET default_transaction_read_only = \(value)")
                    // The setting is that of new connections.
                    try await administration.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '\(name)'")
                }
                try await setReadOnly("on")
                let refused = try await ready(service, 503)
                #expect(refused.status == 503)
                try await wait(until: "readiness says so") {
                    state(try await service.get("/health/ready"), "database") == "read_only"
                }
                #expect(cause(try await service.get("/health/ready"), "database").contains("25006"))
                try await service.process.waitForLog(
                    "database read_only: it takes no writes (SQLSTATE 25006)", within: 5)
                #expect(try await service.create().status == 503)
                try await setReadOnly("off")
                #expect(try await ready(service, 200, within: .seconds(5)).status == 200)
                #expect(try await service.create().status == 201)
            }
        }

        @Test(arguments: [
            (
                "RAISE EXCEPTION 'No space left on device' USING ERRCODE = 'disk_full'", "disk_full",
                "its disk is full (SQLSTATE 53100)"
            ), ("PERFORM pg_sleep(30)", "unavailable", "it answers, and a write did not end in time"),
        ])
        func `a database whose disk is full, or hangs, is not ready, and the log says why`(
            what: String, named: String, because: String
        ) async throws {
            try await Service.run { service in
                #expect(try await ready(service, 200).status == 200)
                let name = "write_temporary_file"
                try await service.database.execute("ALTER FUNCTION \(name)() RENAME TO elsewhere")
                try await service.database.execute(
                    """
                    CREATE FUNCTION \(name)() RETURNS void LANGUAGE plpgsql AS $$
                    BEGIN \(what); END $$
                    """)
                try await wait(until: "readiness says so") {
                    state(try await service.get("/health/ready"), "database") == named
                }
                #expect(try await ready(service, 503).status == 503)
                try await service.process.waitForLog("database \(named): \(because)", within: 5)
                try await service.database.execute(
                    "DROP FUNCTION \(name)(); ALTER FUNCTION elsewhere() RENAME TO \(name)")
                #expect(try await ready(service, 200, within: .seconds(5)).status == 200)
            }
        }

        @Test func `keys that cannot be confirmed make requests with a key wait, not fail`() async throws {
            try await Service.run { service in
                try await service.database.execute("ALTER TABLE control_plane_version RENAME TO elsewhere")
                let unsure = try await ready(service, 503)
                #expect(unsure.status == 503)
                #expect(state(unsure, "control_plane") == "unavailable")
                #expect(state(unsure, "database") == "ok")
                for key in [TestKeys.acme, TestKeys.manufacturer("unknown")] {
                    let response = try await service.create(key: key)
                    service.expect(
                        response, 503, "unavailable", key == TestKeys.acme ? "a known key" : "an unknown key")
                    #expect(response.header("Retry-After") != nil)
                }
                service.expect(
                    try await service.request("POST", Service.sessions), 401, "unauthorized",
                    "no key is none, whatever happens")
                // The Authenticator's keys are configuration.
                #expect(try await service.view(unknownToken).status == 404)
                try await service.database.execute("ALTER TABLE elsewhere RENAME TO control_plane_version")
                #expect(try await ready(service, 200).status == 200)
                #expect(try await service.create().status == 201)
            }
        }

        @Test func `a later migration is ahead and harmless, a missing or edited one is not`() async throws {
            try await Service.run { service in
                let database = service.database
                func next(_ status: Int) async throws -> TestResponse {
                    try await Task.sleep(for: .milliseconds(1050))
                    return try await ready(service, status, within: .zero)
                }
                try await database.execute(
                    "INSERT INTO schema_migrations VALUES ('schema', 9999, '9999_later.sql', '\\x00')")
                let ahead = try await next(200)
                #expect(ahead.status == 200)
                #expect(ahead.json["status"] == .string("ok"))
                #expect(state(ahead, "migrations") == "ahead")
                #expect(cause(ahead, "migrations").contains("9999_later.sql"))

                try await database.execute(
                    """
                    CREATE TABLE saved AS SELECT * FROM schema_migrations;
                    DELETE FROM schema_migrations WHERE version >= 3
                    """)
                let behind = try await next(503)
                #expect(behind.status == 503)
                #expect(state(behind, "migrations") == "behind")
                #expect(cause(behind, "migrations").contains("0003_link_sessions.sql"))
                #expect(state(behind, "database") == "ok")

                try await database.execute(
                    """
                    TRUNCATE schema_migrations; INSERT INTO schema_migrations SELECT * FROM saved;
                    UPDATE schema_migrations SET checksum = '\\x00' WHERE version = 2
                    """)
                let edited = try await next(503)
                #expect(edited.status == 503)
                #expect(state(edited, "migrations") == "edited")
                #expect(cause(edited, "migrations").contains("0002_suppliers.sql"))

                try await database.execute("DROP TABLE schema_migrations")
                let none = try await next(503)
                #expect(none.status == 503)
                #expect(state(none, "migrations") == "behind")

                try await database.execute(
                    "ALTER TABLE saved RENAME TO schema_migrations; GRANT SELECT ON schema_migrations TO link_session_service"
                )
                #expect(try await next(200).status == 200)
            }
        }

        @Test func `a missing partition of tomorrow is said, and no reason to get no requests`() async throws {
            try await Service.run { service in
                func partitions(_ expected: String) async throws -> TestResponse {
                    try await wait(until: "the partitions are \(expected)") {
                        state(try await service.get("/health/ready"), "partitions") == expected
                    }
                    return try await service.get("/health/ready")
                }
                #expect(try await partitions("ok").status == 200)
                let tomorrow = "to_char((now() AT TIME ZONE 'UTC')::date + 1, '_YYYYMMDD')"
                for table in ["link_sessions", "link_session_events", "sign_ins"] {
                    let name = try #require(try await service.database.value("SELECT '\(table)' || \(tomorrow)"))
                    try await service.database.execute("ALTER TABLE \(name) RENAME TO elsewhere")
                    let late = try await partitions("late")
                    #expect(late.status == 200)
                    #expect(late.json["status"] == .string("ok"))
                    #expect(!cause(late, "partitions").isEmpty)
                    try await service.database.execute("ALTER TABLE elsewhere RENAME TO \(name)")
                    #expect(try await partitions("ok").status == 200)
                }
            }
        }

        @Test func `a deployment's own migrations never count`() async throws {
            try await Service.run(
                environment: ["MIGRATIONS_DIRECTORIES": "migrations,no-such-directory"],
                prepare: { database in
                    try await database.execute(
                        """
                        INSERT INTO schema_migrations VALUES
                            ('deployment', 1, '0001_own.sql', '\\x00'), ('deployment', 9, '0009_own.sql', '\\x00')
                        """)
                }
            ) { service in
                let ready = try await ready(service, 200)
                #expect(ready.status == 200)
                #expect(ready.json["checks"]?["migrations"] == .object(["state": .string("ok")]))
            }
        }

        @Test func `the database is asked once a second, however many ask us`() async throws {
            try await Service.run(prepare: { database in
                // Reading the ledger takes a number from a sequence.
                try await database.execute(
                    """
                    CREATE SEQUENCE probes;
                    ALTER TABLE schema_migrations RENAME TO ledger;
                    CREATE VIEW schema_migrations AS
                        WITH probe AS MATERIALIZED (SELECT nextval('probes')) SELECT ledger.* FROM ledger, probe;
                    GRANT SELECT ON schema_migrations TO link_session_service;
                    GRANT USAGE ON SEQUENCE probes TO link_session_service
                    """)
            }) { service in
                func probes() async throws -> Int { try await service.database.count("SELECT last_value FROM probes") }
                let before = try await probes()
                let start = ContinuousClock.now
                let count = try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<50 {
                        group.addTask {
                            var count = 0
                            while .now - start < .milliseconds(2300) {
                                #expect(try await service.get("/health/ready").status == 200)
                                count += 1
                                try await Task.sleep(for: .milliseconds(20))
                            }
                            return count
                        }
                    }
                    return try await group.reduce(0, +)
                }
                let asked = try await probes() - before
                #expect(count > 200, "asked us \(count) times")
                #expect((2...4).contains(asked), "asked the database \(asked) times in 2.3 s")
            }
        }

        @Test func `a service that has nothing to do leaves the database alone but for some looks a second`()
            async throws
        {
            try await Service.run { service in
                func transactions() async throws -> Int {
                    try await service.database.count(
                        "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
                }
                // Counts are told once a second.
                try await Task.sleep(for: .seconds(2))
                let (before, start) = (try await transactions(), ContinuousClock.now)
                try await Task.sleep(for: .seconds(3))
                let asked = Double(try await transactions() - before)
                let seconds = (ContinuousClock.now - start) / .seconds(1)
                #expect((1...60).contains(asked / seconds), "\(asked) transactions in \(seconds) s")
            }
        }
    }
}
