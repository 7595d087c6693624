// On a Citus cluster (scripts/citus): what the loss of a worker costs.

import LinkSessions
@testable import TestSupport
import Testing

extension ProgramTests {
    /// Alone, since the cluster is every test's: it is left as it was found.
    @Suite(.enabled(if: TestEnvironment.citusNodes != nil, "scripts/citus runs these"), .serialized)
    struct CitusNodeTests {
        @Test func `a worker that is killed costs no create a 500, and its own sessions 503s until it is back`()
            async throws
        {
            let nodes = try #require(TestEnvironment.citusNodes)
            let worker = try PostgresServer(runningIn: nodes[1])
            try await Service.run { service in
                let sessions = try await sessionsByNode(service, of: nodes)
                let (lost, kept) = (sessions[nodes[1]] ?? [], sessions[nodes[2]] ?? [])
                try #require(!lost.isEmpty && !kept.isEmpty, "all sessions lie on one worker")

                let (_, load) = try await Load.creating(on: service.port, clients: 32) { _ in
                    try await Task.sleep(for: .seconds(1))
                    try worker.killHard()
                    do {
                        try await expectServed(service, kept: kept, lost: lost)
                        try await Task.sleep(for: .seconds(1))
                    } catch {
                        try await worker.start()
                        throw error
                    }
                    try await worker.start()
                    try await wait(until: "the worker's sessions are served again", within: .seconds(10)) {
                        for token in lost where try await service.find(token).status != 200 { return false }
                        return true
                    }
                    try await Task.sleep(for: .seconds(1))
                }
                let answers = load.answers
                #expect(load.brokenOff == 0)
                #expect(Set(answers.map(\.status)).isSubset(of: [201, 503]), "\(causes(in: service.process.log))")
                let slowest = answers.map(\.duration).max() ?? .zero
                #expect(slowest < .seconds(2), "slowest answer: \(slowest)")

                // What was prepared when the worker was killed is committed by Citus itself, once a minute.
                try await service.database.execute("SELECT recover_prepared_transactions()")
                let tokens = answers.compactMap(\.token)
                let stored = Set(
                    try await service.database.rows("SELECT encode(token_hash, 'hex') FROM link_sessions").map { $0[0] }
                )
                #expect(!tokens.isEmpty && tokens.allSatisfy { stored.contains(TestKeys.digest($0)) })
            }
        }

        /// While the worker is gone: each of its sessions `503`, soon, and each of the other one's as ever.
        private func expectServed(_ service: Service, kept: [String], lost: [String]) async throws {
            for (tokens, status) in [(lost, 503), (kept, 200)] {
                for token in tokens {
                    let (duration, found) = try await timed { try await service.find(token) }
                    #expect(found.status == status)
                    #expect(duration < .seconds(2), "\(duration)")
                }
            }
            let token = try #require(lost.first)
            for transition in [
                try await timed { try await service.complete(token) },
                try await timed { try await service.expire(token) },
            ] {
                #expect(transition.1.status == 503)
                #expect(transition.0 < .seconds(2), "\(transition.0)")
            }
        }

        /// The tokens of new sessions, by the node on which each of them lies.
        private func sessionsByNode(_ service: Service, of nodes: [String]) async throws -> [String: [String]] {
            let places = try await service.database.rows(
                """
                SELECT shard.number, p.nodename FROM generate_series(0, 255) AS shard (number)
                JOIN pg_dist_shard_placement p
                    ON p.shardid = get_shard_id_for_distribution_column('link_sessions', shard.number::smallint)
                """)
            let nodeOfShard = Dictionary(places.map { ($0[0] ?? "", $0[1] ?? "") }) { $1 }
            var tokens: [String: [String]] = [:]
            // A replica gives ids the same shard for 100 ms.
            while tokens.count < 2 || tokens.values.contains(where: { $0.count < 3 }) {
                let token = try await service.createdToken()
                let id = try #require(LinkToken(token)?.id)
                tokens[nodeOfShard["\(id.shard)"] ?? "", default: []].append(token)
                try await Task.sleep(for: .milliseconds(110))
            }
            return tokens
        }

        /// What the log says of answers that are bugs.
        private func causes(in log: String) -> [Substring] {
            log.split(separator: "\n").filter { $0.contains("status=500") }
        }
    }
}
