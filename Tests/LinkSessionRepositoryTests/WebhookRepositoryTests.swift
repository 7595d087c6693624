// Which replica sends to which endpoint, and what is kept of it.

import LinkSessionRepository
import LinkSessions
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct WebhookRepositoryTests {
    @Test func `a replica that comes later is handed its share, and then each keeps what it has`() async throws {
        try await Storage.with { storage in
            try await storage.addWebhooks(6)
            let (first, second) = (storage.webhooks(of: 1), storage.webhooks(of: 2))
            #expect(try await first.lease(most: 100, until: soon).count == 6)
            #expect(try await second.lease(most: 100, until: soon).isEmpty)
            let wanted = try await first.lease(most: 100, until: soon).filter(\.isWanted)
            #expect(wanted.count == 3)
            // Nobody takes them before the first has nothing under way.
            #expect(try await second.lease(most: 100, until: soon).isEmpty)
            for lease in wanted { try await first.release(lease.endpoint.id, until: soon) }
            #expect(try await first.lease(most: 100, until: soon).count == 3)
            let handed = try await second.lease(most: 100, until: soon)
            #expect(Set(handed.map(\.endpoint.id)) == Set(wanted.map(\.endpoint.id)))
            for webhooks in [first, second, first] {
                let leases = try await webhooks.lease(most: 100, until: soon)
                #expect(leases.count == 3)
                #expect(leases.filter(\.isWanted).isEmpty)
            }
        }
    }

    @Test func `a replica that comes later is handed endpoints of the one that keeps the most`() async throws {
        try await Storage.with { storage in
            try await storage.addWebhooks(8)
            let (first, second) = (storage.webhooks(of: 1), storage.webhooks(of: 2))
            #expect(try await first.lease(most: 7, until: soon).count == 7)
            // It wants one of the first's, too, which keeps six then.
            #expect(try await second.lease(most: 1, until: soon).count == 1)
            #expect(try await storage.webhooks(of: 3).lease(most: 100, until: soon).isEmpty)
            #expect(try await first.lease(most: 7, until: soon).filter(\.isWanted).count == 1 + 3)
            #expect(try await second.lease(most: 1, until: soon).filter(\.isWanted).isEmpty)
        }
    }

    @Test func `an endpoint that a replica wants is wanted by no other`() async throws {
        try await Storage.with { storage in
            try await storage.addWebhooks(8)
            let first = storage.webhooks(of: 1)
            #expect(try await first.lease(most: 8, until: soon).count == 8)
            #expect(try await storage.webhooks(of: 2).lease(most: 100, until: soon).isEmpty)
            // Those that are wanted are found first.
            try await storage.database.execute("UPDATE webhook_states SET since = since WHERE wanted_by IS NULL")
            #expect(try await storage.webhooks(of: 3).lease(most: 100, until: soon).isEmpty)
            #expect(try await first.lease(most: 8, until: soon).filter(\.isWanted).count == 4 + 2)
        }
    }

    @Test func `a lease of before the clock stepped back is free`() async throws {
        try await Storage.with { storage in
            try await storage.addWebhooks(1)
            #expect(try await storage.webhooks(of: 1).lease(most: 1, until: soon).count == 1)
            try await storage.database.execute("UPDATE webhook_states SET leased_until = now() + interval '1 hour'")
            #expect(try await storage.webhooks(of: 2).lease(most: 1, until: soon).count == 1)
        }
    }

    @Test func `what a receiver answered is not recorded of a session that was erased meanwhile`() async throws {
        try await Storage.with { storage in
            try await storage.addWebhooks(1)
            let webhooks = storage.webhooks(of: 1)
            let endpoint = try #require(try await webhooks.lease(most: 1, until: soon).first).endpoint.id
            let other = try await storage.created()
            let erased = try await storage.create(try storage.new(userID: "erased"), try TestToken()).id
            let erasure = try OpenTransaction(
                in: storage.database, "SELECT erase_user(\(storage.acme.id.number), 'erased', NULL)")
            async let saved = webhooks.save(progress(of: [erased, other]), of: endpoint, until: soon)
            try await storage.database.waitForBlocked()
            try erasure.end("COMMIT")
            #expect(try await saved)
            let count = "SELECT count(*) FROM webhook_deliveries"
            #expect(try await storage.database.count(count + " WHERE session_id = \(other.sql)") == 1)
            #expect(try await storage.database.count(count) == 1)
        }
    }

    @Test func `when and why an endpoint failed last is kept while it fails no more`() async throws {
        try await Storage.with { storage in
            try await storage.addWebhooks(1)
            let webhooks = storage.webhooks(of: 1)
            let endpoint = try #require(try await webhooks.lease(most: 1, until: soon).first).endpoint.id
            let isKnown = "SELECT count(*) FROM webhook_states WHERE last_error = 'status 500' AND last_error_at"
            var failed = WebhookProgress(position: .start)
            failed.lastError = "status 500"
            #expect(try await webhooks.save(failed, of: endpoint, until: soon))
            #expect(try await storage.database.count(isKnown + " > now() - interval '1 minute'") == 1)
            try await storage.database.execute("UPDATE webhook_states SET last_error_at = 'epoch'")
            #expect(try await webhooks.save(WebhookProgress(position: .start), of: endpoint, until: soon))
            #expect(try await storage.database.count(isKnown + " = 'epoch'") == 1)
        }
    }

    @Test func `what is given up is counted without reading what waits`() async throws {
        try await Storage.with { storage in
            try await storage.database.execute(
                """
                DO $$
                DECLARE plan json;
                BEGIN
                    SET LOCAL enable_seqscan = off;
                    EXECUTE 'EXPLAIN (FORMAT JSON) SELECT count(*) FROM webhook_retries WHERE next_attempt_at IS NULL'
                        INTO plan;
                    ASSERT plan::text LIKE '%webhook_retries_given_up%', plan;
                END
                $$
                """)
        }
    }

    @Test func `webhooks are counted by how they are`() async throws {
        try await Storage.with { storage in
            try await storage.addWebhooks(4)
            try await storage.database.execute(
                """
                UPDATE webhook_states SET failing_since = now(), consecutive_failures = 1
                WHERE endpoint_id = (SELECT min(id) FROM webhook_endpoints);
                UPDATE webhook_states SET state = 'paused' WHERE endpoint_id = (SELECT max(id) FROM webhook_endpoints)
                """)
            let state = try await OperationalStateRepository(database: storage.client, replicaName: "any")
                .webhooks(until: soon)
            #expect(state.endpoints.map(\.state) == ["active", "failing", "paused", "stopped"])
            #expect(state.endpoints.map(\.count) == [2, 1, 1, 0])
            #expect(state.withoutLease == 3 && state.givenUp == 0)
        }
    }

    private func progress(of sessions: [LinkSessionID]) -> WebhookProgress {
        var progress = WebhookProgress(position: .start)
        progress.attempts = sessions.enumerated().map { number, session in
            WebhookAttempt(
                position: .start, session: session, number: 1, endedAt: Int64(number), duration: .zero, status: 200,
                answer: "Maria")
        }
        return progress
    }
}

extension Storage {
    fileprivate func addWebhooks(_ count: Int) async throws {
        try await database.execute(
            """
            INSERT INTO webhook_endpoints (manufacturer_id, url, secret_salt)
            SELECT \(acme.id.number), 'https://example.com/', decode(repeat('00', 16), 'hex')
            FROM generate_series(1, \(count))
            """)
    }

    fileprivate func webhooks(of replica: UInt8) -> WebhookRepository {
        WebhookRepository(database: client, replica: [UInt8](repeating: replica, count: 16))
    }
}
