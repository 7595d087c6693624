// A database for each test, copied from a template that is migrated once a run.

import Foundation
import LinkSessionRepository
import LinkSessions
package import PostgresClient
import TokenGenerator

package struct TestDatabase: Sendable {
    package let name: String
    package let url: String

    package init(name: String, url: String) {
        self.name = name
        self.url = url
    }

    package var address: DatabaseAddress {
        get throws { try DatabaseAddress(connectionString: url) }
    }

    /// For the service, which runs as a role that may do what the migrations grant it and no more.
    package var serviceURL: String { url(as: "test_service") }

    /// For what a deployment's own migrations may do.
    package var operatorURL: String { url(as: "test_operator") }

    private func url(as role: String) -> String {
        url.replacing("postgres@", with: role + "@", maxReplacements: 1)
    }

    /// Runs `body` with a migrated database of its own, which is dropped afterwards.
    package static func with<Value>(
        on server: String? = nil, _ body: (TestDatabase) async throws -> Value
    ) async throws -> Value {
        let server = try server ?? TestEnvironment.databaseURL
        return try await with(template: try await Template.shared.name(on: server), on: server, body)
    }

    /// Runs `body` with an empty database of its own.
    package static func withEmpty<Value>(_ body: (TestDatabase) async throws -> Value) async throws -> Value {
        let server = try TestEnvironment.databaseURL
        // The roles belong to the cluster, and are made with the template.
        _ = try await Template.shared.name(on: server)
        return try await with(template: "template0", on: server, body)
    }

    private static func with<Value>(
        template: String, on server: String, _ body: (TestDatabase) async throws -> Value
    ) async throws -> Value {
        let name = "test_\(UUID().uuidString.lowercased().replacing("-", with: ""))"
        let administrations = administrations(of: server)
        let result: Result<Value, any Error>
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for node in administrations {
                    group.addTask { try await node.execute("CREATE DATABASE \(name) TEMPLATE \(template)") }
                }
                try await group.waitForAll()
            }
            result = .success(try await body(TestDatabase(name: name, url: Self.url(server, database: name))))
        } catch {
            result = .failure(error)
        }
        // A test may have ended its server.
        for node in administrations { try? await node.execute("DROP DATABASE IF EXISTS \(name) WITH (FORCE)") }
        return try result.get()
    }

    fileprivate static func url(_ server: String, database: String) -> String {
        let parts = server.split(separator: "?", maxSplits: 1)
        let withoutName = parts[0].prefix(through: parts[0].lastIndex(of: "/") ?? parts[0].startIndex)
        return withoutName + database + (parts.count == 2 ? "?" + parts[1] : "")
    }

    package static let schemaDirectory = TestEnvironment.projectDirectory.appending(path: "migrations").path

    package static func schema() throws -> MigrationHistory {
        try MigrationHistory(name: "schema", directory: schemaDirectory) { try SHA256.digest(of: $0).bytes }
    }

    /// Runs statements as they are.
    package func execute(_ script: String) async throws {
        let address = try address
        try await onThread {
            var connection = try Connection.open(to: address, applicationName: "tests", settings: "SET timezone='UTC'")
            try connection.execute(script: script, until: .now + .seconds(30))
        }
    }

    /// The rows of a query whose columns are all text.
    package func rows(_ sql: String) async throws -> [[String?]] {
        let address = try address
        return try await onThread {
            var connection = try Connection.open(to: address, applicationName: "tests", settings: "SET timezone='UTC'")
            let rows = Query<[[String?]]>(
                "test",
                // What is computed here of the rows is no matter for the nodes on which they lie.
                """
                WITH q AS MATERIALIZED (\(sql))
                SELECT (
                    SELECT array_agg(coalesce(e.value, '\u{1}') ORDER BY e.ordinality)
                    FROM json_each_text(row_to_json(q)) WITH ORDINALITY AS e (key, value, ordinality)
                ) FROM q
                """,
                readEach: { (row) throws(DatabaseError) in try row.texts().map { $0 == "\u{1}" ? nil : $0 } })
            return try connection.run(rows, until: .now + .seconds(30))
        }
    }

    /// The first column of the first row, as text.
    package func value(_ sql: String) async throws -> String? {
        try await rows(sql).first?.first ?? nil
    }

    package func count(_ sql: String) async throws -> Int {
        Int(try await value(sql) ?? "") ?? -1
    }
}

private actor Template {
    static let shared = Template()

    private var names: [String: Task<String, any Error>] = [:]

    func name(on server: String) async throws -> String {
        if let known = names[server] { return try await known.value }
        let task = Task { () async throws -> String in
            let name = "template_\(ProcessInfo.processInfo.processIdentifier)"
            let administrations = TestDatabase.administrations(of: server)
            let administration = administrations[0]
            _ = try await AdminRepository(address: try administration.address).createRoles()
            for role in ["service", "operator"] {
                try await administration.execute(
                    """
                    DO $$ BEGIN CREATE ROLE test_\(role) LOGIN IN ROLE link_session_\(role);
                    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$
                    """)
            }
            for node in administrations { try await node.execute("DROP DATABASE IF EXISTS \(name) WITH (FORCE)") }
            try await administration.execute("CREATE DATABASE \(name)")
            let template = TestDatabase(name: name, url: TestDatabase.url(server, database: name))
            _ = try await Migrator(address: template.address, histories: [try TestDatabase.schema()]).migrate { _ in }
            if administrations.count > 1, let nodes = TestEnvironment.citusNodes {
                try await template.distribute(over: nodes)
            }
            return name
        }
        names[server] = task
        return try await task.value
    }
}

/// libpq may block: not on the cooperative pool.
package func onThread<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
    }
}
