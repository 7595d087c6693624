// Manufacturers with their keys, as an operator sees them.

package import LinkSessions
internal import PostgresClient

package struct ManufacturerReport: Sendable {
    package let id: Manufacturer.ID
    package let name: String
    package let brand: String?
    package let isEnabled: Bool
    package let isUnrestricted: Bool
    package let redirectURLs: [String]
    package let createdAt: UnixSeconds
    package fileprivate(set) var keys: [KeyReport] = []
}

package struct KeyReport: Sendable {
    package enum State: String, Sendable { case usable, expired, revoked }

    package let digest: SHA256Digest
    package let label: String
    package let state: State
    package let createdAt: UnixSeconds
    package let expiresAt: UnixSeconds?
    package let revokedAt: UnixSeconds?
    package let lastUsedAt: UnixSeconds?
}

extension ManufacturerReport {
    fileprivate static let columns = """
        m.id, m.name, m.brand, m.enabled, m.redirect_policy = 'unrestricted', m.redirect_urls, m.created_at
        """

    /// By name, each with all of its keys, the oldest first.
    static let all = Query<Void, [ManufacturerReport]>(
        Statement(
            "report_manufacturers",
            """
            SELECT \(ManufacturerReport.columns), \(KeyReport.columns)
            FROM manufacturers m LEFT JOIN api_keys k ON k.manufacturer_id = m.id
            ORDER BY m.name, m.id, k.created_at, k.id
            """),
        encode: { _, _ in },
        decode: { result throws(DatabaseError) in
            var manufacturers: [ManufacturerReport] = []
            try result.forEachRow { (row) throws(DatabaseError) in
                let manufacturer = try row.manufacturerReport()
                if manufacturers.last?.id != manufacturer.id { manufacturers.append(manufacturer) }
                guard let key = try row.keyReport() else { return }
                manufacturers[manufacturers.count - 1].keys.append(key)
            }
            return manufacturers
        })
}

extension Row {
    fileprivate mutating func manufacturerReport() throws(DatabaseError) -> ManufacturerReport {
        ManufacturerReport(
            id: Manufacturer.ID(try int64()), name: try text(), brand: try optionalText(), isEnabled: try bool(),
            isUnrestricted: try bool(), redirectURLs: try texts(), createdAt: try unixSeconds())
    }
}

extension KeyReport {
    fileprivate static let columns = """
        k.key_hash, k.label, CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' \
        WHEN k.expires_at <= now() THEN 'expired' ELSE 'usable' END, \
        k.created_at, k.expires_at, k.revoked_at, k.last_used_at
        """
}

extension Row {
    /// - Returns: `nil` for a manufacturer without keys.
    fileprivate mutating func keyReport() throws(DatabaseError) -> KeyReport? {
        guard let digest = try optionalDigest() else {
            skipRest()
            return nil
        }
        let label = try text()
        guard let state = KeyReport.State(rawValue: try text()) else { throw mismatch() }
        return KeyReport(
            digest: digest, label: label, state: state, createdAt: try unixSeconds(),
            expiresAt: try optionalUnixSeconds(), revokedAt: try optionalUnixSeconds(),
            lastUsedAt: try optionalUnixSeconds())
    }
}
