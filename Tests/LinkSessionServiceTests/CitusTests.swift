// On a Citus cluster (scripts/citus): what touches one shard, by Citus's own count.

@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.enabled(if: TestEnvironment.citusNodes != nil, "scripts/citus runs these")) struct CitusTests {
        @Test func `whatever happens to one session touches one shard, and so does every INSERT of a group`()
            async throws
        {
            try await ScriptedProvider.with { provider in
                try await Service.run(
                    environment: ["SUPPLIER_MOCK_SECRET": Service.supplierSecret],
                    prepare: {
                        try await Service.withGreenGrid($0)
                        try await $0.addSupplier(issuer: provider.issuer)
                    }
                ) { service in
                    // The pass of retention at the start deletes by age, on every shard of four tables.
                    try await wait(until: "retention has passed") { try await statements(of: service).many >= 4 }
                    let before = try await statements(of: service)
                    func expectOneShard(_ atLeast: Int, _ what: String) async throws {
                        let after = try await statements(of: service)
                        #expect(after.many == before.many, "\(what): \(before) \(after)")
                        #expect(after.one >= before.one + atLeast, "\(what): \(before) \(after)")
                    }

                    let tokens = try await withThrowingTaskGroup(of: String.self) { group in
                        for _ in 0..<64 { group.addTask { try await service.createdToken() } }
                        return try await group.reduce(into: []) { $0.append($1) }
                    }
                    try await expectOneShard(1, "creates in groups")

                    #expect(try await service.find(tokens[0]).status == 200)
                    #expect(try await service.find(sessionID(of: tokens[0])).status == 200)
                    #expect(try await service.view(tokens[0]).status == 200)
                    try await expectOneShard(5, "look-ups, the first of which is recorded")

                    #expect(try await service.expire(tokens[0]).status == 200)
                    #expect(try await service.complete(tokens[0]).status == 410)
                    let code = try await service.result(tokens[1], as: "s-1").members["code"]?.string ?? ""
                    #expect(try await service.complete(tokens[1], as: "s-2").status == 409)
                    #expect(try await service.confirm(tokens[1], user: "another", code: code).status == 409)
                    #expect(try await service.confirm(tokens[1], code: code).status == 200)
                    try await expectOneShard(14, "transitions, done and refused")

                    let browser = TestBrowser(service)
                    let page = try await browser.signIn(tokens[2], at: provider)
                    #expect(page.page.name == "confirm")
                    #expect(try await browser.post(page.path).name == "returning")
                    #expect(try await browser.get("/ui?token=\(tokens[2])").status == 200)
                    try await expectOneShard(20, "pages and a sign-in")
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
    }
}
