package import LinkSessions
package import PostgresClient

/// The link sessions in the database. Every call is answered by its deadline.
///
/// Each transition is one statement, which first locks the row and then judges it as it is, by
/// `clock_timestamp()`: the time when the row was had, not when the question came.
package struct LinkSessionRepository: Sendable {
    let database: DatabaseClient
    let suppliers: SupplierRepository

    package init(database: DatabaseClient, suppliers: SupplierRepository) {
        self.database = database
        self.suppliers = suppliers
    }

    /// Stores a new session under the digest of its token. Concurrent calls share one INSERT and one commit.
    package func create(
        _ session: NewLinkSession, tokenDigest: SHA256Digest, until deadline: Deadline
    ) async throws(RepositoryError) -> LinkSession {
        try await database.answer(Self.create, (tokenDigest, session), until: deadline)
    }

    /// One of a manufacturer's own sessions. Concurrent calls share one SELECT.
    package func find(
        tokenDigest: SHA256Digest, of manufacturer: Manufacturer, until deadline: Deadline
    ) async throws(RepositoryError) -> LinkSession? {
        let found = try await database.answer(Self.find, (tokenDigest, manufacturer), until: deadline)
        return try found.mapError(RepositoryError.init).get()
    }

    /// The same for the Authenticator, whose first look is recorded as an event.
    package func lookUp(
        tokenDigest: SHA256Digest, requestID: String, until deadline: Deadline
    ) async throws(RepositoryError) -> LinkSession? {
        try await database.answer(Self.lookUp, [.blob(tokenDigest.bytes), .text(requestID)], until: deadline)
    }

    /// Expires an open session now, which is recorded as an event; a completed or expired one stays as it is.
    ///
    /// - Returns: the session as it is afterwards; `nil` where this manufacturer has none of that digest.
    package func expire(
        tokenDigest: SHA256Digest, of manufacturer: Manufacturer.ID, requestID: String, until deadline: Deadline
    ) async throws(RepositoryError) -> LinkSession? {
        try await database.answer(
            Self.expire, [.blob(tokenDigest.bytes), .text(requestID), .number(manufacturer.number)], until: deadline)
    }

    /// Records that the manufacturer's backend named the user whose session it is, within ten minutes of the
    /// completion. A session that is confirmed already stays as it is, and so does one that is another user's.
    ///
    /// - Parameter userID: `nil` where the code was wrong: then nothing is confirmed, and that is recorded.
    /// - Returns: the session as it is afterwards; `nil` where this manufacturer has none of that digest.
    package func confirm(
        tokenDigest: SHA256Digest, of manufacturer: Manufacturer.ID, userID: ManufacturerUserID?, requestID: String,
        until deadline: Deadline
    ) async throws(RepositoryError) -> LinkSession? {
        try await database.answer(
            Self.confirm,
            [.blob(tokenDigest.bytes), .text(requestID), .number(manufacturer.number), .text(userID?.text)],
            until: deadline)
    }

    /// Records an event of a session that exists.
    package func record(
        _ event: LinkSessionEvent, tokenDigest: SHA256Digest, requestID: String, until deadline: Deadline
    ) async throws(RepositoryError) {
        try await database.answer(
            Self.record,
            [.blob(tokenDigest.bytes), .text(requestID), .text(event.name), .text(event.reason)], until: deadline)
    }

    private static let insert = """
        INSERT INTO link_sessions (token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at)
        SELECT token_hash, manufacturer_id, user_id, redirect_url, language,
               created_at, created_at + interval '\(LinkSession.lifetimeInSeconds) seconds'
        FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::text[])
                 AS new (token_hash, manufacturer_id, user_id, redirect_url, language),
             date_trunc('second', statement_timestamp()) AS created_at
        """

    private static let create = GroupedQuery<(SHA256Digest, NewLinkSession), LinkSession>(
        // In no order, and that does not matter: those that are made together have the same times.
        "create_link_sessions", "\(insert) RETURNING created_at, expires_at",
        // The first attempt may be committed, or still be under way: DO NOTHING would return no row for either.
        sqlForResend: """
            WITH stored AS (
                \(insert) ON CONFLICT (token_hash) DO UPDATE SET completed_at = link_sessions.completed_at
                RETURNING token_hash, created_at, expires_at
            )
            SELECT created_at, expires_at
            FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (token_hash, number) JOIN stored USING (token_hash)
            ORDER BY number
            """,
        maxBatchSize: 256, maxConcurrentBatches: 1,
        encode: { inputs in
            [
                .blobs(inputs.map { $0.0.bytes }), .numbers(inputs.map { $0.1.manufacturer.id.number }),
                .texts(inputs.map { $0.1.userID.text }), .texts(inputs.map { $0.1.redirectURL.text }),
                .texts(inputs.map { $0.1.language.rawValue }),
            ]
        },
        decode: { result, inputs throws(DatabaseError) in
            let times = try result.map { (row) throws(DatabaseError) in
                (created: try row.unixSeconds(), expires: try row.unixSeconds())
            }
            return zip(inputs, times).map { input, times in
                let new = input.1
                return LinkSession(
                    manufacturer: new.manufacturer, userID: new.userID, redirectURL: new.redirectURL,
                    language: new.language, createdAt: times.created, expiresAt: times.expires, isPastExpiry: false)
            }
        })

    /// Each caller has a result of its own: a row that cannot be read fails those who asked for it and nobody else.
    private static let find = GroupedQuery<(SHA256Digest, Manufacturer), Result<LinkSession?, DatabaseError>>(
        "find_link_sessions",
        """
        SELECT s.token_hash, s.manufacturer_id, \(LinkSession.columns()) FROM link_sessions s
        WHERE s.token_hash = ANY ($1::bytea[])
        """,
        maxBatchSize: 256, maxConcurrentBatches: 1,
        encode: { inputs in [.blobs(inputs.map { $0.0.bytes })] },
        decode: { result, inputs throws(DatabaseError) in
            let callers = Dictionary(grouping: inputs.indices) { inputs[$0].0 }
            var sessions = [Result<LinkSession?, DatabaseError>](repeating: .success(nil), count: inputs.count)
            try result.forEachRow { (row) throws(DatabaseError) in
                let digest = try row.digest()
                let owner = Manufacturer.ID(try row.int64())
                guard let callers = callers[digest], let first = callers.first(where: { inputs[$0].1.id == owner })
                else { return row.skipRest() }
                let session: Result<LinkSession?, DatabaseError>
                do throws(DatabaseError) {
                    session = .success(try row.linkSession(of: inputs[first].1))
                } catch {
                    session = .failure(error)
                    row.skipRest()
                }
                for caller in callers where inputs[caller].1.id == owner { sessions[caller] = session }
            }
            return sessions
        })

    private static let lookUp = Query<LinkSession?>(
        "look_up_link_session",
        """
        WITH s AS (
            SELECT * FROM link_sessions WHERE token_hash = $1::bytea
        ), event AS (
            INSERT INTO link_session_events (token_hash, event, request_id)
            SELECT token_hash, 'looked_up', $2::text FROM (
                SELECT token_hash FROM link_sessions
                WHERE token_hash = $1::bytea AND NOT EXISTS (
                    SELECT FROM link_session_events WHERE token_hash = $1::bytea AND event = 'looked_up')
                FOR KEY SHARE
            ) AS locked
            ON CONFLICT DO NOTHING
        )
        SELECT \(LinkSession.columnsWithManufacturer()) FROM s JOIN manufacturers m ON m.id = s.manufacturer_id
        """,
        readOptional: { (row) throws(DatabaseError) in try row.linkSession() })

    /// Locks the row and then judges it. A plain UPDATE would judge a row that it had to wait for by the time before
    /// the wait, unless the other transaction changed it. A clock that stepped back does not count.
    private static let expire = Query<LinkSession?>(
        "expire_link_session",
        """
        WITH s AS MATERIALIZED (
            SELECT * FROM link_sessions s
            WHERE s.token_hash = $1::bytea AND s.manufacturer_id = $3::bigint FOR NO KEY UPDATE
        ), changed AS (
            UPDATE link_sessions t
            SET expires_at = greatest(s.created_at, date_trunc('second', clock_timestamp()))
            FROM s
            WHERE t.token_hash = s.token_hash AND s.completed_at IS NULL AND s.expires_at > clock_timestamp()
            RETURNING t.expires_at
        ), event AS (
            INSERT INTO link_session_events (token_hash, event, request_id)
            SELECT s.token_hash, 'expired_early', $2::text FROM s
            WHERE EXISTS (SELECT FROM changed)
            ON CONFLICT DO NOTHING
        )
        SELECT \(LinkSession.columnsWithManufacturer(changed: "expires_at"))
        FROM s JOIN manufacturers m ON m.id = s.manufacturer_id LEFT JOIN changed ON true
        """,
        readOptional: { (row) throws(DatabaseError) in try row.linkSession() })

    private static let confirm = Query<LinkSession?>(
        "confirm_link_session",
        """
        WITH s AS MATERIALIZED (
            SELECT * FROM link_sessions s
            WHERE s.token_hash = $1::bytea AND s.manufacturer_id = $3::bigint FOR NO KEY UPDATE
        ), changed AS (
            UPDATE link_sessions t
            SET confirmed_at = greatest(s.completed_at, date_trunc('second', clock_timestamp()))
            FROM s
            WHERE t.token_hash = s.token_hash AND s.user_id = $4::text AND s.confirmed_at IS NULL AND s.nox_user_id IS NOT NULL
              AND s.completed_at + interval '\(LinkSession.resultLifetimeInSeconds) seconds' > clock_timestamp()
            RETURNING t.confirmed_at
        ), event AS (
            \(recording("""
                SELECT 'confirmed', NULL WHERE EXISTS (SELECT FROM changed)
                UNION ALL
                SELECT 'confirmation_refused',
                       CASE WHEN s.completed_at IS NULL THEN 'not_completed'
                            WHEN s.user_id IS DISTINCT FROM $4::text THEN 'user_or_code_wrong'
                            ELSE 'code_expired' END
                WHERE NOT EXISTS (SELECT FROM changed)
                  AND (s.confirmed_at IS NULL OR s.user_id IS DISTINCT FROM $4::text)
                """))
        )
        SELECT \(LinkSession.columnsWithManufacturer(changed: "confirmed_at"))
        FROM s JOIN manufacturers m ON m.id = s.manufacturer_id LEFT JOIN changed ON true
        """,
        readOptional: { (row) throws(DatabaseError) in try row.linkSession() })

    private static let record = Query<Void>(
        "record_link_session_event",
        """
        WITH s AS MATERIALIZED (SELECT token_hash FROM link_sessions WHERE token_hash = $1::bytea FOR KEY SHARE)
        \(recording("SELECT $3::text, $4::text"))
        """)

    /// Records events of the session `s`, from rows of event and reason.
    ///
    /// At most 100 of a kind and reason a session, so that a caller who tries again for ever fills no disk and hides
    /// nothing else.
    static func recording(_ events: String) -> String {
        """
        INSERT INTO link_session_events (token_hash, event, reason, request_id)
        SELECT s.token_hash, e.event, e.reason, $2::text
        FROM s, LATERAL (\(events)) AS e (event, reason)
        WHERE (SELECT count(*) FROM link_session_events o
               WHERE o.token_hash = s.token_hash AND o.event = e.event AND o.reason IS NOT DISTINCT FROM e.reason) < 100
        ON CONFLICT DO NOTHING
        """
    }
}
