package import LinkSessions

/// Manufacturers' API keys: added, rotated, revoked. No key is in the SQL, only its SHA-256.
extension AdminChange {
    /// Which of a manufacturer's keys.
    package enum KeySelection: Sendable {
        case label(DisplayText)
        /// The first hexadecimal digits of the key's SHA-256.
        case digestPrefix(String)
    }

    /// How long a key is good, from the moment when the migration is applied.
    package enum KeyLifetime: Sendable {
        case seconds(Int)
        case unlimited

        fileprivate var expiry: String {
            switch self {
            case .seconds(let seconds): AdminChange.expiry(after: seconds)
            case .unlimited: "NULL::timestamptz"
            }
        }
    }

    package static func addKey(
        manufacturer: DisplayText, digest: SHA256Digest, label: DisplayText, lifetime: KeyLifetime
    ) throws(AdminError) -> AdminChange {
        AdminChange(
            name: "add_key",
            summary: "A new API key of a manufacturer. The key itself is not here, only its SHA-256.",
            sql: """
                WITH added AS (
                    INSERT INTO api_keys (manufacturer_id, key_hash, label, expires_at)
                    SELECT id, \(literal(digest)),
                           \(try quoted(label)), \(lifetime.expiry)
                    FROM manufacturers WHERE name = \(try quoted(manufacturer))
                    RETURNING id
                )
                SELECT ensure(count(*) = 1, 'there is no manufacturer of this name') FROM added;
                """)
    }

    /// The new key gets the label of the old ones, which end `overlap` seconds after the migration is applied.
    /// - Parameters:
    ///   - label: `nil` where all usable keys have one and the same.
    ///   - lifetime: `nil`: that of the newest of the old ones, or a year where that has no end.
    package static func rotateKey(
        manufacturer: DisplayText, digest: SHA256Digest, label: DisplayText?, overlap: Int,
        lifetime: KeyLifetime?
    ) throws(AdminError) -> AdminChange {
        let isOfLabel = try label.map { label throws(AdminError) in " AND k.label = \(try quoted(label))" } ?? ""
        let newExpiry =
            lifetime?.expiry
            ?? "date_trunc('second', now()) + coalesce(expires_at - created_at, interval '365 days')"
        return AdminChange(
            name: "rotate_key",
            summary: "A new API key of a manufacturer in place of the old one, which ends after the overlap.",
            sql: """
                WITH old AS (
                    SELECT k.* FROM api_keys k JOIN manufacturers m ON m.id = k.manufacturer_id
                    WHERE m.name = \(try quoted(manufacturer))\(isOfLabel)
                      AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
                    FOR UPDATE OF k
                ), ended AS (
                    UPDATE api_keys k
                    SET expires_at = least(
                        k.expires_at,
                        greatest(k.created_at + interval '1 second', \(expiry(after: overlap))))
                    FROM old WHERE k.id = old.id
                ), new AS (
                    INSERT INTO api_keys (manufacturer_id, key_hash, label, expires_at)
                    SELECT manufacturer_id, \(literal(digest)), label,
                           \(newExpiry)
                    FROM old ORDER BY created_at DESC, id DESC LIMIT 1
                )
                SELECT ensure(count(*) > 0, 'this manufacturer has no such key that is in use'),
                       ensure(count(DISTINCT label) = 1, 'this manufacturer''s keys have several labels: choose one')
                FROM old;
                """)
    }

    package static func revokeKey(
        manufacturer: DisplayText, _ selection: KeySelection
    ) throws(AdminError) -> AdminChange {
        let isSelected =
            switch selection {
            case .label(let label): "k.label = \(try quoted(label)) AND (k.expires_at IS NULL OR k.expires_at > now())"
            case .digestPrefix(let digits): "starts_with(encode(k.key_hash, 'hex'), \(try quoted(digits)))"
            }
        return AdminChange(
            name: "revoke_key",
            summary: "An API key of a manufacturer ends now.",
            sql: """
                WITH revoked AS (
                    UPDATE api_keys k SET revoked_at = now()
                    FROM manufacturers m
                    WHERE m.id = k.manufacturer_id AND m.name = \(try quoted(manufacturer))
                      AND \(isSelected) AND k.revoked_at IS NULL
                    RETURNING k.id
                )
                SELECT ensure(count(*) > 0, 'this manufacturer has no such key that is not revoked already'),
                       ensure(count(*) = 1, 'this is more than one key: choose it by its digest')
                FROM revoked;
                """)
    }
}
