// Every statement on the table link_sessions.

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

    package func find(
        tokenDigest: SHA256Digest, until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> LinkSession? {
        try await run(Self.find, tokenDigest, until: deadline)
    }

    /// Expires an open session now; a completed or expired one stays as it is.
    ///
    /// - Returns: the session as it is afterwards; `nil` where this manufacturer has none of that digest.
    package func expire(
        tokenDigest: SHA256Digest, of manufacturer: Manufacturer.ID, until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> LinkSession? {
        try await run(Self.expire, (tokenDigest, manufacturer), until: deadline)
    }

    /// Completes an open session now; a completed or expired one stays as it is. Of any number of racing calls one
    /// sets `completed_at`, and all get the same answer.
    ///
    /// - Returns: the session as it is afterwards; `nil` where there is none of that digest.
    package func complete(
        tokenDigest: SHA256Digest, until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> LinkSession? {
        try await run(Self.complete, tokenDigest, until: deadline)
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
            \(insert) ON CONFLICT (token_hash) DO UPDATE SET token_hash = excluded.token_hash
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

    private static let find = Query<SHA256Digest, LinkSession?>(
        Statement(
            "find_link_session",
            """
            SELECT \(columns()) FROM link_sessions s JOIN manufacturers m ON m.id = s.manufacturer_id
            WHERE s.token_hash = $1::bytea
            """),
        encode: { digests, parameters in for digest in digests { parameters.append(digest.bytes) } },
        decode: decodeOne)

    private static let expire = Query<(SHA256Digest, Manufacturer.ID), LinkSession?>(
        Statement(
            "expire_link_session",
            transition(set: "expires_at", where: "s.token_hash = $1::bytea AND s.manufacturer_id = $2::bigint")),
        encode: { inputs, parameters in
            for (digest, manufacturer) in inputs {
                parameters.append(digest.bytes)
                parameters.append(manufacturer.number)
            }
        },
        decode: decodeOne)

    private static let complete = Query<SHA256Digest, LinkSession?>(
        Statement(
            "complete_link_session", transition(set: "completed_at", where: "s.token_hash = $1::bytea")),
        encode: { digests, parameters in for digest in digests { parameters.append(digest.bytes) } },
        decode: decodeOne)

    /// Sets a time of an open session to now, cut to the second; a clock that stepped back does not count.
    ///
    /// A plain UPDATE would judge a row that it had to wait for by the time before the wait, unless the other
    /// transaction changed it.
    private static func transition(set column: String, where condition: String) -> String {
        """
        WITH s AS MATERIALIZED (
            SELECT * FROM link_sessions s WHERE \(condition) FOR UPDATE
        ), changed AS (
            UPDATE link_sessions t
            SET \(column) = greatest(s.created_at, date_trunc('second', clock_timestamp()))
            FROM s
            WHERE t.token_hash = s.token_hash AND s.completed_at IS NULL AND s.expires_at > clock_timestamp()
            RETURNING t.\(column)
        )
        SELECT \(columns(changed: column)) FROM s JOIN manufacturers m ON m.id = s.manufacturer_id
        LEFT JOIN changed ON true
        """
    }

    /// The one column list, in the order of `decodeOne`.
    private static func columns(changed: String? = nil) -> String {
        func column(_ name: String) -> String { name == changed ? "coalesce(changed.\(name), s.\(name))" : "s.\(name)" }
        return """
            m.id, m.name, m.brand, s.user_id, s.redirect_url, s.language, s.created_at, \(column("expires_at")), \
            \(column("completed_at")), \(column("expires_at")) <= clock_timestamp()
            """
    }

    /// The one row initialiser. No row: `nil`.
    private static func decodeOne<Input>(
        _ result: borrowing QueryResult, _: [Input]
    ) throws(DatabaseError) -> [LinkSession?] {
        let sessions = try result.map { (row) throws(DatabaseError) in
            LinkSession(
                manufacturer: try row.manufacturer(at: 0),
                userID: try row.parse(3, ManufacturerUserID.init),
                redirectURL: try row.parse(4, RedirectURL.init),
                language: try row.parse(5, Language.init),
                createdAt: try row.unixSeconds(6),
                expiresAt: try row.unixSeconds(7),
                completedAt: try row.optionalUnixSeconds(8),
                isPastExpiry: try row.bool(9))
        }
        return [sessions.first]
    }
}

extension Row {
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
