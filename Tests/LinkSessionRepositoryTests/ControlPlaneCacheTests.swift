// The replica's copy of manufacturers, keys and suppliers: how fast a change is in force.

import LinkSessionRepository
import LinkSessions
import Logging
import PostgresClient
import TestSupport
import Testing
import TokenGenerator

@Suite(.timeLimit(.minutes(1))) struct ControlPlaneCacheTests {
    @Test func `a disabled manufacturer's sessions are served no more within a second, and its keys are known`()
        async throws
    {
        try await Storage.with { storage in
            let id = try await storage.created()
            #expect(try await storage.sessions.find(id, until: soon)?.isServed == true)
            try await storage.change("UPDATE manufacturers SET enabled = false") { plane in
                plane.manufacturers[storage.acme.id]?.isEnabled == false
            }
            #expect(try await storage.sessions.find(id, until: soon)?.isServed == false)
            guard case .blocked = try await storage.complete(id) else {
                Issue.record("completed for a disabled manufacturer")
                return
            }
            #expect(
                try await storage.database.rows("SELECT event, reason FROM link_session_events")
                    == [["completion_refused", "blocked"]])
        }
    }

    @Test func `a changed redirect policy is in force within a second`() async throws {
        try await Storage.with { storage in
            let token = try TestToken()
            try await storage.create(try storage.new(redirectURL: "https://other.example/"), token)
            func isServed() async throws -> Bool? {
                try await storage.sessions.find(token.id, until: soon)?.isServed
            }
            #expect(try await isServed() == false)
            for (assignment, expected) in [
                ("redirect_policy = 'unrestricted'", true), ("redirect_policy = 'registered'", false),
                ("redirect_urls = '{https://other.example/}'", true), ("redirect_urls = '{}'", false),
            ] {
                try await storage.database.execute("UPDATE manufacturers SET \(assignment)")
                try await wait(until: assignment, within: .milliseconds(900)) { try await isServed() == expected }
            }
        }
    }

    @Test func `a supplier that is added, changed, disabled or broken is so within a second`() async throws {
        try await Storage.with { storage in
            #expect(try storage.controlPlane.suppliers().map(\.slug.text) == ["sandbox"])
            try await storage.database.execute(
                """
                INSERT INTO suppliers (slug, name, issuer, client_id, client_secret_name) VALUES
                    ('green-grid', 'Green', 'https://g.example', 'c', 'SUPPLIER_G_SECRET'),
                    ('blue-grid', 'Blue', 'https://b.example', 'c', 'SUPPLIER_B_SECRET')
                """)
            func waitFor(_ expected: [String], after sql: String) async throws {
                try await storage.database.execute(sql)
                try await wait(until: "\(expected) after \(sql)", within: .milliseconds(900)) {
                    try storage.controlPlane.suppliers().map(\.name) == expected
                }
            }
            let sandbox = Supplier.sandbox.name
            try await waitFor(["Blue", "Green", sandbox], after: "SELECT 1")
            try await waitFor(
                ["Blue", "Red", sandbox], after: "UPDATE suppliers SET name = 'Red' WHERE name = 'Green'")
            try await waitFor(["Red", sandbox], after: "UPDATE suppliers SET enabled = false WHERE name = 'Blue'")
            let id = try await storage.created()
            let slug = try #require(Supplier.Slug("blue-grid"))
            guard
                case .supplierDisabled = try await storage.complete(
                    id, as: SupplierIdentity(supplier: slug, userID: "u"))
            else {
                Issue.record("completed at a supplier that is disabled")
                return
            }
            // One that breaks a rule of the program's own is left out, and takes no other with it.
            try await waitFor(
                ["Blue", sandbox],
                after: """
                    UPDATE suppliers SET enabled = true;
                    UPDATE suppliers SET scopes = '{openid,"a b"}' WHERE name = 'Red'
                    """)
        }
    }

    @Test func `a new key, and a new manufacturer's, are in the copy within a second, and gone within one`()
        async throws
    {
        try await Storage.with { storage in
            try await storage.database.execute("INSERT INTO manufacturers (name) VALUES ('New')")
            try await storage.database.addKey("new-key", manufacturer: "New")
            let digest = try SHA256.digest(of: "new-key")
            try await wait(until: "the key is known", within: .milliseconds(900)) {
                let plane = try storage.controlPlane.current().controlPlane
                guard let key = plane.keys[digest] else { return false }
                return plane.manufacturers[key.manufacturer]?.manufacturer.name == "New"
            }
            try await storage.change("UPDATE api_keys SET revoked_at = now()") { $0.keys.isEmpty }
        }
    }

    @Test func `a session of a manufacturer that the copy does not know yet is unavailable, not unknown`() async throws
    {
        try await Storage.with { storage in
            let token = try TestToken()
            let stranger = Manufacturer(id: .init(999_999), name: "Unknown", brand: nil)
            try await storage.create(try storage.new(of: stranger), token)
            await #expect(
                throws: RepositoryError.unavailable(
                    cause: "the session's manufacturer has not come to this replica yet")
            ) { try await storage.find(token.id) }
        }
    }

    @Test func `a copy that was not confirmed for a second answers unavailable, and the next answer makes it fresh`()
        async throws
    {
        try await PostgresServer.with { server in
            try await TestDatabase.with(on: server.url) { database in
                try await database.addManufacturers()
                try await DatabaseClient.running(on: database.address, connections: 1) { client in
                    let controlPlane = makeCache(client)
                    let running = Task { try await controlPlane.run() }
                    defer { running.cancel() }
                    try await wait(until: "the copy is fresh") { controlPlane.isFresh }
                    let stale = RepositoryError.unavailable(
                        cause: "the control plane was not confirmed within a second")
                    let id = try #require(controlPlane.latest?.manufacturers.keys.first)
                    try server.freeze()
                    let frozen = ContinuousClock.now
                    #expect(throws: Never.self) { try controlPlane.manufacturer(id) }
                    try await wait(until: "nothing is answered", within: .milliseconds(1200)) { !controlPlane.isFresh }
                    // A moment's absence is bridged.
                    #expect(ContinuousClock.now - frozen > .milliseconds(500))
                    #expect(throws: stale) { try controlPlane.current() }
                    #expect(throws: stale) { try controlPlane.manufacturer(id) }
                    #expect(throws: stale) { try controlPlane.suppliers() }
                    // What is secret stays so.
                    #expect(controlPlane.latest?.keys.count == 3)
                    try server.thaw()
                    try await wait(until: "it is answered again", within: .seconds(1)) { controlPlane.isFresh }
                    #expect(throws: Never.self) { try controlPlane.suppliers() }
                }
            }
        }
    }

    @Test func `the copy tells the database's time`() async throws {
        try await Storage.with { storage in
            let before = try await storage.now() * 1_000_000
            let time = Double(try storage.controlPlane.current().databaseTime)
            let after = try await storage.now() * 1_000_000
            // Off by no more than the way of the answer that told it.
            #expect(time > before - 500_000 && time < after + 500_000)
        }
    }
}

private func makeCache(_ client: DatabaseClient) -> ControlPlaneCache {
    ControlPlaneCache(
        repository: ControlPlaneRepository(database: client), hasSandbox: true,
        logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
}
