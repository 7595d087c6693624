// On a Citus cluster (scripts/citus): what touches one shard, by Citus's own count.

import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.enabled(if: TestEnvironment.citusNodes != nil, "scripts/citus runs these")) struct CitusTests {
        @Test func `whatever happens to one session touches one shard, and so does every INSERT of a group`()
            async throws
        {
            // What gives events their positions looks at all shards, ten times a second.
            let feedIsTaken = Mutex<OpenTransaction?>(nil)
            try await ScriptedProvider.with { provider in
                try await Service.run(
                    environment: ["SUPPLIER_MOCK_SECRET": Service.supplierSecret],
                    prepare: {
                        try await Service.withGreenGrid($0)
                        let transaction = try OpenTransaction(in: $0, "SELECT FROM event_feed FOR UPDATE")
                        feedIsTaken.withLock { $0 = transaction }
                        try await $0.addSupplier(issuer: provider.issuer)
                    }
                ) { service in
                    // The pass of retention at the start deletes by age, on every shard of four tables, in one statement.
                    try await wait(until: "retention has passed") {
                        guard try await statements(of: service).many >= 4 else { return false }
                        return try await isRetentionIdle(at: service)
                    }
                    /// - Parameter statements: at least so many go to the nodes.
                    func touchingOneShard<Value>(
                        _ what: String, statements count: Int = 1, _ body: () async throws -> Value
                    ) async throws -> Value {
                        let before = try await statements(of: service)
                        let value = try await body()
                        let after = try await statements(of: service)
                        #expect(after.many == before.many, "\(what): \(before) \(after)")
                        #expect(after.one >= before.one + count, "\(what): \(before) \(after)")
                        return value
                    }
                    func status(_ what: String, statements: Int = 1, _ body: () async throws -> TestResponse)
                        async throws -> Int
                    {
                        try await touchingOneShard(what, statements: statements, body).status
                    }

                    let tokens = try await touchingOneShard("creates in groups") {
                        try await withThrowingTaskGroup(of: String.self) { group in
                            for _ in 0..<64 { group.addTask { try await service.createdToken() } }
                            return try await group.reduce(into: []) { $0.append($1) }
                        }
                    }
                    // The keys and the sessions are a statement each.
                    try await touchingOneShard("creates under keys, in groups", statements: 2) {
                        try await withThrowingTaskGroup(of: Int.self) { group in
                            for number in 0..<64 {
                                group.addTask {
                                    try await service.create(headers: [("Idempotency-Key", "k\(number / 2)")]).status
                                }
                            }
                            for try await status in group { #expect(status == 201) }
                        }
                    }
                    let id = sessionID(of: tokens[0])
                    #expect(try await status("look-up by token") { try await service.find(tokens[0]) } == 200)
                    #expect(try await status("look-up by id") { try await service.find(id) } == 200)
                    #expect(
                        try await status("the Authenticator's first look", statements: 2) {
                            try await service.view(tokens[0])
                        } == 200)

                    #expect(try await status("expiry", statements: 2) { try await service.expire(tokens[0]) } == 200)
                    #expect(
                        try await status("completion too late", statements: 2) { try await service.complete(tokens[0]) }
                            == 410)
                    // The NOX user is a statement of its own.
                    let code = try await touchingOneShard("completion", statements: 3) {
                        try await service.result(tokens[1], as: "s-1").members["code"]?.string ?? ""
                    }
                    #expect(
                        try await status("completion by another", statements: 2) {
                            try await service.complete(tokens[1], as: "s-2")
                        } == 409)
                    #expect(
                        try await status("confirmation of another", statements: 2) {
                            try await service.confirm(tokens[1], user: "another", code: code)
                        } == 409)
                    #expect(
                        try await status("confirmation", statements: 2) {
                            try await service.confirm(tokens[1], code: code)
                        } == 200)

                    let browser = TestBrowser(service)
                    let page = try await touchingOneShard("page") { try await browser.get("/ui?token=\(tokens[2])") }
                    #expect(page.status == 200)
                    let signedIn = try await touchingOneShard("sign-in, to its page", statements: 6) {
                        try await browser.signIn(tokens[2], at: provider)
                    }
                    #expect(signedIn.page.name == "confirm")
                    let returning = try await touchingOneShard("confirmed sign-in", statements: 3) {
                        try await browser.post(signedIn.path)
                    }
                    #expect(returning.name == "returning")
                    let late = try await touchingOneShard("page of a completed session") {
                        try await browser.get("/ui?token=\(tokens[2])")
                    }
                    #expect(late.status == 200)
                    try feedIsTaken.withLock { try $0?.end("ROLLBACK") }
                }
            }
        }

        /// How many statements the coordinator has sent to one shard, and to several.
        private func statements(of service: Service) async throws -> (one: Int, many: Int) {
            let row = try await service.database.rows(
                """
                SELECT query_execution_single_shard, query_execution_multi_shard FROM citus_stat_counters
                WHERE name = current_database()
                """
            ).first
            return (row?[0].flatMap { Int($0) } ?? -1, row?[1].flatMap { Int($0) } ?? -1)
        }

        private func isRetentionIdle(at service: Service) async throws -> Bool {
            try await service.database.count(
                """
                SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'
                    AND query LIKE '%maintain_partitions%' AND pid <> pg_backend_pid()
                """) == 0
        }
    }
}
