// A test's database on a Citus cluster, as `scripts/citus` runs the tests.

import Foundation
import LinkSessionRepository

extension TestDatabase {
    /// Runs `body` with this database distributed over the nodes, and drops the workers' part of it afterwards. A copy
    /// of a distributed database would not be one: each is distributed anew.
    func distributed<Value>(over nodes: [String], _ body: (TestDatabase) async throws -> Value) async throws -> Value {
        let result: Result<Value, any Error>
        do {
            for worker in nodes.dropFirst() {
                try await Self.at(worker, database: "postgres").execute("CREATE DATABASE \(name)")
                try await Self.at(worker, database: name).execute("CREATE EXTENSION citus")
            }
            try await execute("CREATE EXTENSION citus")
            try await execute("SELECT citus_set_coordinator_host('\(nodes[0])', 5432)")
            for worker in nodes.dropFirst() { try await execute("SELECT citus_add_node('\(worker)', 5432)") }
            // Fewer than an operator has: each is a table on a worker.
            _ = try await AdminRepository(address: try address).distribute(shards: 4)
            result = .success(try await body(self))
        } catch {
            result = .failure(error)
        }
        for node in nodes {
            // The coordinator's part first: it holds connections to the others.
            try? await Self.at(node, database: "postgres").execute("DROP DATABASE IF EXISTS \(name) WITH (FORCE)")
        }
        return try result.get()
    }

    private static func at(_ node: String, database: String) -> TestDatabase {
        TestDatabase(name: database, url: "postgres://postgres@/\(database)?host=\(node)&port=5432")
    }
}
