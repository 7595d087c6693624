// API keys in PostgreSQL: which are usable, and the version that tells of a change.

import LinkSessions
import PostgresClient
import TestSupport
import Testing
import TokenGenerator

@testable import LinkSessionRepository

@Suite(.timeLimit(.minutes(1))) struct APIKeyTests {
    @Test func `usable are the keys of enabled manufacturers that are neither revoked nor expired`() async throws {
        try await Storage.with { storage in
            let database = storage.database
            try await database.addKey("second", manufacturer: "Acme Manufacturing")
            try await database.addKey("revoked", manufacturer: "Acme Manufacturing", columns: ["revoked_at": "now()"])
            try await database.addKey(
                "expired", manufacturer: "Acme Manufacturing",
                columns: ["created_at": "now() - interval '1 day'", "expires_at": "now() - interval '1 second'"])
            try await database.addKey(
                "ending", manufacturer: "Beta Devices", columns: ["expires_at": "'2100-01-01T00:00:00.25Z'"])
            try await database.addKey("of-disabled", manufacturer: "Gamma Retired")
            let version = try await storage.controlPlaneRepository.version(until: soon)
            let plane = try await storage.controlPlaneRepository.load(until: soon)
            let usable = plane.keys.filter { plane.manufacturers[$0.value.manufacturer]?.isEnabled == true }
            let expected = [TestKeys.acme, TestKeys.beta, "second", "ending"]
            #expect(Set(usable.keys) == Set(try expected.map { try SHA256.digest(of: $0) }))

            let acmeKey = try #require(usable[try SHA256.digest(of: TestKeys.acme)])
            #expect(acmeKey.manufacturer == storage.acme.id)
            #expect(acmeKey.expiresAt == nil)
            let acme = try #require(plane.manufacturers[acmeKey.manufacturer])
            #expect(acme.manufacturer.name == "Acme Manufacturing")
            #expect(acme.manufacturer.brand?.titleCased == "Acme Manufacturing")
            #expect(acme.invalidRedirectURLs == 0)
            #expect(throws: Never.self) {
                try acme.redirectPolicy.check(RedirectURL("https://your-app.com/callback?a=b"))
            }
            let refusal = #expect(throws: ValidationError.self) {
                try acme.redirectPolicy.check(RedirectURL("https://your-app.com/other"))
            }
            #expect(refusal?.rule == .redirectPolicy)

            let ending = try #require(usable[try SHA256.digest(of: "ending")])
            #expect(ending.expiresAt == 4_102_444_800_250_000)
            let beta = try #require(plane.manufacturers[ending.manufacturer])
            #expect(beta.manufacturer.name == "Beta Devices")
            #expect(beta.manufacturer.brand == nil)
            #expect(throws: Never.self) { try beta.redirectPolicy.check(RedirectURL("https://anywhere.example/")) }
            #expect(try await storage.controlPlaneRepository.version(until: soon).number == version.number)
        }
    }

    @Test func `without any key there is still a version`() async throws {
        try await TestDatabase.with { database in
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                let repository = ControlPlaneRepository(database: client)
                #expect(try await repository.version(until: soon).number == 1)
                let plane = try await repository.load(until: soon)
                #expect(plane.keys.isEmpty && plane.manufacturers.isEmpty && plane.suppliers.isEmpty)
            }
        }
    }

    @Test func `the version comes with the database's time`() async throws {
        try await Storage.with { storage in
            let before = try await storage.now() * 1_000_000
            let first = try await storage.controlPlaneRepository.version(until: soon).databaseTime
            let second = try await storage.controlPlaneRepository.version(until: soon).databaseTime
            let after = try await storage.now() * 1_000_000
            #expect(Double(first) >= before.rounded(.down))
            #expect(second > first)
            #expect(Double(second) <= after)
        }
    }

    @Test func `registered redirect URLs that are no valid ones are counted and allow nothing`() async throws {
        try await Storage.with { storage in
            try await storage.database.execute(
                """
                UPDATE manufacturers SET redirect_urls = '{https://your-app.com/callback,http://plain.example/,nonsense}'
                WHERE name = 'Acme Manufacturing'
                """)
            let plane = try await storage.controlPlaneRepository.load(until: soon)
            let acme = try #require(plane.manufacturers[storage.acme.id])
            #expect(acme.invalidRedirectURLs == 2)
            #expect(throws: Never.self) { try acme.redirectPolicy.check(RedirectURL("https://your-app.com/callback")) }
        }
    }

    @Test(arguments: [
        "INSERT INTO manufacturers (name) VALUES ('New')",
        "UPDATE manufacturers SET enabled = NOT enabled",
        "UPDATE manufacturers SET redirect_urls = '{}'",
        "UPDATE manufacturers SET name = 'Renamed' WHERE name = 'Beta Devices'",
        "DELETE FROM manufacturers WHERE name = 'Unused'",
        "TRUNCATE manufacturers CASCADE",
        "INSERT INTO api_keys (manufacturer_id, key_hash, label) SELECT min(id), sha256('new'), 'new' FROM manufacturers",
        "UPDATE api_keys SET revoked_at = now()",
        "UPDATE api_keys SET expires_at = now() + interval '1 day'",
        "UPDATE api_keys SET manufacturer_id = (SELECT max(id) FROM manufacturers)",
        "UPDATE api_keys SET key_hash = sha256(key_hash)",
        "UPDATE api_keys SET label = 'renamed', last_used_at = now()",
        "DELETE FROM api_keys",
        "TRUNCATE api_keys",
        "BEGIN; UPDATE api_keys SET revoked_at = now(); COMMIT",
        """
        INSERT INTO suppliers (slug, name, issuer, client_id, client_secret_name)
        VALUES ('new', 'New', 'https://new.example', 'c', 'SUPPLIER_NEW_SECRET')
        """,
        "UPDATE suppliers SET enabled = false", "UPDATE suppliers SET issuer = 'https://other.example'",
        "DELETE FROM suppliers", "TRUNCATE suppliers",
    ])
    func `the version rises with every change`(sql: String) async throws {
        try await Storage.with { storage in
            try await storage.database.execute("INSERT INTO manufacturers (name) VALUES ('Unused')")
            let before = try await storage.controlPlaneRepository.version(until: soon).number
            try await storage.database.execute(sql)
            #expect(try await storage.controlPlaneRepository.version(until: soon).number > before)
        }
    }

    @Test(arguments: [
        "UPDATE api_keys SET last_used_at = now()",
        "BEGIN; UPDATE api_keys SET revoked_at = now(); ROLLBACK",
        "BEGIN; TRUNCATE api_keys; ROLLBACK",
        "BEGIN; INSERT INTO manufacturers (name) VALUES ('New'); ROLLBACK",
        "SELECT FROM api_keys FOR UPDATE",
        """
        INSERT INTO link_sessions (
            id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at)
        SELECT first_id_at(now()), 0, sha256('x'), min(id), 'u', 'https://a.example/', 'nl', now(), now()
        FROM manufacturers
        """,
    ])
    func `the version does not rise without a change`(sql: String) async throws {
        try await Storage.with { storage in
            let before = try await storage.controlPlaneRepository.version(until: soon).number
            try await storage.database.execute(sql)
            #expect(try await storage.controlPlaneRepository.version(until: soon).number == before)
        }
    }

    @Test func `the version rises with the commit and not before`() async throws {
        try await Storage.with { storage in
            let before = try await storage.controlPlaneRepository.version(until: soon).number
            let change = try OpenTransaction(in: storage.database, "UPDATE api_keys SET revoked_at = now()")
            #expect(try await storage.controlPlaneRepository.version(until: soon).number == before)
            #expect(try await storage.controlPlaneRepository.load(until: soon).keys.count == 3)
            try change.end("COMMIT")
            #expect(try await storage.controlPlaneRepository.version(until: soon).number > before)
            #expect(try await storage.controlPlaneRepository.load(until: soon).keys.count == 0)
        }
    }

    @Test func `two changes at once both raise the version`() async throws {
        try await Storage.with { storage in
            let before = try await storage.controlPlaneRepository.version(until: soon).number
            let first = try OpenTransaction(
                in: storage.database, "UPDATE manufacturers SET brand = 'a' WHERE name = 'Beta Devices'")
            async let second: Void = storage.database.execute("UPDATE api_keys SET label = 'b'")
            try await storage.database.waitForBlocked()
            try first.end("COMMIT")
            try await second
            #expect(try await storage.controlPlaneRepository.version(until: soon).number == before + 2)
        }
    }

    @Test(arguments: [
        "ALTER TABLE manufacturers DROP COLUMN enabled", "ALTER TABLE api_keys DROP COLUMN expires_at CASCADE",
        "ALTER TABLE manufacturers DROP COLUMN redirect_urls", "ALTER TABLE suppliers DROP COLUMN scopes CASCADE",
        "DROP TABLE control_plane_version CASCADE",
    ])
    func `a schema without what is needed is a bug`(sql: String) async throws {
        try await Storage.with { storage in
            let repository = storage.controlPlaneRepository
            func read() async throws {
                _ = try await repository.version(until: soon)
                _ = try await repository.load(until: soon)
            }
            try await read()
            try await storage.database.execute(sql)
            await #expect {
                try await read()
            } throws: { error in
                guard case .bug(let cause)? = error as? RepositoryError else { return false }
                return cause.contains("SQLSTATE 42")
            }
        }
    }

    @Test func `the use of a key is recorded at most once in five minutes, for no other key, and raises no version`()
        async throws
    {
        try await Storage.with { storage in
            let acme = try SHA256.digest(of: TestKeys.acme)
            let before = try await storage.controlPlaneRepository.version(until: soon).number
            func lastUsed() async throws -> [[String?]] {
                try await storage.database.rows(
                    """
                    SELECT extract(epoch FROM now() - k.last_used_at)::int FROM api_keys k
                    JOIN manufacturers m ON m.id = k.manufacturer_id ORDER BY m.name
                    """)
            }
            for (age, expected) in [(nil, "0"), ("4 minutes 58 seconds", "298"), ("5 minutes", "0")] {
                if let age {
                    try await storage.database.execute(
                        "UPDATE api_keys SET last_used_at = date_trunc('second', now()) - interval '\(age)' WHERE key_hash = \(acme.sql)"
                    )
                }
                try await storage.controlPlaneRepository.recordUse(of: [acme, TestToken().digest], until: soon)
                let ages = try await lastUsed()
                #expect(ages.dropFirst().allSatisfy { $0 == [nil] })
                let recorded = try #require(ages[0][0].flatMap { Int($0) })
                #expect((0...2).contains(recorded - (Int(expected) ?? -1)), "\(age ?? "never"): \(recorded)")
            }
            #expect(try await storage.controlPlaneRepository.version(until: soon).number == before)
        }
    }

    @Test func `recording the use of a key does not wait for whoever has locked it`() async throws {
        try await Storage.with { storage in
            let lock = try OpenTransaction(in: storage.database, "SELECT FROM api_keys FOR UPDATE")
            let start = ContinuousClock.now
            try await storage.controlPlaneRepository.recordUse(of: [try SHA256.digest(of: TestKeys.acme)], until: soon)
            #expect(ContinuousClock.now - start < .milliseconds(500))
            try lock.end("ROLLBACK")
            #expect(try await storage.database.count("SELECT count(last_used_at) FROM api_keys") == 0)
        }
    }

    @Test func `an empty version table is a bug`() async throws {
        try await Storage.with { storage in
            try await storage.database.execute("DELETE FROM control_plane_version")
            await #expect(
                throws: RepositoryError.bug(cause: "unexpected result of control_plane_version, column row count")
            ) {
                try await storage.controlPlaneRepository.version(until: soon)
            }
        }
    }

    /// One row that cannot be read must not lock every manufacturer out: such a row cannot be stored.
    @Test(arguments: ["'infinity'", "'294276-12-31T00:00:00Z'"])
    func `an expiry that no replica could read is refused`(expiry: String) async throws {
        try await Storage.with { storage in
            await #expect(throws: (any Error).self) {
                try await storage.database.execute("UPDATE api_keys SET expires_at = \(expiry)")
            }
        }
    }
}
