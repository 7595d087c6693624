package import LinkSessions
package import PostgresClient
package import RateLimits

/// What operators decide: manufacturers, their keys, and suppliers, as they were at one moment.
package struct ControlPlane: Sendable {
    package struct ManufacturerEntry: Sendable {
        package let manufacturer: Manufacturer
        package let isEnabled: Bool
        package let redirectPolicy: RedirectPolicy
        /// Of creates; `nil` where it has none of its own.
        package let createLimit: RateLimit?
        /// How many of its registered redirect URLs are no valid redirect URLs, and so allow nothing.
        let invalidRedirectURLs: Int
    }

    /// A key that was neither revoked nor expired.
    package struct KeyEntry: Sendable {
        package let manufacturer: Manufacturer.ID
        /// Unix microseconds by the database's clock; `nil` where the key has no end.
        package let expiresAt: Int64?
    }

    package let manufacturers: [Manufacturer.ID: ManufacturerEntry]
    package let keys: [SHA256Digest: KeyEntry]
    /// Those that are enabled, by name; one that was written by hand and breaks a rule is left out.
    package let suppliers: [Supplier]
    /// The database has Citus, and so its tables may be spread over nodes by shard.
    let isDistributed: Bool

    /// Whether a supplier or a manufacturer has this logo.
    package func hasLogo(_ digest: SHA256Digest) -> Bool {
        suppliers.contains { $0.logo == digest } || manufacturers.values.contains { $0.manufacturer.logo == digest }
    }
}

/// What changes whenever anything of the control plane does.
struct ControlPlaneVersion: Sendable {
    let number: Int64
    /// The database's clock, in Unix microseconds.
    let databaseTime: Int64
}

/// Every statement of the service on the tables of the control plane.
package struct ControlPlaneRepository: Sendable {
    private let database: DatabaseClient

    package init(database: DatabaseClient) {
        self.database = database
    }

    /// Reads one row of one column.
    func version(until deadline: Deadline) async throws(RepositoryError) -> ControlPlaneVersion {
        try await database.answer(Self.version, [], until: deadline)
    }

    /// All of it, at least as new as a version that was read before. Manufacturers come after the keys, so that no key
    /// lacks its manufacturer.
    func load(until deadline: Deadline) async throws(RepositoryError) -> ControlPlane {
        let keys = try await database.answer(Self.keys, [], until: deadline)
        let manufacturers = try await database.answer(Self.manufacturers, [], until: deadline)
        let suppliers = try await database.answer(Self.suppliers, [], until: deadline)
        let isDistributed = try await database.answer(Self.isDistributed, [], until: deadline)
        return ControlPlane(
            manufacturers: Dictionary(manufacturers.map { ($0.manufacturer.id, $0) }) { $1 },
            keys: Dictionary(keys) { $1 }, suppliers: suppliers.compactMap(\.self), isDistributed: isDistributed)
    }

    /// Records that the keys were used now, except where that was recorded in the last five minutes, or the row is
    /// locked: nobody waits for this.
    package func recordUse(of digests: [SHA256Digest], until deadline: Deadline) async throws(RepositoryError) {
        try await database.answer(Self.recordUse, [.blobs(digests.map(\.bytes))], until: deadline)
    }

    private static let version = Query<ControlPlaneVersion>(
        "control_plane_version", "SELECT version, clock_timestamp() FROM control_plane_version",
        readOne: { (row) throws(DatabaseError) in
            ControlPlaneVersion(number: try row.int64(), databaseTime: try row.unixMicroseconds())
        })

    private static let keys = Query<[(SHA256Digest, ControlPlane.KeyEntry)]>(
        "usable_api_keys",
        """
        SELECT key_hash, manufacturer_id, expires_at FROM api_keys
        WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
        """,
        readEach: { (row) throws(DatabaseError) in
            (
                try row.digest(),
                ControlPlane.KeyEntry(
                    manufacturer: Manufacturer.ID(try row.int64()), expiresAt: try row.optionalUnixMicroseconds())
            )
        })

    private static let manufacturers = Query<[ControlPlane.ManufacturerEntry]>(
        "manufacturers",
        "SELECT \(Manufacturer.columns), m.enabled, \(RedirectPolicy.columns), \(RateLimit.columns) FROM manufacturers m",
        readEach: { (row) throws(DatabaseError) in
            let (manufacturer, isEnabled) = (try row.manufacturer(), try row.bool())
            let (policy, invalid) = try row.redirectPolicy()
            let createLimit = try row.rateLimit()
            return ControlPlane.ManufacturerEntry(
                manufacturer: manufacturer, isEnabled: isEnabled, redirectPolicy: policy, createLimit: createLimit,
                invalidRedirectURLs: invalid)
        })

    private static let suppliers = Query<[Supplier?]>(
        "enabled_suppliers",
        """
        SELECT \(Supplier.columns)
        FROM suppliers WHERE enabled ORDER BY name, slug
        """,
        readEach: { (row) throws(DatabaseError) in try row.supplier() })

    private static let isDistributed = Query<Bool>(
        "is_distributed", "SELECT to_regclass('pg_dist_partition') IS NOT NULL",
        readOne: { (row) throws(DatabaseError) in try row.bool() })

    private static let recordUse = Query<Void>(
        "record_use_of_api_keys",
        """
        UPDATE api_keys SET last_used_at = date_trunc('second', clock_timestamp())
        WHERE id IN (
            SELECT id FROM api_keys
            WHERE key_hash = ANY ($1::bytea[])
              AND (last_used_at IS NULL OR last_used_at <= clock_timestamp() - interval '5 minutes')
            FOR NO KEY UPDATE SKIP LOCKED)
        """)
}

extension Manufacturer {
    /// What ``PostgresClient/Row/manufacturer()`` reads of a manufacturer `m`.
    static let columns = "m.id, m.name, m.brand, m.logo"
}

extension RedirectPolicy {
    /// What ``PostgresClient/Row/redirectPolicy()`` reads of a manufacturer `m`.
    static let columns = "m.redirect_policy, m.redirect_urls"
}

extension RateLimit {
    /// What ``PostgresClient/Row/rateLimit()`` reads of a manufacturer `m`.
    static let columns = "m.creates_a_second::bigint, m.creates_at_once::bigint"
}

extension Supplier {
    /// What ``PostgresClient/Row/supplier()`` reads.
    static let columns =
        "slug, name, logo, issuer, client_id, client_secret_name, scopes, \(OpenIDClient.optionalColumns)"
}

extension OpenIDClient {
    /// What ``PostgresClient/Row/readOptions(of:)`` reads.
    static let optionalColumns = "client_authentication, discovery_url, response_mode, prompt, max_age::bigint"
}

extension Row {
    /// - Returns: whether each keeps its rule.
    mutating func readOptions(of client: inout OpenIDClient) throws(DatabaseError) -> Bool {
        let (authentication, discoveryURL) = (try optionalText(), try optionalText())
        let (responseMode, prompt, maxAge) = (try optionalText(), try optionalText(), try optionalInt64())
        client.authentication = authentication.flatMap(OpenIDClient.ClientAuthentication.init)
        client.discoveryURL = discoveryURL.flatMap { ProviderURL($0) }
        client.responseMode = responseMode.flatMap(OpenIDClient.ResponseMode.init)
        client.prompt = prompt.flatMap(OpenIDClient.Prompt.init)
        client.maxAge = maxAge.map { Int($0) }
        return (client.authentication == nil) == (authentication == nil)
            && (client.discoveryURL == nil) == (discoveryURL == nil)
            && (client.responseMode == nil) == (responseMode == nil) && (client.prompt == nil) == (prompt == nil)
            && client.maxAge.map(OpenIDClient.isMaxAge) != false
    }

    mutating func rateLimit() throws(DatabaseError) -> RateLimit? {
        let (perSecond, atOnce) = (try optionalInt64(), try optionalInt64())
        guard let perSecond, let atOnce else { return nil }
        guard let limit = RateLimit(perSecond: Int(perSecond), atOnce: Int(atOnce)) else { throw mismatch() }
        return limit
    }

    mutating func manufacturer() throws(DatabaseError) -> Manufacturer {
        var manufacturer = Manufacturer(
            id: Manufacturer.ID(try int64()), name: try text(), brand: try optionalText().map(Brand.init(stored:)))
        manufacturer.logo = try optionalDigest()
        return manufacturer
    }

    /// - Returns: with the number of registered URLs that are no valid redirect URLs, and so allow nothing.
    mutating func redirectPolicy() throws(DatabaseError) -> (RedirectPolicy, invalid: Int) {
        switch try text() {
        case "unrestricted":
            _ = try texts()
            return (.unrestricted, 0)
        case "registered":
            let texts = try texts()
            let urls = texts.compactMap { try? RedirectURL($0) }
            return (.registered(Set(urls.map(\.registrationKey))), texts.count - urls.count)
        default:
            throw mismatch()
        }
    }

    /// - Returns: `nil` for one that breaks a rule.
    mutating func supplier() throws(DatabaseError) -> Supplier? {
        let (slug, name, logo) = (Supplier.Slug(try text()), try text(), try optionalDigest())
        let issuer = ProviderURL(try text())
        let (clientID, secretName, scopes) = (try text(), try text(), try texts())
        guard let slug, let issuer, !issuer.hasQuery, OpenIDClient.isClientID(clientID),
            OpenIDClient.isSecretName(secretName), scopes.allSatisfy(OpenIDClient.isScope)
        else {
            skipRest()
            return nil
        }
        var client = OpenIDClient(issuer: issuer, clientID: clientID, clientSecretName: secretName, scopes: scopes)
        guard try readOptions(of: &client) else { return nil }
        var supplier = Supplier(slug: slug, name: name, signIn: .openIDConnect(client))
        supplier.logo = logo
        return supplier
    }
}
