// Which suppliers are failing, as replicas tell each other.

import LinkSessionRepository
import LinkSessions
import Logging
import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct SupplierHealthTests {
    private let green = Supplier.Slug("green-grid") ?? .sandbox
    private let blue = Supplier.Slug("blue-power") ?? .sandbox

    private func health(_ storage: Storage) -> SupplierHealth {
        SupplierHealth(
            repository: SupplierOutcomeRepository(database: storage.client),
            logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
    }

    private func session(_ number: Int) -> LinkSessionID {
        LinkSessionID(ticks: 1 << 53, shard: 7, random: UInt64(number))
    }

    @Test func `a supplier is failing where half of five sign-ins failed, over all replicas, and everywhere`()
        async throws
    {
        try await Storage.with { storage in
            let (one, other) = (health(storage), health(storage))
            for number in 0..<2 { one.note(.failed, at: green, in: session(number)) }
            for number in 2..<4 { other.note(.failed, at: green, in: session(number)) }
            func exchange() async {
                for _ in 0..<2 {
                    await one.exchange()
                    await other.exchange()
                }
            }
            await exchange()
            #expect(!one.isFailing(green) && !other.isFailing(green), "four are too few")
            for number in 0..<20 { one.note(.declined, at: green, in: session(number)) }
            one.note(.succeeded, at: green, in: session(5))
            await exchange()
            #expect(one.isFailing(green) && other.isFailing(green), "who declined counts neither way")
            #expect(!one.isFailing(blue))
            for number in 6..<10 { other.note(.succeeded, at: green, in: session(number)) }
            await exchange()
            #expect(!one.isFailing(green) && !other.isFailing(green))
            let rows = try await storage.database.rows(
                """
                SELECT supplier, sum(succeeded)::text, sum(failed)::text, sum(declined)::text FROM supplier_outcomes
                GROUP BY supplier
                """)
            #expect(rows == [["green-grid", "5", "4", "20"]])
        }
    }

    @Test func `a session counts as one failure, however often it tries`() async throws {
        try await Storage.with { storage in
            let health = health(storage)
            for _ in 0..<50 {
                health.note(.failed, at: green, in: session(1))
                health.note(.failed, at: blue, in: session(1))
            }
            await health.exchange()
            for _ in 0..<50 { health.note(.failed, at: green, in: session(1)) }
            await health.exchange()
            #expect(!health.isFailing(green))
            let failed = try await storage.database.count("SELECT sum(failed) FROM supplier_outcomes")
            #expect(failed == 2)
        }
    }

    @Test func `what was ten minutes ago counts no more, and what was a day ago is gone`() async throws {
        try await Storage.with { storage in
            let health = health(storage)
            for number in 0..<9 { health.note(.failed, at: green, in: session(number)) }
            await health.exchange()
            await health.exchange()
            #expect(health.isFailing(green))
            try await storage.database.execute("UPDATE supplier_outcomes SET minute = minute - interval '11 minutes'")
            await health.exchange()
            #expect(!health.isFailing(green))
            _ = try await storage.maintain()
            #expect(try await storage.database.count("SELECT count(*) FROM supplier_outcomes") == 1)
            try await storage.database.execute("UPDATE supplier_outcomes SET minute = minute - interval '24 hours'")
            _ = try await storage.maintain()
            #expect(try await storage.database.count("SELECT count(*) FROM supplier_outcomes") == 0)
        }
    }

    @Test func `what could not be told is told later`() async throws {
        try await Storage.with { storage in
            let health = health(storage)
            for number in 0..<5 { health.note(.failed, at: green, in: session(number)) }
            try await storage.database.execute("ALTER TABLE supplier_outcomes RENAME TO elsewhere")
            await health.exchange()
            try await storage.database.execute("ALTER TABLE elsewhere RENAME TO supplier_outcomes")
            await health.exchange()
            await health.exchange()
            #expect(health.isFailing(green))
        }
    }
}
