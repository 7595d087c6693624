package import LinkSessions
internal import PostgresClient
package import RateLimits

/// What an operator sees of a manufacturer.
package struct ManufacturerReport: Sendable {
    package let id: Manufacturer.ID
    package let name: String
    package let brand: String?
    package let isEnabled: Bool
    package let isUnrestricted: Bool
    package let redirectURLs: [String]
    /// Its own; `nil`: that of the settings.
    package let rateLimit: RateLimit?
    package let createdAt: UnixSeconds
    package fileprivate(set) var keys: [KeyReport] = []
}

package struct KeyReport: Sendable {
    package let digest: SHA256Digest
    package let label: String
    /// `usable`, `ending` within 30 days, `expired` or `revoked`.
    package let state: String
    package let createdAt: UnixSeconds
    package let expiresAt: UnixSeconds?
    package let revokedAt: UnixSeconds?
    package let lastUsedAt: UnixSeconds?
}

package struct SupplierReport: Sendable {
    package let slug: String
    package let name: String
    package let isEnabled: Bool
    package let issuer: String
    package let clientID: String
    package let clientSecretName: String
    package let scopes: [String]
    package let clientAuthentication: String?
    package let discoveryURL: String?
    package let responseMode: String?
    package let prompt: String?
    package let maxAge: Int64?
    package let createdAt: UnixSeconds
    /// Of a day, over all replicas.
    package let outcomes: SupplierOutcomes
    /// To the minute.
    package let lastSucceededAt: UnixSeconds?
    package let lastFailedAt: UnixSeconds?
}

extension ManufacturerReport {
    /// By name, each with all of its keys, the oldest first.
    static let all = Query<[ManufacturerReport]>(
        "report_manufacturers",
        """
        SELECT m.id, m.name, m.brand, m.enabled, m.redirect_policy = 'unrestricted', m.redirect_urls, \(RateLimit.columns), m.created_at,
               k.key_hash, k.label,
               CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked'
                    WHEN k.expires_at <= now() THEN 'expired'
                    WHEN k.expires_at <= now() + interval '30 days' THEN 'ending' ELSE 'usable' END,
               k.created_at, k.expires_at, k.revoked_at, k.last_used_at
        FROM manufacturers m LEFT JOIN api_keys k ON k.manufacturer_id = m.id
        ORDER BY m.name, m.id, k.created_at, k.id
        """,
        decode: { result throws(DatabaseError) in
            var manufacturers: [ManufacturerReport] = []
            try result.forEachRow { (row) throws(DatabaseError) in
                let manufacturer = ManufacturerReport(
                    id: Manufacturer.ID(try row.int64()), name: try row.text(), brand: try row.optionalText(),
                    isEnabled: try row.bool(), isUnrestricted: try row.bool(), redirectURLs: try row.texts(),
                    rateLimit: try row.rateLimit(), createdAt: try row.unixSeconds())
                if manufacturers.last?.id != manufacturer.id { manufacturers.append(manufacturer) }
                guard let digest = try row.optionalDigest() else { return row.skipRest() }
                let key = KeyReport(
                    digest: digest, label: try row.text(), state: try row.text(), createdAt: try row.unixSeconds(),
                    expiresAt: try row.optionalUnixSeconds(), revokedAt: try row.optionalUnixSeconds(),
                    lastUsedAt: try row.optionalUnixSeconds())
                manufacturers[manufacturers.count - 1].keys.append(key)
            }
            return manufacturers
        })
}

extension SupplierReport {
    /// By slug.
    static let all = Query<[SupplierReport]>(
        "report_suppliers",
        """
        SELECT slug, name, enabled, issuer, client_id, client_secret_name, scopes, \(OpenIDClient.optionalColumns),
               created_at, o.succeeded, o.failed, o.declined, o.last_succeeded, o.last_failed
        FROM suppliers LEFT JOIN LATERAL (
            SELECT coalesce(sum(succeeded), 0)::bigint AS succeeded, coalesce(sum(failed), 0)::bigint AS failed,
                   coalesce(sum(declined), 0)::bigint AS declined,
                   max(minute) FILTER (WHERE succeeded > 0) AS last_succeeded,
                   max(minute) FILTER (WHERE failed > 0) AS last_failed
            FROM supplier_outcomes WHERE supplier = slug AND minute > statement_timestamp() - interval '1 day'
        ) AS o ON true
        ORDER BY slug
        """,
        readEach: { (row) throws(DatabaseError) in
            SupplierReport(
                slug: try row.text(), name: try row.text(), isEnabled: try row.bool(), issuer: try row.text(),
                clientID: try row.text(), clientSecretName: try row.text(), scopes: try row.texts(),
                clientAuthentication: try row.optionalText(), discoveryURL: try row.optionalText(),
                responseMode: try row.optionalText(), prompt: try row.optionalText(), maxAge: try row.optionalInt64(),
                createdAt: try row.unixSeconds(),
                outcomes: SupplierOutcomes(
                    succeeded: try row.int64(), failed: try row.int64(), declined: try row.int64()),
                lastSucceededAt: try row.optionalUnixSeconds(), lastFailedAt: try row.optionalUnixSeconds())
        })
}
