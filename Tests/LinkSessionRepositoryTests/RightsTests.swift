// What the service's own role may do, and what it may not.

import LinkSessionRepository
import LinkSessions
import PostgresClient
import TestSupport
import Testing
import TokenGenerator

@Suite(.timeLimit(.minutes(1))) struct RightsTests {
    @Test(arguments: [
        "UPDATE link_session_events SET request_id = 'y'", "UPDATE link_session_events SET occurred_at = now()",
        "INSERT INTO link_session_events (session_id, shard, event, request_id, occurred_at) SELECT id, shard, 'completed', 'y', now() FROM link_sessions",
        "DELETE FROM link_session_events", "DELETE FROM link_sessions", "DELETE FROM sign_ins", "DELETE FROM nox_users",
        "DELETE FROM manufacturers", "DELETE FROM api_keys", "DELETE FROM suppliers",
        "DELETE FROM control_plane_version", "DELETE FROM schema_migrations", "DELETE FROM idempotency_keys",
        "TRUNCATE idempotency_keys", "UPDATE idempotency_keys SET key_hash = sha256('x')",
        "TRUNCATE link_sessions", "TRUNCATE link_session_events", "TRUNCATE sign_ins", "TRUNCATE nox_users",
        "TRUNCATE manufacturers CASCADE",
        "UPDATE manufacturers SET enabled = true", "UPDATE manufacturers SET redirect_urls = '{}'",
        "INSERT INTO manufacturers (name) VALUES ('mine')", "UPDATE suppliers SET enabled = true",
        "INSERT INTO api_keys (manufacturer_id, key_hash, label) SELECT min(id), sha256('k'), 'mine' FROM manufacturers",
        "UPDATE api_keys SET revoked_at = NULL", "UPDATE api_keys SET expires_at = NULL",
        "UPDATE control_plane_version SET version = 0",
        "UPDATE link_sessions SET id = gen_random_uuid()", "UPDATE link_sessions SET token_hash = sha256('x')",
        "UPDATE link_sessions SET user_id = 'other'", "UPDATE link_sessions SET manufacturer_id = 2",
        "UPDATE link_sessions SET redirect_url = 'https://evil.example/'",
        "UPDATE link_sessions SET created_at = now()",
        "UPDATE sign_ins SET supplier = 'other'", "UPDATE sign_ins SET state_hash = sha256('x')",
        "UPDATE nox_users SET user_id = 'other'", "UPDATE nox_users SET id = gen_random_uuid()",
        "INSERT INTO webhook_endpoints (manufacturer_id, url, secret_salt) VALUES (1, 'https://evil.example/', '')",
        "UPDATE webhook_endpoints SET url = 'https://evil.example/'", "DELETE FROM webhook_endpoints",
        "UPDATE webhook_endpoints SET secret_salt = decode(repeat('00', 16), 'hex')",
        "INSERT INTO webhook_states (endpoint_id, position) VALUES (1, 0)", "DELETE FROM webhook_states",
        "UPDATE webhook_states SET endpoint_id = 2", "UPDATE webhook_deliveries SET answer = ''",
        "INSERT INTO webhook_resends (endpoint_id, position, last) VALUES (1, 0, 1)", "DELETE FROM webhook_resends",
        "SELECT * FROM erase_user(1, 'manufacturer_user_id_123', NULL)",
        "SELECT * FROM erase_supplier_user('green-grid', 's-1', NULL)", "SELECT * FROM erasures",
        "SELECT * FROM erase_rest('{}', '{}', '{}', NULL)",
        "SELECT add_partition('link_sessions', current_date + 20)", "SELECT raise_control_plane_version()",
        "DROP TABLE link_sessions_default", "CREATE TABLE mine (x int)",
        "ALTER TABLE link_sessions DETACH PARTITION link_sessions_default",
    ])
    func `the service may not`(sql: String) async throws {
        try await Storage.with { storage in
            let id = try await storage.created()
            _ = try await storage.lookUp(id)
            try await expectRefused(sql, to: storage.database.serviceURL, of: storage)
        }
    }

    /// Nor by the name of a partition, on which it has no rights at all.
    @Test func `the service may do nothing with a partition by its name`() async throws {
        try await Storage.with { storage in
            _ = try await storage.created()
            let names = try await storage.database.rows(
                "SELECT relname::text FROM pg_class WHERE relispartition AND relkind = 'r'"
            ).joined().compactMap(\.self)
            #expect(names.count == 27)
            for name in names {
                for sql in ["SELECT FROM \(name)", "DELETE FROM \(name)", "TRUNCATE \(name)"] {
                    try await expectRefused(sql, to: storage.database.serviceURL, of: storage)
                }
            }
        }
    }

    @Test(arguments: [
        "UPDATE link_session_events SET request_id = 'y'", "DELETE FROM link_session_events",
        "DELETE FROM link_sessions", "UPDATE link_sessions SET completed_at = now()", "DELETE FROM manufacturers",
        "DELETE FROM suppliers", "UPDATE nox_users SET id = gen_random_uuid()", "DELETE FROM sign_ins",
        "UPDATE idempotency_keys SET expires_at = now()", "SELECT * FROM idempotency_keys",
        "DELETE FROM webhook_endpoints", "UPDATE webhook_states SET state = 'active'", "DELETE FROM webhook_retries",
        "UPDATE webhook_deliveries SET answer = ''", "DELETE FROM webhook_deliveries", "DELETE FROM webhook_resends",
        "UPDATE webhook_resends SET last = 2", "SELECT add_webhook_state()",
    ])
    func `an operator's own statements may not`(sql: String) async throws {
        try await Storage.with { storage in
            _ = try await storage.created()
            try await expectRefused(sql, to: storage.database.operatorURL, of: storage)
        }
    }

    @Test func `the service's role is enough for all that the service does`() async throws {
        try await Storage.with { storage in
            let address = try DatabaseAddress(connectionString: storage.database.serviceURL)
            try await DatabaseClient.running(on: address, connections: 2) { client in
                let service = Storage(
                    database: storage.database, client: client, controlPlane: storage.controlPlane,
                    acme: storage.acme, beta: storage.beta)
                let ids = [try await service.created(), try await service.created()]
                for _ in 0..<2 { _ = try await service.create(under: "k") }
                _ = try await service.lookUp(ids[0])
                let state = SignIn.ID(session: ids[0], stateDigest: try SHA256.digest(of: "s"))
                let identity = try #require(SupplierIdentity(supplier: .sandbox, userID: "u"))
                #expect(
                    try await service.signIns.start(state, at: .sandbox, in: .nl, requestID: "r", until: soon) == .first
                )
                #expect(try await service.signIns.recordCallback(state, callbackID: "c", until: soon) == true)
                try await service.signIns.conclude(
                    state, .signedIn(identity, account: "a"), requestID: "r", until: soon)
                #expect(try await service.complete(ids[0], as: identity).session?.status == .completed)
                let confirmed = try await service.sessions.confirm(
                    ids[0], userID: try ManufacturerUserID("manufacturer_user_id_123"), requestID: "r", until: soon)
                #expect(confirmed?.confirmedAt != nil)
                #expect(try await service.expire(ids[1])?.status == .expired)
                try await service.controlPlaneRepository.recordUse(
                    of: [try SHA256.digest(of: TestKeys.acme)], until: soon)
                // Its functions run with their owner's rights: old days are dropped, and new ones made.
                try await storage.database.addSessions(3, age: "40 days", of: storage.acme.id.number)
                try await storage.database.execute(
                    "SELECT add_partition('link_sessions', (now() AT TIME ZONE 'UTC')::date - 41)")
                #expect(try await service.maintain().deleted == 3)
                #expect(try await service.find(ids[0])?.status == .completed)
            }
        }
    }

    private func expectRefused(_ sql: String, to url: String, of storage: Storage) async throws {
        let role = TestDatabase(name: storage.database.name, url: url)
        await #expect("\(sql)") {
            try await role.execute(sql)
        } throws: {
            ($0 as? ConnectionError)?.sqlState == SQLState("42501")
        }
    }
}
