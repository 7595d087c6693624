// Manufacturers and keys for tests.

import LinkSessions
import TokenGenerator

package enum TestKeys {
    package static let acme = "test-key-of-acme-0123456789abcdefghijklmnopqrs"
    package static let beta = "test-key-of-beta-0123456789abcdefghijklmnopqrs"
    package static let disabled = "test-key-of-a-disabled-manufacturer-0123456789"
    package static let authenticator = "test-key-of-the-authenticator-0123456789abcdef"

    /// Seeds of Ed25519 keys, and a secret for one-time codes; all of 32 bytes.
    package static let signing = "c2lnbmluZy1rZXktb2YtdGhlLXRlc3RzLTAxMjM0NTY"
    package static let sandboxSigning = "c2FuZGJveC1rZXktb2YtdGhlLXRlc3RzLTAxMjM0NTY"
    package static let codeSecret = "b25lLXRpbWUtY29kZXMtb2YtdGhlLXRlc3RzLTAxMjM"

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
