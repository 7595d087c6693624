package import LinkSessions
package import PostgresClient

/// An API key that may be used, and whose it is.
package struct UsableAPIKey: Sendable {
    package let digest: SHA256Digest
    /// Unix microseconds by the database's clock; `nil` where the key has no end.
    package let expiresAt: Int64?
    package let manufacturer: Manufacturer
    package let redirectPolicy: RedirectPolicy
    /// How many of the manufacturer's registered redirect URLs are no valid redirect URLs, and so allow nothing.
    package let invalidRedirectURLs: Int
}

/// What changes whenever a manufacturer or a key changes.
package struct AuthenticationVersion: Sendable {
    package let number: Int64
    /// The database's clock, in Unix microseconds.
    package let databaseTime: Int64
}

/// Every statement of the service on the tables manufacturers and api_keys.
package struct APIKeyRepository: Sendable {
    private let database: DatabaseClient

    package init(database: DatabaseClient) {
        self.database = database
    }

    /// Reads one row of one column.
    package func version(until deadline: Deadline) async throws(RepositoryError) -> AuthenticationVersion {
        try await database.answer(Self.version, [], until: deadline)
    }

    /// All keys that are neither revoked nor expired, of enabled manufacturers, and the version that this list has.
    package func usableKeys(
        until deadline: Deadline
    ) async throws(RepositoryError) -> (version: AuthenticationVersion, keys: [UsableAPIKey]) {
        try await database.answer(Self.usableKeys, [], until: deadline)
    }

    /// Records that the keys were used now, except where that was recorded in the last five minutes, or the row is
    /// locked: nobody waits for this.
    package func recordUse(of digests: [SHA256Digest], until deadline: Deadline) async throws(RepositoryError) {
        try await database.answer(Self.recordUse, [.blobs(digests.map(\.bytes))], until: deadline)
    }

    private static let version = Query<AuthenticationVersion>(
        "authentication_version", "SELECT \(AuthenticationVersion.columns) FROM authentication_version v",
        readOne: { (row) throws(DatabaseError) in try row.authenticationVersion() })

    private static let usableKeys = Query<(version: AuthenticationVersion, keys: [UsableAPIKey])>(
        // One statement sees one state: the version belongs to exactly these keys.
        "usable_api_keys",
        """
        SELECT \(AuthenticationVersion.columns), k.key_hash, k.expires_at, \(Manufacturer.columns),
               \(RedirectPolicy.columns)
        FROM authentication_version v
        LEFT JOIN (api_keys k JOIN manufacturers m ON m.id = k.manufacturer_id AND m.enabled)
               ON k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
        """,
        decode: { result throws(DatabaseError) in
            var version: AuthenticationVersion?
            var policies: [Manufacturer.ID: (policy: RedirectPolicy, invalid: Int)] = [:]
            var keys: [UsableAPIKey] = []
            try result.forEachRow { (row) throws(DatabaseError) in
                version = try row.authenticationVersion()
                guard let digest = try row.optionalDigest() else { return row.skipRest() }
                let expiresAt = try row.optionalUnixMicroseconds()
                let manufacturer = try row.manufacturer()
                let (policy, invalid): (RedirectPolicy, Int)
                if let known = policies[manufacturer.id] {
                    (policy, invalid) = known
                    row.skipRest()
                } else {
                    (policy, invalid) = try row.redirectPolicy()
                    policies[manufacturer.id] = (policy, invalid)
                }
                keys.append(
                    UsableAPIKey(
                        digest: digest, expiresAt: expiresAt, manufacturer: manufacturer, redirectPolicy: policy,
                        invalidRedirectURLs: invalid))
            }
            guard let version else { throw .undecodable(statement: "usable_api_keys", column: "version") }
            return (version, keys)
        })

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

extension AuthenticationVersion {
    /// What ``PostgresClient/Row/authenticationVersion()`` reads of the row `v` of the table authentication_version.
    fileprivate static let columns = "v.version, clock_timestamp()"
}

extension Row {
    fileprivate mutating func authenticationVersion() throws(DatabaseError) -> AuthenticationVersion {
        AuthenticationVersion(number: try int64(), databaseTime: try unixMicroseconds())
    }
}
