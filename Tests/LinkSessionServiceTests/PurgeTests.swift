// What purge and serve delete once it is older than RETENTION_DAYS.

import Foundation
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct PurgeTests {
        @Test func `serve makes partitions within seconds of the end of what was in its way`() async throws {
            try await TestDatabase.with { database in
                try await database.addManufacturers()
                try await database.execute(
                    """
                    DO $$ BEGIN
                        EXECUTE format('DROP TABLE IF EXISTS link_sessions_%s', to_char(now() + interval '7 days', 'YYYYMMDD'));
                    END $$
                    """)
                let reading = try OpenTransaction(in: database, "LOCK TABLE link_sessions_default IN ACCESS SHARE MODE")
                try await Service.serving(database) { service in
                    try await service.process.waitForLog("partitions not maintained", within: 10)
                    try reading.end("ROLLBACK")
                    try await wait(until: "they are there", within: .seconds(15)) {
                        try await database.count(
                            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'link_sessions'::regclass") >= 1 + 8
                    }
                }
            }
        }

        @Test func `purge deletes what is older than RETENTION_DAYS and prints how many, as the service's role`()
            async throws
        {
            try await Deployment.withAcme { deployment, _ in
                try await deployment.database.execute(
                    """
                    INSERT INTO link_sessions
                        (id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at)
                    SELECT (left(first_id_at(t)::text, 14) || '7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 0,
                           sha256(n::text::bytea), (SELECT id FROM manufacturers), 'zq7user', 'https://a.example/',
                           'nl', t, t + interval '600 seconds'
                    FROM generate_series(1, 5000) n,
                         LATERAL (SELECT date_trunc('day', now(), 'UTC') - n % 10 * interval '1 day') AS at (t)
                    """)
                // So long sessions are kept, and the rest of their day.
                for (days, deleted) in [("7", 1000), ("7", 0), ("3", 2000)] {
                    let run = try await Command.run(
                        ["purge"],
                        environment: ["DATABASE_URL": deployment.database.serviceURL, "RETENTION_DAYS": days],
                        within: 30)
                    #expect(run.status == 0 && run.output == "\(deleted) deleted\n", "\(run.summary)")
                }
                try await Service.serving(deployment.database, environment: ["RETENTION_DAYS": "1"]) { service in
                    try await wait(until: "serve has deleted the rest", within: .seconds(20)) {
                        try await deployment.database.count("SELECT count(*) FROM link_sessions") == 1000
                    }
                    try await service.process.waitForLog("old link sessions deleted sessions=1000", within: 10)
                }
                for days in ["0", "-1", "x", ""] {
                    let run = try await Command.run(
                        ["purge"],
                        environment: ["DATABASE_URL": deployment.database.serviceURL, "RETENTION_DAYS": days])
                    #expect(run.status == 1 && run.errorLines.count == 1, "\(run.summary)")
                    #expect(run.errors.contains("RETENTION_DAYS expects a whole number"), "\(run.summary)")
                }
            }
        }
    }
}
