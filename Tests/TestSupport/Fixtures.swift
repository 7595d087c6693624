// Manufacturers and keys for tests.

package import LinkSessions
import TokenGenerator

package enum TestKeys {
    package static let acme = manufacturer("acme")
    package static let beta = manufacturer("beta")
    package static let disabled = manufacturer("disabled")
    package static let authenticator = "test-key-of-the-authenticator-0123456789abcdef"

    /// Seeds of Ed25519 keys, and secrets for one-time codes and for tokens under an Idempotency-Key; all of 32 bytes.
    package static let signing = "c2lnbmluZy1rZXktb2YtdGhlLXRlc3RzLTAxMjM0NTY"
    package static let sandboxSigning = "c2FuZGJveC1rZXktb2YtdGhlLXRlc3RzLTAxMjM0NTY"
    package static let codeSecret = "b25lLXRpbWUtY29kZXMtb2YtdGhlLXRlc3RzLTAxMjM"
    package static let idempotencySecret = "aWRlbXBvdGVuY3kta2V5cy1vZi10aGUtdGVzdHMtMDE"
    package static let webhookSigning = "d2ViaG9vay1rZXktb2YtdGhlLXRlc3RzLTAxMjM0NTY"
    package static let webhookSecret = "d2ViaG9vay1zZWNyZXRzLW9mLXRoZS10ZXN0cy0wMTI"

    /// A manufacturer's key, the same for the same name.
    package static func manufacturer(_ name: String, for environment: APIKey.Environment = .test) -> String {
        let bytes = (try? SHA256.digest(of: name))?.bytes ?? []
        let words = stride(from: 0, to: bytes.count, by: 8).map { start in
            bytes[start..<start + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        return APIKey(for: environment, words: (words[0], words[1], words[2], words[3])).characters
    }

    package static func digest(_ key: String) -> String {
        (try? SHA256.digest(of: key))?.hex ?? ""
    }
}

extension TestDatabase {
    /// Acme Manufacturing (registered `https://your-app.com/callback`), Beta Devices (no brand, unrestricted) and a
    /// disabled manufacturer, each with a key of ``TestKeys``.
    package func addManufacturers() async throws {
        try await execute(
            """
            INSERT INTO manufacturers (name, brand, enabled, redirect_policy, redirect_urls) VALUES
                ('Acme Manufacturing', 'acme manufacturing', true, 'registered', '{https://your-app.com/callback}'),
                ('Beta Devices', NULL, true, 'unrestricted', '{}'),
                ('Gamma Retired', 'gamma', false, 'unrestricted', '{}')
            """)
        for (name, key) in [
            ("Acme Manufacturing", TestKeys.acme), ("Beta Devices", TestKeys.beta),
            ("Gamma Retired", TestKeys.disabled),
        ] {
            try await addKey(key, manufacturer: name)
        }
    }

    /// - Parameter columns: further columns and their SQL values, such as `["expires_at": "now() + interval '1s'"]`.
    package func addKey(_ key: String, manufacturer: String, columns: [String: String] = [:]) async throws {
        let names = columns.keys.sorted()
        try await execute(
            """
            INSERT INTO api_keys (manufacturer_id, key_hash, label\(names.map { ", " + $0 }.joined()))
            SELECT id, decode('\(TestKeys.digest(key))', 'hex'), 'test'\(names.map { ", " + (columns[$0] ?? "NULL") }.joined())
            FROM manufacturers WHERE name = '\(manufacturer)'
            """)
    }
}

// MARK: - Link sessions

extension TestDatabase {
    /// An SQL expression for a session's id: a UUIDv7 of a time, with a shard and a number of its own.
    ///
    /// - Parameters: SQL expressions.
    package static func sessionID(at time: String, shard: String = "0", number: String = "0") -> String {
        """
        (left(first_id_at(\(time))::text, 14) || '7000-80' || lpad(to_hex(\(shard)), 2, '0') || '-'
            || lpad(to_hex(\(number)), 12, '0'))::uuid
        """
    }

    /// SQL that sets columns of sessions. An UPDATE of a distributed table may compute no times: they are computed first.
    ///
    /// - Parameters:
    ///   - condition: which sessions; all where it is left out.
    ///   - values: SQL expressions by column.
    package static func update(sessions condition: String = "true", _ values: KeyValuePairs<String, String>) -> String {
        let computed = values.map { "\($0.value) AS new_\($0.key)" }.joined(separator: ", ")
        let assignments = values.map { "\($0.key) = new_\($0.key)" }.joined(separator: ", ")
        return """
            WITH new AS MATERIALIZED (
                SELECT id AS new_id, shard AS new_shard, \(computed) FROM link_sessions WHERE \(condition)
            )
            UPDATE link_sessions SET \(assignments) FROM new WHERE id = new_id AND shard = new_shard
            """
    }

    /// Makes sessions so much older; their ids stay.
    package func age(sessions condition: String, by interval: String) async throws {
        func earlier(_ column: String) -> String { "\(column) - interval '\(interval)'" }
        try await execute(
            Self.update(
                sessions: condition,
                [
                    "created_at": earlier("created_at"), "expires_at": earlier("expires_at"),
                    "completed_at": earlier("completed_at"), "confirmed_at": earlier("confirmed_at"),
                ]))
    }

    /// Makes all Idempotency-Keys so much older.
    package func ageIdempotencyKeys(by interval: String) async throws {
        try await execute(
            """
            WITH new AS MATERIALIZED (
                SELECT shard AS new_shard, key_hash AS new_hash, created_at - interval '\(interval)' AS new_created,
                       expires_at - interval '\(interval)' AS new_expires
                FROM idempotency_keys
            )
            UPDATE idempotency_keys SET created_at = new_created, expires_at = new_expires
            FROM new WHERE shard = new_shard AND key_hash = new_hash
            """)
    }

    /// SQL that locks a session's row. A distributed table locks none whose shard is not named.
    package static func lock(_ id: LinkSessionID) -> String {
        "SELECT FROM link_sessions WHERE id = '\(id.text)' AND shard = \(id.shard) FOR UPDATE"
    }

    /// Stores open or expired sessions of a manufacturer that were made so long ago, as if the service had.
    package func addSessions(_ count: Int, age: String, of manufacturer: Int64, user: String = "user")
        async throws
    {
        try await execute(
            """
            INSERT INTO link_sessions (
                id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at)
            SELECT \(Self.sessionID(at: "t", shard: "n % 256", number: "n")), n % 256, sha256(gen_random_uuid()::text::bytea),
                   \(manufacturer), '\(user)', 'https://your-app.com/callback', 'nl', t, t + interval '600 seconds'
            FROM generate_series(1, \(count)) AS n, (SELECT now() - interval '\(age)') AS at (t)
            """)
    }
}
