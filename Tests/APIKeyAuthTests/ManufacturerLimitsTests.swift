// A manufacturer's rate limit over several replicas, in simulated time on a real database.

@testable import APIKeyAuth
@testable import LinkSessionRepository
import LinkSessions
import Logging
import PostgresClient
import RateLimits
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct ManufacturerLimitsTests {
    @Test func `two replicas together let through what one would, whatever each is asked for`() async throws {
        for parts in [[0.5, 0.5], [0.9, 0.1]] {
            try await withReplicas(2) { replicas in
                let rates = parts.map { 300 * $0 }
                _ = try await replicas.passed(asking: rates, seconds: 5)
                let passed = try await replicas.passed(asking: rates, seconds: 10)
                #expect((800...1200).contains(passed), "\(parts): \(passed)")
            }
        }
    }

    @Test func `a replica that is gone leaves its part to the others, and takes it again when it comes back`()
        async throws
    {
        try await withReplicas(2) { replicas in
            _ = try await replicas.passed(asking: [150, 150], seconds: 5)
            try await replicas.forgetReports(of: 1)
            _ = try await replicas.passed(asking: [300, 0], seconds: 5)
            let alone = try await replicas.passed(asking: [300, 0], seconds: 5)
            #expect((400...600).contains(alone), "\(alone)")
            _ = try await replicas.passed(asking: [150, 150], seconds: 5)
            let together = try await replicas.passed(asking: [150, 150], seconds: 5)
            #expect((400...600).contains(together), "\(together)")
        }
    }

    @Test func `a replica that was asked for nothing while another was busy has the whole rate when that one is not`()
        async throws
    {
        try await withReplicas(2) { replicas in
            _ = try await replicas.passed(asking: [150, 20], seconds: 5)
            _ = try await replicas.passed(asking: [150, 0], seconds: 15)
            _ = try await replicas.passed(asking: [0, 0], seconds: 15)
            let passed = try await replicas.passed(asking: [0, 300], seconds: 1)
            #expect(passed > 200, "\(passed)")
        }
    }

    @Test func `below its rate nobody is refused, wherever the requests come`() async throws {
        try await withReplicas(2) { replicas in
            for rates in [[80.0, 10], [10, 80], [45, 45]] {
                let passed = try await replicas.passed(asking: rates, seconds: 4)
                #expect(passed >= 355, "\(rates): \(passed)")
            }
        }
    }

    @Test func `of all that is no create, too, a replica lets through what others are not asked for`() async throws {
        try await withReplicas(2) { replicas in
            _ = try await replicas.passed(asking: [500, 5], of: .requests, seconds: 3)
            // 2,000 at once, and of 1,000 a second what is left of them.
            let passed = try await replicas.passed(asking: [0, 5000], of: .requests, seconds: 1)
            #expect((2300...2800).contains(passed), "\(passed)")
        }
    }

    @Test func `a database that does not answer holds up an exchange for less than its turn of a second`() async throws
    {
        try await withReplicas(1) { replicas in
            _ = replicas.passes(replicas.limits[0], .creates)
            // The server itself ends it after two seconds.
            try await replicas.database.execute(
                """
                CREATE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(5); RETURN NEW; END';
                CREATE TRIGGER sleep BEFORE INSERT ON rate_demands FOR EACH ROW EXECUTE FUNCTION sleep()
                """)
            let start = ContinuousClock.now
            await replicas.limits[0].exchange(after: .seconds(1))
            #expect(ContinuousClock.now - start < .milliseconds(1800))
        }
    }

    @Test func `one manufacturer's demand is not another's, and creates are apart from all else`() async throws {
        try await withReplicas(1) { replicas in
            let limits = replicas.limits[0]
            for _ in 0..<200 { #expect(replicas.passes(limits, .creates)) }
            #expect(!replicas.passes(limits, .creates))
            #expect(replicas.passes(limits, .creates, manufacturer: 2))
            for _ in 0..<2000 { #expect(replicas.passes(limits, .requests)) }
            #expect(!replicas.passes(limits, .requests))
        }
    }

    @Test func `a manufacturer's own limit goes before the one of the settings`() async throws {
        try await withReplicas(1) { replicas in
            let own = try #require(RateLimit("3/5"))
            let passed = (0..<10).count { _ in replicas.passes(replicas.limits[0], .creates, limit: own) }
            #expect(passed == 5)
        }
    }

    private func withReplicas(_ count: Int, _ body: (Replicas) async throws -> Void) async throws {
        try await TestDatabase.with { database in
            try await DatabaseClient.running(on: database.address, connections: 1) { client in
                let limits = (0..<count).map { number in
                    ManufacturerLimits(
                        limit: RateLimit("100/200"), delay: RefusalDelay(),
                        repository: RateDemandRepository(
                            database: client, replica: [UInt8](repeating: UInt8(number), count: 16)),
                        logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
                }
                try await body(Replicas(limits: limits, database: database))
            }
        }
    }
}

/// Replicas whose time the test makes.
private final class Replicas {
    let limits: [ManufacturerLimits]
    let database: TestDatabase
    private var now = ContinuousClock.now

    init(limits: [ManufacturerLimits], database: TestDatabase) {
        self.limits = limits
        self.database = database
    }

    func passes(
        _ limits: ManufacturerLimits, _ kind: ManufacturerLimits.Kind, manufacturer: Int64 = 1,
        limit: RateLimit? = nil
    ) -> Bool {
        let caller = ManufacturerCaller(
            manufacturer: Manufacturer(id: Manufacturer.ID(manufacturer), name: "Acme", brand: nil),
            redirectPolicy: .unrestricted, createLimit: limit)
        guard case .taken = limits.take(kind, of: caller, now: now)?.decision else { return false }
        return true
    }

    /// How many pass, where each replica is asked for so many a second.
    func passed(
        asking rates: [Double], of kind: ManufacturerLimits.Kind = .creates, seconds: Int
    ) async throws -> Int {
        var passed = 0
        var due = rates.map { _ in 0.0 }
        for _ in 0..<seconds {
            for _ in 0..<100 {
                now += .milliseconds(10)
                for (number, rate) in rates.enumerated() {
                    due[number] += rate / 100
                    while due[number] >= 1 {
                        due[number] -= 1
                        if passes(limits[number], kind) { passed += 1 }
                    }
                }
            }
            for limits in limits { await limits.exchange(after: .seconds(1)) }
        }
        return passed
    }

    func forgetReports(of number: Int) async throws {
        try await database.execute(
            """
            UPDATE rate_demands SET reported_at = reported_at - interval '4 seconds'
            WHERE replica = '\(String(repeating: "0\(number)", count: 16))'
            """)
    }
}
