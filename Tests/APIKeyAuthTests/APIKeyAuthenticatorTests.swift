// API key → who is calling, and how fast a change is in force.

import APIKeyAuth
import LinkSessionRepository
import LinkSessions
import Logging
import PostgresClient
import RateLimits
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct APIKeyAuthenticatorTests {
    // MARK: Whose key it is

    @Test func `a key tells its manufacturer and where that may redirect to`() async throws {
        try await withKeyRing { database, apiKeys in
            let acme = try apiKeys.manufacturer(forKey: TestKeys.acme)
            #expect(acme.manufacturer.name == "Acme Manufacturing")
            #expect(acme.manufacturer.brand?.titleCased == "Acme Manufacturing")
            let id = try await database.count("SELECT id FROM manufacturers WHERE name = 'Acme Manufacturing'")
            #expect(acme.manufacturer.id.number == Int64(id))
            #expect(throws: Never.self) { try acme.redirectPolicy.check(RedirectURL("https://your-app.com/callback")) }
            let refusal = #expect(throws: ValidationError.self) {
                try acme.redirectPolicy.check(RedirectURL("https://evil.example/"))
            }
            #expect(refusal?.rule == .redirectPolicy)
            let beta = try apiKeys.manufacturer(forKey: TestKeys.beta)
            #expect(beta.manufacturer.name == "Beta Devices")
            #expect(beta.manufacturer.brand == nil)
            #expect(throws: Never.self) { try beta.redirectPolicy.check(RedirectURL("https://anywhere.example/")) }
        }
    }

    @Test func `what is no key of an enabled manufacturer is one and the same refusal`() async throws {
        let (live, known) = (TestKeys.manufacturer("live", for: .live), TestKeys.manufacturer("known"))
        try await withKeyRing { database, apiKeys in
            // What has not the form of a key is none, although its digest is stored.
            let stored = ["with blank", "tab\tbed", "é", "\u{7F}", " ", String(repeating: "k", count: 58), "k", live]
            for key in stored + [known] { try await database.addKey(key, manufacturer: "Acme Manufacturing") }
            try await wait(until: "the last key is known") { apiKeys.name(forKey: known) == "Acme Manufacturing" }
            let acme = TestKeys.acme
            for key in [
                "", acme + " ", " " + acme, acme + "\n", acme + "\u{0}", acme + "\u{301}",
                // Unknown.
                "unknown", String(acme.dropLast()), acme + "x", acme.uppercased(), TestKeys.digest(acme),
                // Known, and of no use here.
                TestKeys.disabled, TestKeys.authenticator, TestKeys.manufacturer("unknown"),
            ] + stored {
                #expect(throws: AuthenticationError.unauthorized, "\(key.debugDescription)") {
                    try apiKeys.manufacturer(forKey: key)
                }
                #expect(!apiKeys.isUsable(key: key) || key == TestKeys.authenticator, "\(key.debugDescription)")
            }
        }
    }

    @Test func `a key that is usable is known as a secret`() async throws {
        try await withKeyRing { _, apiKeys in
            #expect(apiKeys.isUsable(key: TestKeys.acme))
            #expect(apiKeys.isUsable(key: TestKeys.beta))
            #expect(apiKeys.isUsable(key: TestKeys.authenticator))
            #expect(!apiKeys.isUsable(key: TestKeys.disabled))
            #expect(!apiKeys.isUsable(key: TestKeys.manufacturer("unknown")))
        }
    }

    @Test func `several keys of one manufacturer work side by side`() async throws {
        try await withKeyRing { database, apiKeys in
            try await database.addKey(TestKeys.manufacturer("second key"), manufacturer: "Acme Manufacturing")
            try await wait(until: "the second key works", within: .seconds(1)) {
                apiKeys.name(forKey: TestKeys.manufacturer("second key")) == "Acme Manufacturing"
            }
            #expect(apiKeys.name(forKey: TestKeys.acme) == "Acme Manufacturing")
        }
    }

    @Test func `before the first answer of the database nothing is known`() async throws {
        let address = try DatabaseAddress(connectionString: "postgres://postgres@127.0.0.1:1/postgres?sslmode=disable")
        try await withKeyRing(at: address) { apiKeys in
            try await Task.sleep(for: .milliseconds(100))
            #expect(throws: AuthenticationError.unavailable) { try apiKeys.manufacturer(forKey: TestKeys.acme) }
            #expect(!apiKeys.controlPlane.isFresh)
            // What needs no database is answered all the same.
            #expect(throws: AuthenticationError.unauthorized) { try apiKeys.manufacturer(forKey: "with blank") }
            #expect(throws: Never.self) { try apiKeys.authenticatorName(forKey: TestKeys.authenticator) }
        }
    }

    // MARK: Changes

    @Test func `a new key works within a second`() async throws {
        try await withKeyRing { database, apiKeys in
            #expect(throws: AuthenticationError.unauthorized) {
                try apiKeys.manufacturer(forKey: TestKeys.manufacturer("new key"))
            }
            try await database.addKey(TestKeys.manufacturer("new key"), manufacturer: "Beta Devices")
            try await wait(until: "the new key works", within: .milliseconds(900)) {
                apiKeys.name(forKey: TestKeys.manufacturer("new key")) == "Beta Devices"
            }
        }
    }

    @Test(arguments: [
        "UPDATE manufacturers SET enabled = false WHERE name = 'Acme Manufacturing'",
        "UPDATE api_keys SET revoked_at = now() WHERE key_hash = sha256('\(TestKeys.acme)')",
        "DELETE FROM api_keys WHERE key_hash = sha256('\(TestKeys.acme)')",
        "UPDATE api_keys SET created_at = now() - interval '2 days', expires_at = now() - interval '1 day'",
        "TRUNCATE api_keys",
    ])
    func `a key that was taken away is dead within a second`(sql: String) async throws {
        try await withKeyRing { database, apiKeys in
            #expect(apiKeys.name(forKey: TestKeys.acme) == "Acme Manufacturing")
            try await database.execute(sql)
            try await wait(until: "the key is refused", within: .milliseconds(900)) {
                apiKeys.error(forKey: TestKeys.acme) == .unauthorized
            }
        }
    }

    struct Change: Sendable, CustomTestStringConvertible {
        let assignment: String
        let isInForce: @Sendable (ManufacturerCaller) -> Bool

        init(_ assignment: String, _ isInForce: @escaping @Sendable (ManufacturerCaller) -> Bool) {
            self.assignment = assignment
            self.isInForce = isInForce
        }

        var testDescription: String { assignment }
    }

    @Test(arguments: [
        Change("name = 'Renamed'") { $0.manufacturer.name == "Renamed" },
        Change("brand = 'new brand'") { $0.manufacturer.brand?.titleCased == "New Brand" },
        Change("redirect_policy = 'unrestricted'") {
            (try? $0.redirectPolicy.check(RedirectURL("https://anywhere.example/"))) != nil
        },
        Change("redirect_urls = '{https://your-app.com/new}'") {
            (try? $0.redirectPolicy.check(RedirectURL("https://your-app.com/new"))) != nil
        },
    ])
    func `a change of a manufacturer is in force within a second`(change: Change) async throws {
        try await withKeyRing { database, apiKeys in
            #expect(try !change.isInForce(apiKeys.manufacturer(forKey: TestKeys.acme)))
            try await database.execute(
                "UPDATE manufacturers SET \(change.assignment) WHERE name = 'Acme Manufacturing'")
            try await wait(until: "the change is in force", within: .milliseconds(900)) {
                change.isInForce(try apiKeys.manufacturer(forKey: TestKeys.acme))
            }
        }
    }

    @Test func `a disabled manufacturer is enabled within a second`() async throws {
        try await withKeyRing { database, apiKeys in
            #expect(apiKeys.error(forKey: TestKeys.disabled) == .unauthorized)
            try await database.execute("UPDATE manufacturers SET enabled = true")
            try await wait(until: "the key works", within: .milliseconds(900)) {
                apiKeys.name(forKey: TestKeys.disabled) == "Gamma Retired"
            }
        }
    }

    @Test func `a key works until its expiry by the database's clock`() async throws {
        try await withKeyRing { database, apiKeys in
            try await database.addKey(
                TestKeys.manufacturer("short lived"), manufacturer: "Acme Manufacturing",
                columns: ["expires_at": "clock_timestamp() + interval '3 seconds'"])
            try await wait(until: "the key works", within: .milliseconds(2500)) {
                apiKeys.name(forKey: TestKeys.manufacturer("short lived")) == "Acme Manufacturing"
            }
            // The copy is not loaded anew for this: nothing in the database changes.
            var lastGood = ContinuousClock.now
            while apiKeys.error(forKey: TestKeys.manufacturer("short lived")) == nil {
                lastGood = .now
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(apiKeys.error(forKey: TestKeys.manufacturer("short lived")) == .unauthorized)
            let refused = ContinuousClock.now
            let past = try #require(
                Double(
                    try await database.value(
                        "SELECT extract(epoch FROM clock_timestamp() - expires_at) FROM api_keys WHERE expires_at IS NOT NULL"
                    )
                        ?? ""))
            let asked = ContinuousClock.now
            // When it was first refused, counted from its expiry.
            let late = Duration.seconds(past) - (asked - refused)
            #expect(late > .milliseconds(-100))
            #expect(Duration.seconds(past) - (asked - lastGood) < .milliseconds(200))
            #expect(apiKeys.name(forKey: TestKeys.acme) == "Acme Manufacturing")
        }
    }

    // MARK: The database's absence

    @Test func `a copy that was not confirmed for a second answers nothing, and recovers`() async throws {
        try await PostgresServer.with { server in
            try await TestDatabase.with(on: server.url) { database in
                try await database.addManufacturers()
                try await withKeyRing(at: database.address) { apiKeys in
                    try await wait(until: "the copy is fresh") { apiKeys.controlPlane.isFresh }
                    try server.killHard()
                    let killed = ContinuousClock.now
                    try await wait(until: "nothing is answered", within: .milliseconds(1200)) {
                        apiKeys.error(forKey: TestKeys.acme) == .unavailable
                    }
                    // A moment's absence is bridged.
                    #expect(ContinuousClock.now - killed > .milliseconds(500))
                    #expect(!apiKeys.controlPlane.isFresh)
                    #expect(apiKeys.error(forKey: TestKeys.manufacturer("unknown")) == .unavailable)
                    #expect(apiKeys.isUsable(key: TestKeys.acme))
                    #expect(throws: Never.self) { try apiKeys.authenticatorName(forKey: TestKeys.authenticator) }
                    try await server.start()
                    try await wait(until: "keys are answered again", within: .seconds(1)) {
                        apiKeys.name(forKey: TestKeys.acme) == "Acme Manufacturing"
                    }
                    #expect(apiKeys.controlPlane.isFresh)
                    #expect(apiKeys.error(forKey: TestKeys.manufacturer("unknown")) == .unauthorized)
                }
            }
        }
    }

    @Test func `a frozen database makes the copy stale, and the next answer makes it fresh`() async throws {
        try await PostgresServer.with { server in
            try await TestDatabase.with(on: server.url) { database in
                try await database.addManufacturers()
                try await withKeyRing(at: database.address) { apiKeys in
                    try await wait(until: "the copy is fresh") { apiKeys.controlPlane.isFresh }
                    try server.freeze()
                    // While it is fresh, keys cost no query: there is nobody to answer one.
                    for _ in 0..<1000 {
                        #expect(apiKeys.error(forKey: TestKeys.manufacturer("unknown")) == .unauthorized)
                    }
                    #expect(apiKeys.name(forKey: TestKeys.acme) == "Acme Manufacturing")
                    try await wait(until: "nothing is answered", within: .milliseconds(1200)) {
                        apiKeys.error(forKey: TestKeys.acme) == .unavailable
                    }
                    try await Task.sleep(for: .milliseconds(500))
                    try server.thaw()
                    try await wait(until: "keys are answered again", within: .seconds(1)) {
                        apiKeys.name(forKey: TestKeys.acme) == "Acme Manufacturing"
                    }
                }
            }
        }
    }

    @Test func `a schema that cannot be read makes the copy stale`() async throws {
        try await withKeyRing { database, apiKeys in
            try await database.execute("ALTER TABLE control_plane_version RENAME TO gone")
            try await wait(until: "nothing is answered", within: .milliseconds(1200)) {
                apiKeys.error(forKey: TestKeys.acme) == .unavailable
            }
            try await database.execute("ALTER TABLE gone RENAME TO control_plane_version")
            try await wait(until: "keys are answered again", within: .seconds(1)) {
                apiKeys.name(forKey: TestKeys.acme) == "Acme Manufacturing"
            }
        }
    }

    @Test func `keys cost no query, whether known or not`() async throws {
        try await withKeyRing { database, apiKeys in
            // A server process tells of its transactions once a second at most, and once it has been idle.
            let transactions =
                "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
            let before = try await database.count(transactions)
            for _ in 0..<20 {
                for number in 0..<500 { #expect(apiKeys.error(forKey: "unknown-\(number)") == .unauthorized) }
                _ = try apiKeys.manufacturer(forKey: TestKeys.acme)
                try await Task.sleep(for: .milliseconds(50))
            }
            try await wait(until: "the statistics are in", within: .seconds(3)) {
                try await database.count(transactions) > before
            }
            try await Task.sleep(for: .milliseconds(1100))
            // The copy is compared four times a second; the rest are this test's own questions.
            #expect(try await database.count(transactions) - before < 1000)
        }
    }

    @Test func `the ring ends when it is cancelled, and then trusts its copy no longer than ever`() async throws {
        try await withKeyRing { database, _ in
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                let apiKeys = KeyRing(client)
                let running = Task { try await apiKeys.controlPlane.run() }
                try await wait(until: "the copy is fresh") { apiKeys.controlPlane.isFresh }
                running.cancel()
                let start = ContinuousClock.now
                try await running.value
                #expect(ContinuousClock.now - start < .seconds(1))
                try await wait(until: "nothing is answered", within: .milliseconds(1200)) {
                    apiKeys.error(forKey: TestKeys.acme) == .unavailable
                }
            }
        }
    }
}

@Suite struct AuthenticatorKeyTests {
    private let apiKeys: KeyRing

    init() throws {
        let address = try DatabaseAddress(connectionString: "postgres://postgres@127.0.0.1:1/postgres")
        apiKeys = KeyRing(try .underTest(address, connections: 1), authenticatorKeys: ["old-key", "new-key"])
    }

    @Test(arguments: ["old-key", "new-key"]) func `each of several Authenticator keys is one, and has its name`(
        key: String
    ) throws {
        #expect(try apiKeys.authenticatorName(forKey: key) == KeyRing.name(of: key))
        #expect(apiKeys.isUsable(key: key))
    }

    @Test(arguments: [
        "", "old-key ", "Old-key", "old-key\n", "old", "third-key", "old-key,new-key", TestKeys.digest("old-key"),
    ])
    func `everything else is none`(key: String) {
        #expect(throws: AuthenticationError.unauthorized) { try apiKeys.authenticatorName(forKey: key) }
        #expect(!apiKeys.isUsable(key: key))
    }

    @Test func `without digests nobody is the Authenticator`() throws {
        let address = try DatabaseAddress(connectionString: "postgres://postgres@127.0.0.1:1/postgres")
        let apiKeys = KeyRing(try .underTest(address, connections: 1), authenticatorKeys: [])
        for key in ["", "old-key", TestKeys.authenticator] {
            #expect(throws: AuthenticationError.unauthorized) { try apiKeys.authenticatorName(forKey: key) }
        }
    }

    @Test func `a manufacturer's key is no Authenticator key, and the other way round`() async throws {
        try await withKeyRing { _, apiKeys in
            #expect(throws: AuthenticationError.unauthorized) { try apiKeys.authenticatorName(forKey: TestKeys.acme) }
            #expect(throws: AuthenticationError.unauthorized) {
                try apiKeys.manufacturer(forKey: TestKeys.authenticator)
            }
        }
    }
}

/// Whose key it is, answered from a copy of the control plane.
private struct KeyRing {
    let controlPlane: ControlPlaneCache
    private let authenticator: APIKeyAuthenticator

    init(_ client: DatabaseClient, authenticatorKeys: [String] = [TestKeys.authenticator]) {
        let logger = Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }
        let repository = ControlPlaneRepository(database: client)
        controlPlane = ControlPlaneCache(repository: repository, hasSandbox: false, logger: logger)
        authenticator = APIKeyAuthenticator(
            controlPlane: controlPlane, environment: .test,
            authenticatorKeys: authenticatorKeys.compactMap {
                AuthenticatorKey("\(Self.name(of: $0)):\(TestKeys.digest($0))")
            },
            uses: APIKeyUsageRecorder(repository: repository, logger: logger),
            limits: ManufacturerLimits(
                limit: nil, delay: RefusalDelay(),
                repository: RateDemandRepository(database: client, replica: [UInt8](repeating: 1, count: 16)),
                logger: logger))
    }

    func manufacturer(forKey key: String) throws(AuthenticationError) -> ManufacturerCaller {
        try authenticator.manufacturer(forKey: key)
    }

    func authenticatorName(forKey key: String) throws(AuthenticationError) -> String {
        try authenticator.authenticator(forKey: key)
    }

    static func name(of key: String) -> String { String(key.prefix(40)) }

    func isUsable(key: String) -> Bool { authenticator.isUsable(key: key) }

    func name(forKey key: String) -> String? { try? manufacturer(forKey: key).manufacturer.name }

    func error(forKey key: String) -> AuthenticationError? {
        do throws(AuthenticationError) {
            _ = try manufacturer(forKey: key)
            return nil
        } catch {
            return error
        }
    }
}

/// A ring that runs against a database which may be there or not.
private func withKeyRing(at address: DatabaseAddress, _ body: (KeyRing) async throws -> Void) async throws {
    try await DatabaseClient.running(on: address, connections: 1) { client in
        let apiKeys = KeyRing(client)
        let running = Task { try await apiKeys.controlPlane.run() }
        defer { running.cancel() }
        try await body(apiKeys)
    }
}

/// A fresh ring on a database with the manufacturers of the fixtures.
private func withKeyRing(_ body: (TestDatabase, KeyRing) async throws -> Void) async throws {
    try await TestDatabase.with { database in
        try await database.addManufacturers()
        try await withKeyRing(at: database.address) { apiKeys in
            try await wait(until: "the copy is fresh") { apiKeys.controlPlane.isFresh }
            try await body(database, apiKeys)
        }
    }
}
