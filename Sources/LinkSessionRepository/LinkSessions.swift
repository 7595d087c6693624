// Every statement of the service on the tables link_sessions and link_session_events.

package import LinkSessions
package import PostgresClient

/// The link sessions in the database. Every call is answered by its deadline.
///
/// Each transition is one statement, which first locks the row and then judges it as it is, by
/// `clock_timestamp()`: the time when the row was had, not when the question came.
package struct LinkSessionRepository: Sendable {
    private let database: DatabaseClient

    package init(database: DatabaseClient) {
        self.database = database
    }

    /// Stores a new session under the digest of its token. Concurrent calls share one INSERT and one commit.
    package func create(
        _ session: NewLinkSession, tokenDigest: SHA256Digest, until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> LinkSession {
        try await run(Self.create, (tokenDigest, session), until: deadline)
    }

    /// One of a manufacturer's own sessions. Concurrent calls share one SELECT.
    package func find(
        tokenDigest: SHA256Digest, of manufacturer: Manufacturer, until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> LinkSession? {
        do throws(DatabaseError) {
            return try await database.run(Self.find, (tokenDigest, manufacturer), until: Deadline(deadline)).get()
        } catch {
            throw RepositoryError(error)
        }
    }

    /// The same for the Authenticator, whose first look is recorded as an event.
    package func lookUp(
        tokenDigest: SHA256Digest, requestID: String, until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> LinkSession? {
        try await run(Self.lookUp, (tokenDigest, requestID), until: deadline)
    }

    /// Expires an open session now, which is recorded as an event; a completed or expired one stays as it is.
    ///
    /// - Returns: the session as it is afterwards; `nil` where this manufacturer has none of that digest.
    package func expire(
        tokenDigest: SHA256Digest, of manufacturer: Manufacturer.ID, requestID: String,
        until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> LinkSession? {
        try await run(Self.expire, (tokenDigest, manufacturer, requestID), until: deadline)
    }

    /// Completes an open session now; a completed one stays as it is, and so does an expired one, which is recorded
    /// as an event. Of any number of racing calls one sets `completed_at`, and all get the same answer.
    ///
    /// - Returns: the session as it is afterwards; `nil` where there is none of that digest.
    package func complete(
        tokenDigest: SHA256Digest, requestID: String, until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> LinkSession? {
        try await run(Self.complete, (tokenDigest, requestID), until: deadline)
    }

    private func run<Input, Output>(
        _ query: Query<Input, Output>, _ input: Input, until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> Output {
        do throws(DatabaseError) {
            return try await database.run(query, input, until: Deadline(deadline))
        } catch {
            throw RepositoryError(error)
        }
    }
}

extension LinkSessionRepository {
    private static let insert = """
        INSERT INTO link_sessions (token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at)
        SELECT token_hash, manufacturer_id, user_id, redirect_url, language,
               created_at, created_at + interval '\(LinkSession.lifetimeInSeconds) seconds'
        FROM unnest($1::bytea[], $2::bigint[], $3::text[], $4::text[], $5::text[])
                 AS new (token_hash, manufacturer_id, user_id, redirect_url, language),
             date_trunc('second', statement_timestamp()) AS created_at
        """

    private static let create = Query<(SHA256Digest, NewLinkSession), LinkSession>(
        Statement("create_link_sessions", "\(insert) RETURNING token_hash, created_at, expires_at"),
        // The first attempt may be committed, or still be under way: DO NOTHING would return no row for either.
        statementForResend: Statement(
            "create_link_sessions_again",
            """
            \(insert) ON CONFLICT (token_hash) DO UPDATE SET completed_at = link_sessions.completed_at
            RETURNING token_hash, created_at, expires_at
            """),
        group: .init(callers: 256, executions: 1),
        encode: { inputs, parameters in
            parameters.append(blobs: inputs.map { $0.0.bytes })
            parameters.append(numbers: inputs.map { $0.1.manufacturer.id.number })
            parameters.append(texts: inputs.map { $0.1.userID.text })
            parameters.append(texts: inputs.map { $0.1.redirectURL.text })
            parameters.append(texts: inputs.map { $0.1.language.rawValue })
        },
        decode: { result, inputs throws(DatabaseError) in
            var times: [SHA256Digest: (created: UnixSeconds, expires: UnixSeconds)] = [:]
            try result.forEachRow { (row) throws(DatabaseError) in
                times[try row.digest(0)] = (try row.unixSeconds(1), try row.unixSeconds(2))
            }
            var sessions: [LinkSession] = []
            for (digest, new) in inputs {
                guard let (created, expires) = times[digest] else {
                    throw .undecodable(statement: "create_link_sessions", column: "token_hash")
                }
                sessions.append(
                    LinkSession(
                        manufacturer: new.manufacturer, userID: new.userID, redirectURL: new.redirectURL,
                        language: new.language, createdAt: created, expiresAt: expires, completedAt: nil,
                        isPastExpiry: false))
            }
            return sessions
        })

    /// Each caller has a result of its own: a row that cannot be read fails those who asked for it and nobody else.
    private static let find = Query<(SHA256Digest, Manufacturer), Result<LinkSession?, DatabaseError>>(
        Statement(
            "find_link_sessions",
            "SELECT \(columns()), s.token_hash FROM link_sessions s WHERE s.token_hash = ANY ($1::bytea[])"),
        group: .init(callers: 256, executions: 1),
        encode: { inputs, parameters in parameters.append(blobs: inputs.map { $0.0.bytes }) },
        decode: { result, inputs throws(DatabaseError) in
            let callers = Dictionary(grouping: inputs.indices) { inputs[$0].0 }
            var sessions = [Result<LinkSession?, DatabaseError>](repeating: .success(nil), count: inputs.count)
            try result.forEachRow { (row) throws(DatabaseError) in
                let owner = Manufacturer.ID(try row.int64(0))
                for caller in callers[try row.digest(8)] ?? [] where inputs[caller].1.id == owner {
                    do throws(DatabaseError) {
                        sessions[caller] = .success(try row.linkSession(of: inputs[caller].1))
                    } catch {
                        sessions[caller] = .failure(error)
                    }
                }
            }
            return sessions
        })

    private static let lookUp = Query<(SHA256Digest, String), LinkSession?>(
        Statement(
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
            SELECT \(columnsWithManufacturer()) FROM s JOIN manufacturers m ON m.id = s.manufacturer_id
            """),
        encode: encode, decode: decodeOne)

    private static let expire = Query<(SHA256Digest, Manufacturer.ID, String), LinkSession?>(
        Statement(
            "expire_link_session",
            transition(
                set: "expires_at", where: "s.token_hash = $1::bytea AND s.manufacturer_id = $3::bigint",
                event: "'expired_early', NULL", when: "EXISTS (SELECT FROM changed)")),
        encode: { inputs, parameters in
            for (digest, manufacturer, requestID) in inputs {
                encode([(digest, requestID)], &parameters)
                parameters.append(manufacturer.number)
            }
        },
        decode: decodeOne)

    private static let complete = Query<(SHA256Digest, String), LinkSession?>(
        Statement(
            "complete_link_session",
            transition(
                set: "completed_at", where: "s.token_hash = $1::bytea",
                event: "'completion_refused', 'expired'",
                when: "s.completed_at IS NULL AND NOT EXISTS (SELECT FROM changed)")),
        encode: encode, decode: decodeOne)

    /// `$1` and `$2` of the three above.
    @Sendable private static func encode(_ inputs: [(SHA256Digest, String)], _ parameters: inout Parameters) {
        for (digest, requestID) in inputs {
            parameters.append(digest.bytes)
            parameters.append(requestID)
        }
    }

    /// Sets a time of an open session to now, cut to the second; a clock that stepped back does not count.
    ///
    /// A plain UPDATE would judge a row that it had to wait for by the time before the wait, unless the other
    /// transaction changed it.
    ///
    /// - Parameter event: its kind and reason, recorded under the condition; at most 100 a session, so that a caller
    ///   who tries again for ever fills no disk.
    private static func transition(
        set column: String, where condition: String, event: String, when eventCondition: String
    ) -> String {
        """
        WITH s AS MATERIALIZED (
            SELECT * FROM link_sessions s WHERE \(condition) FOR NO KEY UPDATE
        ), changed AS (
            UPDATE link_sessions t
            SET \(column) = greatest(s.created_at, date_trunc('second', clock_timestamp()))
            FROM s
            WHERE t.token_hash = s.token_hash AND s.completed_at IS NULL AND s.expires_at > clock_timestamp()
            RETURNING t.\(column)
        ), event AS (
            INSERT INTO link_session_events (token_hash, event, reason, request_id)
            SELECT s.token_hash, \(event), $2::text FROM s
            WHERE \(eventCondition)
              AND (SELECT count(*) FROM link_session_events e WHERE e.token_hash = s.token_hash) < 100
            ON CONFLICT DO NOTHING
        )
        SELECT \(columnsWithManufacturer(changed: column)) FROM s JOIN manufacturers m ON m.id = s.manufacturer_id
        LEFT JOIN changed ON true
        """
    }

    /// The one column list, in the order of ``Row/linkSession(of:)``.
    static func columns(changed: String? = nil) -> String {
        func column(_ name: String) -> String { name == changed ? "coalesce(changed.\(name), s.\(name))" : "s.\(name)" }
        return """
            s.manufacturer_id, s.user_id, s.redirect_url, s.language, s.created_at, \(column("expires_at")), \
            \(column("completed_at")), \(column("expires_at")) <= clock_timestamp()
            """
    }

    /// The same, and what ``Row/linkSession()`` needs of the manufacturer.
    static func columnsWithManufacturer(changed: String? = nil) -> String {
        columns(changed: changed) + ", m.id, m.name, m.brand"
    }

    /// No row: `nil`.
    private static func decodeOne<Input>(
        _ result: borrowing QueryResult, _: [Input]
    ) throws(DatabaseError) -> [LinkSession?] {
        let sessions = try result.map { (row) throws(DatabaseError) in try row.linkSession() }
        return [sessions.first]
    }
}

extension Row {
    /// The one row initialiser, from the columns of ``LinkSessionRepository/columns(changed:)``.
    func linkSession(of manufacturer: Manufacturer) throws(DatabaseError) -> LinkSession {
        LinkSession(
            manufacturer: manufacturer,
            userID: try parse(1, ManufacturerUserID.init),
            redirectURL: try parse(2, RedirectURL.init),
            language: try parse(3, Language.init),
            createdAt: try unixSeconds(4),
            expiresAt: try unixSeconds(5),
            completedAt: try optionalUnixSeconds(6),
            isPastExpiry: try bool(7))
    }

    /// From the columns of ``LinkSessionRepository/columnsWithManufacturer(changed:)``.
    func linkSession() throws(DatabaseError) -> LinkSession {
        try linkSession(of: try manufacturer(at: 8))
    }

    func digest(_ column: Int) throws(DatabaseError) -> SHA256Digest {
        guard let digest = SHA256Digest(bytes: try blob(column)) else { throw mismatch(column) }
        return digest
    }

    /// From `id`, `name` and `brand`, one after the other.
    func manufacturer(at column: Int) throws(DatabaseError) -> Manufacturer {
        Manufacturer(
            id: Manufacturer.ID(try int64(column)), name: try text(column + 1),
            brand: try optionalText(column + 2).map(Brand.init(stored:)))
    }

    /// Text that has to keep to a rule of the domain.
    func parse<Value>(_ column: Int, _ parse: (String) throws(Refusal) -> Value) throws(DatabaseError) -> Value {
        let text = try text(column)
        do throws(Refusal) {
            return try parse(text)
        } catch {
            throw mismatch(column)
        }
    }
}
