// The schema's own rules: every constraint refuses what it says, and nothing else.

import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct SchemaTests {
    /// A statement that breaks one constraint.
    struct Breach: Sendable {
        let constraint: String
        let sql: String

        init(_ constraint: String, _ sql: String) {
            self.constraint = constraint
            self.sql = sql
        }
    }

    static let breaches: [Breach] = [
        Breach(
            "manufacturers_pkey",
            "INSERT INTO manufacturers (id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'x'), (1, 'y')"),
        Breach("manufacturers_name_unique", "INSERT INTO manufacturers (name) VALUES ('x'), ('x')"),
        Breach("manufacturers_name_valid", "INSERT INTO manufacturers (name) VALUES ('')"),
        Breach("manufacturers_name_valid", "INSERT INTO manufacturers (name) VALUES (E' \\t\\n')"),
        Breach("manufacturers_name_valid", "INSERT INTO manufacturers (name) VALUES (E'a\\x01b')"),
        Breach("manufacturers_name_valid", "INSERT INTO manufacturers (name) VALUES (E'a\\nb')"),
        Breach("manufacturers_name_valid", "INSERT INTO manufacturers (name) VALUES (repeat('x', 201))"),
        Breach("manufacturers_brand_valid", "INSERT INTO manufacturers (name, brand) VALUES ('x', '')"),
        Breach("manufacturers_brand_valid", "INSERT INTO manufacturers (name, brand) VALUES ('x', '  ')"),
        Breach("manufacturers_brand_valid", "INSERT INTO manufacturers (name, brand) VALUES ('x', '-_ ')"),
        Breach("manufacturers_brand_valid", "INSERT INTO manufacturers (name, brand) VALUES ('x', E'a\\x7fb')"),
        Breach("manufacturers_brand_valid", "INSERT INTO manufacturers (name, brand) VALUES ('x', repeat('x', 201))"),
        Breach(
            "manufacturers_redirect_policy_known",
            "INSERT INTO manufacturers (name, redirect_policy) VALUES ('x', 'any')"),
        Breach(
            "manufacturers_redirect_policy_known", "INSERT INTO manufacturers (name, redirect_policy) VALUES ('x', '')"),
        Breach(
            "manufacturers_redirect_urls_not_null",
            "INSERT INTO manufacturers (name, redirect_urls) VALUES ('x', '{a,NULL}')"),
        Breach("control_plane_version_pkey", "INSERT INTO control_plane_version (version) VALUES (7)"),
        Breach("control_plane_version_one_row", "INSERT INTO control_plane_version VALUES (false, 7)"),
        Breach("event_feed_pkey", "INSERT INTO event_feed SELECT * FROM event_feed"),
        Breach(
            "event_feed_one_row", "INSERT INTO event_feed SELECT false, 0, 0, 0, id, id FROM gen_random_uuid() AS id"),
        Breach(
            "api_keys_pkey",
            "INSERT INTO api_keys (id, manufacturer_id, key_hash, label) OVERRIDING SYSTEM VALUE SELECT 9, m.id, sha256(n::text::bytea), 'x' FROM manufacturers m, generate_series(1, 2) n"
        ),
        Breach("api_keys_manufacturer_fkey", key(manufacturer: "999999")),
        Breach("api_keys_manufacturer_fkey", key() + "; DELETE FROM manufacturers"),
        Breach("api_keys_key_hash_unique", key() + ";" + key()),
        Breach("api_keys_key_hash_is_sha256", key(hash: "'\\x'")),
        Breach("api_keys_key_hash_is_sha256", key(hash: "substr(sha256('x'), 2)")),
        Breach("api_keys_key_hash_is_sha256", key(hash: "sha256('x') || '\\x00'")),
        Breach("api_keys_label_valid", key(label: "''")),
        Breach("api_keys_label_valid", key(label: "' '")),
        Breach("api_keys_label_valid", key(label: "E'a\\nb'")),
        Breach("api_keys_label_valid", key(label: "repeat('x', 201)")),
        Breach("api_keys_expires_after_creation", key(expires: "date_trunc('second', now())")),
        Breach("api_keys_expires_after_creation", key(expires: "now() - interval '1 day'")),
        Breach("api_keys_expires_before_year_10000", key(expires: "'infinity'")),
        Breach("manufacturers_name_no_bidi", "INSERT INTO manufacturers (name) VALUES (U&'a\\202Eb')"),
        Breach("manufacturers_name_no_bidi", "INSERT INTO manufacturers (name) VALUES (U&'a\\061Cb')"),
        Breach("manufacturers_brand_no_bidi", "INSERT INTO manufacturers (name, brand) VALUES ('x', U&'a\\2066b')"),
        Breach("api_keys_label_no_bidi", key(label: "U&'a\\200Fb'")),
        Breach("api_keys_label_no_bidi", key(label: "U&'a\\2028b'")),
        Breach(
            "api_keys_last_used_before_year_10000", key() + "; UPDATE api_keys SET last_used_at = 'infinity'"),
        Breach("link_session_events_pkey", session() + ";" + event() + ";" + event()),
        Breach("link_session_events_event_valid", session() + ";" + event("'created'")),
        Breach("link_session_events_refusal_has_reason", session() + ";" + event("'opened'", reason: "'expired'")),
        Breach("link_session_events_refusal_has_reason", session() + ";" + event("'completion_refused'")),
        Breach("link_session_events_reason_valid", session() + ";" + event("'completion_refused'", reason: "''")),
        Breach("link_session_events_reason_valid", session() + ";" + event("'completion_refused'", reason: "'Why'")),
        Breach(
            "link_session_events_detail_valid",
            session() + ";" + event() + "; UPDATE link_session_events SET detail = E'a\\nb'"),
        Breach(
            "manufacturers_rate_limit_valid", "INSERT INTO manufacturers (name, creates_a_second) VALUES ('x', 1)"),
        Breach(
            "manufacturers_rate_limit_valid",
            "INSERT INTO manufacturers (name, creates_a_second, creates_at_once) VALUES ('x', 2, 1)"),
        Breach(
            "manufacturers_rate_limit_valid",
            "INSERT INTO manufacturers (name, creates_a_second, creates_at_once) VALUES ('x', 1, 1000001)"),
        Breach(
            "rate_demands_pkey",
            "INSERT INTO rate_demands SELECT '00000000-0000-0000-0000-000000000001', 1, 1, 1 FROM generate_series(1, 2)"
        ),
        Breach("manufacturers_logo_fkey", "INSERT INTO manufacturers (name, logo) VALUES ('x', sha256('x'))"),
        Breach("suppliers_logo_fkey", supplier(option: "logo = sha256('x')")),
        Breach("logos_pkey", logo("'x'") + ";" + logo("'x'")),
        Breach("logos_digest_is_sha256", logo("'x'", digest: "sha256('y')")),
        Breach("logos_media_type_known", logo("'x'", type: "text/html")),
        Breach("logos_bytes_size", logo("''")),
        Breach("logos_bytes_size", logo("convert_to(repeat('x', 32769), 'UTF8')")),
        Breach("suppliers_pkey", supplier() + ";" + supplier(name: "'Other'")),
        Breach("suppliers_name_unique", supplier() + ";" + supplier(slug: "'other'")),
        Breach("suppliers_slug_valid", supplier(slug: "'sandbox'")),
        Breach("suppliers_slug_valid", supplier(slug: "''")),
        Breach("suppliers_slug_valid", supplier(slug: "'Green'")),
        Breach("suppliers_slug_valid", supplier(slug: "'green--grid'")),
        Breach("suppliers_slug_valid", supplier(slug: "E'green\\n'")),
        Breach("suppliers_slug_valid", supplier(slug: "repeat('x', 41)")),
        Breach("suppliers_name_valid", supplier(name: "' '")),
        Breach("suppliers_name_no_bidi", supplier(name: "U&'a\\202Eb'")),
        Breach("suppliers_issuer_valid", supplier(issuer: "'login.example'")),
        Breach("suppliers_issuer_valid", supplier(issuer: "'https://login.example?x=1'")),
        Breach("suppliers_issuer_valid", supplier(issuer: "'javascript:alert(1)'")),
        Breach("suppliers_client_id_valid", supplier(clientID: "''")),
        Breach("suppliers_client_id_valid", supplier(clientID: "'a b'")),
        Breach("suppliers_client_secret_name_valid", supplier(secretName: "'DATABASE_URL'")),
        Breach("suppliers_client_secret_name_valid", supplier(secretName: "'RETURN_SIGNING_KEYS'")),
        Breach("suppliers_client_secret_name_valid", supplier(secretName: "'SUPPLIER_'")),
        Breach("suppliers_client_secret_name_valid", supplier(secretName: "E'SUPPLIER_X\\n'")),
        Breach("suppliers_discovery_url_valid", supplier(option: "discovery_url = 'login.example'")),
        Breach("suppliers_discovery_url_valid", supplier(option: "discovery_url = 'https://login.example/#x'")),
        Breach("suppliers_client_authentication_known", supplier(option: "client_authentication = 'none'")),
        Breach("suppliers_response_mode_known", supplier(option: "response_mode = 'fragment'")),
        Breach("suppliers_prompt_known", supplier(option: "prompt = 'none'")),
        Breach("suppliers_max_age_valid", supplier(option: "max_age = -1")),
        Breach("suppliers_scopes_have_openid", supplier(scopes: "'{email}'")),
        Breach("suppliers_scopes_have_openid", supplier(scopes: "'{openid,NULL}'")),
        Breach(
            "nox_users_pkey", noxUser() + ";" + noxUser()),
        Breach(
            "erasures_pkey", "INSERT INTO erasures (digest, erased_at) VALUES (sha256(''), now()), (sha256(''), now())"),
        Breach("idempotency_keys_pkey", idempotencyKey() + ";" + idempotencyKey()),
        Breach("idempotency_keys_hashes_are_sha256", idempotencyKey(hash: "'\\x00'")),
        Breach("idempotency_keys_hashes_are_sha256", idempotencyKey(request: "sha256('x') || '\\x00'")),
        Breach("idempotency_keys_expires_after_creation", idempotencyKey(expires: "now()")),
        Breach(
            "webhook_endpoints_pkey",
            webhook()
                + """
                ; INSERT INTO webhook_endpoints (id, manufacturer_id, url, secret_salt)
                OVERRIDING SYSTEM VALUE SELECT id, manufacturer_id, url, secret_salt FROM webhook_endpoints
                """),
        Breach("webhook_endpoints_manufacturer_fkey", webhook(manufacturer: "999999")),
        Breach("webhook_endpoints_url_valid", webhook(url: "'http://example.com/'")),
        Breach("webhook_endpoints_url_valid", webhook(url: "'http://localhost.example.com/'")),
        Breach("webhook_endpoints_url_valid", webhook(url: "'https://example.com/a b'")),
        Breach("webhook_endpoints_url_valid", webhook(url: "'https://' || repeat('x', 2041)")),
        Breach("webhook_endpoints_types_known", webhook(types: "'{}'")),
        Breach("webhook_endpoints_types_known", webhook(types: "'{link_session.created}'")),
        Breach("webhook_endpoints_types_known", webhook(types: "'{link_session.opened,NULL}'")),
        Breach("webhook_endpoints_salt_length", webhook(salt: "'\\x00'")),
        Breach("webhook_endpoints_previous_secret", webhook(option: "previous_secret_until = now()")),
        Breach(
            "webhook_endpoints_previous_secret",
            webhook(option: "previous_secret_salt = '\\x00', previous_secret_until = now()")),
        Breach(
            "webhook_states_pkey",
            webhook() + "; INSERT INTO webhook_states (endpoint_id, position) SELECT id, 0 FROM webhook_endpoints"),
        Breach("webhook_states_endpoint_fkey", "INSERT INTO webhook_states (endpoint_id, position) VALUES (99, 0)"),
        Breach("webhook_states_state_known", webhook() + "; UPDATE webhook_states SET state = 'asleep'"),
        Breach("webhook_retries_pkey", webhookRetry + ";" + webhookRetry),
        Breach("webhook_deliveries_pkey", webhookDelivery() + ";" + webhookDelivery()),
        Breach("webhook_deliveries_answer_length", webhookDelivery(answer: "repeat('é', 201)")),
        Breach(
            "webhook_resends_pkey",
            webhook()
                + """
                ; INSERT INTO webhook_resends (id, endpoint_id, position, last)
                OVERRIDING SYSTEM VALUE SELECT 1, id, 0, 1 FROM webhook_endpoints, generate_series(1, 2)
                """),
        Breach(
            "webhook_resends_endpoint_fkey",
            "INSERT INTO webhook_resends (endpoint_id, position, last) VALUES (99, 0, 1)"),
        Breach(
            "webhook_resends_in_order",
            webhook()
                + "; INSERT INTO webhook_resends (endpoint_id, position, last) SELECT id, 2, 1 FROM webhook_endpoints"),
        Breach("erasures_digest_is_sha256", "INSERT INTO erasures (digest, erased_at) VALUES ('\\x00', now())"),
        Breach("nox_users_user_id_length", noxUser(user: "''")),
        Breach("nox_users_user_id_length", noxUser(user: "repeat('x', 257)")),
        Breach("sign_ins_pkey", signIn() + ";" + signIn()),
        Breach("sign_ins_state_hash_is_sha256", signIn(state: "'\\x00'")),
        Breach("sign_ins_language_known", signIn(language: "'de'")),
        Breach("sign_ins_outcome_known", signIn(outcome: "'won'")),
        Breach("sign_ins_outcome_after_answer", signIn(answered: "NULL", outcome: "'declined'")),
        Breach("sign_ins_user_of_success", signIn(outcome: "'signed_in'", user: "'u'", account: "NULL")),
        Breach("sign_ins_user_of_success", signIn(outcome: "'signed_in'", user: "NULL", account: "'a'")),
        Breach("sign_ins_user_of_success", signIn(outcome: "'failed'", user: "'u'", account: "'a'")),
        Breach("sign_ins_user_of_success", signIn(outcome: "NULL", user: "'u'", account: "'a'")),
        Breach("sign_ins_user_id_length", signIn(outcome: "'signed_in'", user: "''", account: "'a'")),
        Breach("sign_ins_account_length", signIn(outcome: "'signed_in'", user: "'u'", account: "repeat('a', 256)")),
        Breach(
            "link_sessions_link_of_completed",
            session() + "; UPDATE link_sessions SET supplier = 'x', supplier_user_id = 'y'"),
        Breach(
            "link_sessions_link_of_completed", session() + "; UPDATE link_sessions SET nox_user_id = gen_random_uuid()"),
        Breach("link_sessions_link_of_completed", session() + "; UPDATE link_sessions SET confirmed_at = now()"),
        Breach("link_sessions_link_of_completed", link("supplier = 'x'")),
        Breach("link_sessions_link_of_completed", link("supplier = 'x', supplier_user_id = ''")),
        Breach("link_sessions_link_of_completed", link("supplier = 'x', supplier_user_id = repeat('x', 256)")),
        Breach("link_sessions_link_of_completed", link("supplier = 'x', supplier_user_id = 'y', nox_user_id = NULL")),
        Breach("link_sessions_link_of_completed", link("completed_by = '\\x00'")),
        Breach("link_sessions_link_of_completed", link("confirmed_at = now() - interval '1 second'")),
        Breach("link_sessions_options_valid", session() + "; UPDATE link_sessions SET offered_suppliers = '{}'"),
        Breach(
            "supplier_outcomes_pkey",
            "INSERT INTO supplier_outcomes VALUES ('a', now(), 0, 0, 0), ('a', now(), 0, 0, 0)"),
        Breach("supplier_outcomes_not_negative", "INSERT INTO supplier_outcomes VALUES ('a', now(), 0, -1, 0)"),
        Breach("link_sessions_options_valid", session() + "; UPDATE link_sessions SET offered_suppliers = '{a,NULL}'"),
        Breach(
            "link_sessions_options_valid",
            session() + "; UPDATE link_sessions SET offered_suppliers = array_fill('a'::text, ARRAY[51])"),
        Breach(
            "link_sessions_options_valid",
            session() + "; UPDATE link_sessions SET preferred_supplier = 'a', offered_suppliers = '{b}'"),
        Breach("link_sessions_options_valid", session() + "; UPDATE link_sessions SET metadata = '[]'"),
        Breach("link_session_events_request_id_valid", session() + ";" + event(requestID: "''")),
        Breach("link_session_events_request_id_valid", session() + ";" + event(requestID: "'a b'")),
        Breach("link_session_events_request_id_valid", session() + ";" + event(requestID: "repeat('x', 129)")),
        Breach("link_session_events_request_id_valid", session() + ";" + event(requestID: "E'x\\n'")),
        Breach("link_session_events_authenticator_key_valid", session() + ";" + event(key: "''")),
        Breach("link_session_events_authenticator_key_valid", session() + ";" + event(key: "'Web'")),
        Breach("link_session_events_authenticator_key_valid", session() + ";" + event(key: "repeat('x', 41)")),
        Breach("deployment_migrations_pkey", applied + ";" + applied),
        Breach("link_sessions_pkey", session() + ";" + session()),
        Breach("link_sessions_token_hash_is_sha256", session(hash: "'\\x'")),
        Breach("link_sessions_token_hash_is_sha256", session(hash: "substr(sha256('x'), 2)")),
        Breach("link_sessions_token_hash_is_sha256", session(hash: "sha256('x') || '\\x00'")),
        Breach("link_sessions_user_id_length", session(user: "''")),
        Breach("link_sessions_user_id_length", session(user: "repeat('x', 257)")),
        Breach("link_sessions_redirect_url_length", session(url: "''")),
        Breach("link_sessions_redirect_url_length", session(url: "repeat('x', 2049)")),
        Breach("link_sessions_redirect_url_length", session(url: "repeat('é', 1025)")),
        Breach("link_sessions_language_known", session(language: "'de'")),
        Breach("link_sessions_language_known", session(language: "'NL'")),
        Breach("link_sessions_expires_after_creation", session(expires: "now() - interval '1 second'")),
        Breach("link_sessions_completed_while_open", session(completed: "now() - interval '1 second'")),
        Breach("link_sessions_completed_while_open", session(completed: "now() + interval '601 seconds'")),
        Breach(
            "link_sessions_completed_while_open", session(expires: "now()", completed: "now() + interval '1 second'")),
    ]

    @Test func `every constraint refuses what it says`() async throws {
        try await TestDatabase.with { database in
            try await database.execute("INSERT INTO manufacturers (name) VALUES ('Test')")
            for breach in Self.breaches {
                await #expect("\(breach)") {
                    try await database.execute("BEGIN; \(breach.sql); ROLLBACK")
                } throws: { error in
                    // A primary key's name has the day of the partition in it.
                    (error as? ConnectionError)?.message.replacing(/_\d{8}_pkey/, with: "_pkey")
                        .contains("\"\(breach.constraint)\"") == true
                }
            }
        }
    }

    @Test func `every constraint of the schema is tried`() async throws {
        try await TestDatabase.with { database in
            let names = try await database.rows(
                """
                SELECT conname FROM pg_constraint
                WHERE connamespace = 'public'::regnamespace AND contype <> 'n' AND conparentid = 0
                  AND conrelid NOT IN (SELECT inhrelid FROM pg_inherits)
                """
            ).compactMap { $0[0] }
            #expect(
                Set(names)
                    == Set(Self.breaches.map(\.constraint)).union([
                        // The migrator's tests try the first; the last has a number that nobody chooses.
                        "schema_migrations_pkey", "operator_actions_pkey",
                    ]))
        }
    }

    @Test func `what lies at a rule's edge is taken`() async throws {
        try await TestDatabase.with { database in
            try await database.execute("INSERT INTO manufacturers (name) VALUES ('Test')")
            for sql in [
                "INSERT INTO manufacturers (name) VALUES (repeat('é', 200))",
                "INSERT INTO manufacturers (name, brand) VALUES ('x', repeat('é', 200)), ('y', NULL), ('z', 'b')",
                "INSERT INTO manufacturers (name, redirect_policy) VALUES ('x', 'registered'), ('y', 'unrestricted')",
                "INSERT INTO manufacturers (name, redirect_urls) VALUES ('x', '{}'), ('y', '{a,b}')",
                key(), key(label: "repeat('é', 200)"), key(expires: "NULL"),
                key(expires: "now() + interval '1 second'"),
                session(), session(user: "repeat('\u{1F600}', 256)"), session(url: "repeat('x', 2048)"),
                session(language: "'es'"), session(expires: "now()"), session(expires: "now()", completed: "now()"),
                supplier(), supplier(slug: "repeat('x', 40)", issuer: "'http://127.0.0.1:1/a'"), noxUser(),
                noxUser(user: "repeat('\u{1F600}', 256)"), signIn(), signIn(answered: "NULL"),
                signIn(outcome: "'declined'"),
                signIn(outcome: "'signed_in'", user: "repeat('é', 255)", account: "repeat('é', 255)"),
                idempotencyKey(), idempotencyKey(expires: "now() + interval '1 second'"), link("supplier = NULL"),
                webhook(), webhook(url: "'http://localhost:3000/hooks'"), webhook(url: "'http://[::1]'"),
                webhook(types: "'{link_session.opened,link_session.expired}'"),
                webhookDelivery(answer: "repeat('é', 200)"), webhookRetry,
                link("supplier = 'x', supplier_user_id = repeat('é', 255), confirmed_at = now()"),
                link("completed_by = sha256('x')"),
                session(completed: "now()"), session(completed: "now() + interval '600 seconds'"),
            ] {
                await #expect(throws: Never.self, "\(sql)") { try await database.execute("BEGIN; \(sql); ROLLBACK") }
            }
        }
    }

    @Test func `what must be there cannot be NULL`() async throws {
        try await TestDatabase.with { database in
            try await database.execute("INSERT INTO manufacturers (name) VALUES ('Test')")
            for sql in [
                "INSERT INTO manufacturers (name) VALUES (NULL)",
                "INSERT INTO manufacturers (name, enabled) VALUES ('x', NULL)",
                "INSERT INTO manufacturers (name, redirect_policy) VALUES ('x', NULL)",
                "INSERT INTO manufacturers (name, redirect_urls) VALUES ('x', NULL)",
                key(manufacturer: "NULL"), key(hash: "NULL"), key(label: "NULL"),
                session(id: "NULL"), session(shard: "NULL"), session(hash: "NULL"), session(manufacturer: "NULL"),
                session(user: "NULL"), session(url: "NULL"),
                session(language: "NULL"), session(created: "NULL"), session(expires: "NULL"),
                idempotencyKey(hash: "NULL"), idempotencyKey(request: "NULL"), idempotencyKey(expires: "NULL"),
            ] {
                await #expect("\(sql)") {
                    try await database.execute("BEGIN; \(sql); ROLLBACK")
                } throws: {
                    ($0 as? ConnectionError)?.sqlState == SQLState("23502")
                }
            }
        }
    }

    @Test func `a new manufacturer is enabled and may redirect nowhere yet`() async throws {
        try await TestDatabase.with { database in
            try await database.execute("INSERT INTO manufacturers (name) VALUES ('Test')")
            #expect(
                try await database.rows(
                    "SELECT brand, enabled, redirect_policy, redirect_urls::text FROM manufacturers")
                    == [[nil, "true", "registered", "{}"]])
        }
    }
}

private func idempotencyKey(
    hash: String = "sha256('k')", request: String = "sha256('r')", expires: String = "now() + interval '24 hours'"
) -> String {
    """
    INSERT INTO idempotency_keys (shard, key_hash, session_id, request_hash, secret_id, created_at, expires_at)
    VALUES (1, \(hash), gen_random_uuid(), \(request), 1, now(), \(expires))
    """
}

private func key(
    manufacturer: String = "(SELECT min(id) FROM manufacturers)", hash: String = "sha256('x')", label: String = "'x'",
    expires: String = "NULL"
) -> String {
    """
    INSERT INTO api_keys (manufacturer_id, key_hash, label, expires_at) VALUES (\(manufacturer), \(hash), \(label), \(expires))
    """
}

private let applied = "INSERT INTO deployment_migrations (history, version, name, checksum) VALUES ('own', 1, 'x', '')"

private func event(
    _ event: String = "'opened'", reason: String = "NULL", requestID: String = "'x'", key: String = "NULL"
)
    -> String
{
    """
    INSERT INTO link_session_events
        (session_id, shard, manufacturer_id, event, reason, request_id, authenticator_key)
    VALUES (first_id_at(now()), 0, 1, \(event), \(reason), \(requestID), \(key))
    """
}

private func session(
    id: String = "first_id_at(now())", shard: String = "0", hash: String = "sha256('x')",
    manufacturer: String = "(SELECT min(id) FROM manufacturers)", user: String = "'user'",
    url: String = "'https://your-app.com/callback'", language: String = "'nl'", created: String = "now()",
    expires: String = "now() + interval '600 seconds'", completed: String = "NULL"
) -> String {
    """
    INSERT INTO link_sessions VALUES (
        \(id), \(shard), \(hash), \(manufacturer), \(user), \(url), \(language), \(created), \(expires), \(completed))
    """
}

private func supplier(
    slug: String = "'green-grid'", name: String = "'Green Grid'", issuer: String = "'https://login.example'",
    clientID: String = "'client'", secretName: String = "'SUPPLIER_GREEN_GRID_SECRET'", scopes: String = "'{openid}'",
    option: String = "enabled = true"
) -> String {
    """
    INSERT INTO suppliers (slug, name, issuer, client_id, client_secret_name, scopes)
    VALUES (\(slug), \(name), \(issuer), \(clientID), \(secretName), \(scopes));
    UPDATE suppliers SET \(option)
    """
}

private func logo(_ bytes: String, digest: String? = nil, type: String = "image/png") -> String {
    "INSERT INTO logos (digest, media_type, bytes) VALUES (\(digest ?? "sha256(\(bytes))"), '\(type)', \(bytes))"
}

private func webhook(
    manufacturer: String = "(SELECT min(id) FROM manufacturers)", url: String = "'https://example.com/hooks'",
    types: String = "NULL", salt: String = "decode(repeat('00', 16), 'hex')", option: String = "disabled_at = now()"
) -> String {
    """
    INSERT INTO webhook_endpoints (manufacturer_id, url, types, secret_salt) VALUES (\(manufacturer), \(url), \(types), \(salt));
    UPDATE webhook_endpoints SET \(option)
    """
}

private let webhookRetry = """
    INSERT INTO webhook_retries (endpoint_id, position, session_id, attempts, first_failed_at)
    VALUES (1, 1, first_id_at(now()), 1, now())
    """

private func webhookDelivery(answer: String = "''") -> String {
    """
    INSERT INTO webhook_deliveries (endpoint_id, attempted_at, position, session_id, attempt, milliseconds, answer)
    VALUES (1, '2026-01-01Z', 1, first_id_at(now()), 1, 1, \(answer))
    """
}

private func noxUser(manufacturer: String = "(SELECT min(id) FROM manufacturers)", user: String = "'user'") -> String {
    "INSERT INTO nox_users (manufacturer_id, user_id) VALUES (\(manufacturer), \(user))"
}

private func signIn(
    state: String = "sha256('s')", language: String = "'nl'",
    answered: String = "now()", outcome: String = "NULL", user: String = "NULL", account: String = "NULL"
) -> String {
    """
    INSERT INTO sign_ins (
        session_id, shard, state_hash, supplier, language, answered_at, outcome, supplier_user_id, account)
    VALUES (first_id_at(now()), 0, \(state), 'green-grid', \(language), \(answered), \(outcome), \(user), \(account))
    """
}

/// A session that is completed with these columns, one of which may be `nox_user_id`.
private func link(_ assignments: String) -> String {
    let user = assignments.contains("nox_user_id") ? "" : ", nox_user_id = gen_random_uuid()"
    return session() + "; UPDATE link_sessions SET completed_at = now(), \(assignments)\(user)"
}
