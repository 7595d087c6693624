// Tests' databases on a Citus cluster, as `scripts/citus` runs the tests.

import LinkSessionRepository

extension TestDatabase {
    /// The databases `postgres` of every node on which a test's database has a part, the coordinator's first: on plain
    /// PostgreSQL of the one server.
    static func administrations(of server: String) -> [TestDatabase] {
        guard let nodes = TestEnvironment.citusNodes, server == (try? TestEnvironment.databaseURL) else {
            return [TestDatabase(name: "postgres", url: server)]
        }
        return nodes.map { at($0, database: "postgres") }
    }

    /// Distributes a template over the nodes. Copied at each of them under one name, its parts are a distributed database
    /// as well, since they know each other by the nodes' addresses alone.
    func distribute(over nodes: [String]) async throws {
        for worker in nodes.dropFirst() {
            try await Self.at(worker, database: "postgres").execute("CREATE DATABASE \(name)")
            try await Self.at(worker, database: name).execute("CREATE EXTENSION citus")
        }
        try await execute("CREATE EXTENSION citus")
        try await execute("SELECT citus_set_coordinator_host('\(nodes[0])', 5432)")
        for worker in nodes.dropFirst() { try await execute("SELECT citus_add_node('\(worker)', 5432)") }
        // Fewer than an operator has: each is a table on a worker.
        _ = try await AdminRepository(address: try address).distribute(shards: 4)
        for node in nodes {
            // What Citus itself does there would keep it from being copied.
            let administration = Self.at(node, database: "postgres")
            try await administration.execute("ALTER DATABASE \(name) ALLOW_CONNECTIONS false")
            try await administration.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '\(name)'")
        }
    }

    private static func at(_ node: String, database: String) -> TestDatabase {
        TestDatabase(name: database, url: "postgres://postgres@/\(database)?host=\(node)&port=5432")
    }
}
