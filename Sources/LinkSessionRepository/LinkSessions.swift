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
        try await database.answer(Self.create, (tokenDigest, session), until: deadline)
    }

    /// One of a manufacturer's own sessions. Concurrent calls share one SELECT.
    package func find(
        tokenDigest: SHA256Digest, of manufacturer: Manufacturer, until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> LinkSession? {
        do throws(DatabaseError) {
            return try await database.run(Self.find, (tokenDigest, manufacturer), until: deadline).get()
        } catch {
            throw RepositoryError(error)
        }
    }

    /// The same for the Authenticator, whose first look is recorded as an event.
    package func lookUp(
        tokenDigest: SHA256Digest, requestID: String, until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> LinkSession? {
        try await database.answer(Self.lookUp, (tokenDigest, requestID), until: deadline)
    }

    /// Expires an open session now, which is recorded as an event; a completed or expired one stays as it is.
    ///
    /// - Returns: the session as it is afterwards; `nil` where this manufacturer has none of that digest.
    package func expire(
        tokenDigest: SHA256Digest, of manufacturer: Manufacturer.ID, requestID: String,
        until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> LinkSession? {
        try await database.answer(Self.expire, (tokenDigest, manufacturer, requestID), until: deadline)
    }

    /// Completes an open session now, and links the manufacturer's user with the account that `completion` names; a
    /// completed session stays as it is, and so does an expired one, which is recorded as an event. Of any number of
    /// racing calls one sets `completed_at`, and all get the same answer: whoever named another account finds the
    /// winner's in it. While its manufacturer is disabled a session stays open.
    ///
    /// - Returns: the session as it is afterwards; `nil` where there is none of that digest.
    package func complete(
        tokenDigest: SHA256Digest, _ completion: Completion, requestID: String,
        until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> LinkSession? {
        try await database.answer(Self.complete, (tokenDigest, completion, requestID), until: deadline)
    }

    /// Records that the manufacturer's backend named the user whose session it is, within ten minutes of the
    /// completion. A session that is confirmed already stays as it is, and so does one that is another user's.
    ///
    /// - Parameter userID: `nil` where the code was wrong: then nothing is confirmed, and that is recorded.
    /// - Returns: the session as it is afterwards; `nil` where this manufacturer has none of that digest.
    package func confirm(
        tokenDigest: SHA256Digest, of manufacturer: Manufacturer.ID, userID: ManufacturerUserID?, requestID: String,
        until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> LinkSession? {
        try await database.answer(Self.confirm, (tokenDigest, manufacturer, userID, requestID), until: deadline)
    }

    /// Records an event of a session that exists.
    package func record(
        _ event: LinkSessionEvent, tokenDigest: SHA256Digest, requestID: String,
        until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) {
        try await database.answer(Self.record, (tokenDigest, event, requestID), until: deadline)
    }
}

/// What a completion says besides that it happened.
package struct Completion: Sendable {
    /// The account that is linked; `nil` where the caller does not say.
    package let identity: SupplierIdentity?
    /// The sign-in whose browser gets the result; `nil` where no browser of ours did it.
    package let signIn: SHA256Digest?

    package init(identity: SupplierIdentity?, signIn: SHA256Digest? = nil) {
        self.identity = identity
        self.signIn = signIn
    }
}

/// What support asks about a session. Without personal data.
package enum LinkSessionEvent: Sendable {
    case signInRefused(SignInRefusal)
    case completionRefused(CompletionRefusal)

    var name: String {
        switch self {
        case .signInRefused: "sign_in_refused"
        case .completionRefused: "completion_refused"
        }
    }

    var reason: String? {
        switch self {
        case .signInRefused(let reason): reason.rawValue
        case .completionRefused(let reason): reason.rawValue
        }
    }
}

/// Why a sign-in at a supplier came to nothing.
package enum SignInRefusal: String, Sendable {
    /// The request to begin came from a page that is not ours.
    case crossOrigin = "cross_origin"
    case tooManySignIns = "too_many_sign_ins"
    case supplierUnknown = "supplier_unknown"
    /// The supplier's metadata or its keys could not be had.
    case supplierUnavailable = "supplier_unavailable"
    case stateUnknown = "state_unknown"
    case stateUsed = "state_used"
    /// The answer came to a browser that did not begin.
    case otherBrowser = "other_browser"
    /// The answer came to another supplier's redirect URI, or names another issuer (RFC 9207).
    case mixUp = "mix_up"
    case declined
    /// The supplier answered with an error, or with nothing that could be read.
    case supplierFailed = "supplier_failed"
    /// The code was not accepted by the supplier's token endpoint.
    case codeRefused = "code_refused"
    case idTokenInvalid = "id_token_invalid"
}

/// Why a completion was refused before it was tried.
package enum CompletionRefusal: String, Sendable {
    case crossOrigin = "cross_origin"
    case otherBrowser = "other_browser"
    case supplierDisabled = "supplier_disabled"
    /// Its manufacturer is disabled, or may redirect there no more.
    case blocked
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
        // In no order, and that does not matter: those that are made together have the same times.
        Statement("create_link_sessions", "\(insert) RETURNING created_at, expires_at"),
        // The first attempt may be committed, or still be under way: DO NOTHING would return no row for either.
        statementForResend: Statement(
            "create_link_sessions_again",
            """
            WITH stored AS (
                \(insert) ON CONFLICT (token_hash) DO UPDATE SET completed_at = link_sessions.completed_at
                RETURNING token_hash, created_at, expires_at
            )
            SELECT created_at, expires_at
            FROM unnest($1::bytea[]) WITH ORDINALITY AS asked (token_hash, number) JOIN stored USING (token_hash)
            ORDER BY number
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
            let times = try result.map { (row) throws(DatabaseError) in
                (created: try row.unixSeconds(0), expires: try row.unixSeconds(1))
            }
            return zip(inputs, times).map { input, times in
                let new = input.1
                return LinkSession(
                    manufacturer: new.manufacturer, userID: new.userID, redirectURL: new.redirectURL,
                    language: new.language, createdAt: times.created, expiresAt: times.expires, isPastExpiry: false)
            }
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
                for caller in callers[try row.digest(12)] ?? [] where inputs[caller].1.id == owner {
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

    /// Locks the row and then judges it. A plain UPDATE would judge a row that it had to wait for by the time before
    /// the wait, unless the other transaction changed it. A clock that stepped back does not count.
    private static let expire = Query<(SHA256Digest, Manufacturer.ID, String), LinkSession?>(
        Statement(
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
            SELECT \(columnsWithManufacturer(changed: "expires_at"))
            FROM s JOIN manufacturers m ON m.id = s.manufacturer_id LEFT JOIN changed ON true
            """),
        encode: { inputs, parameters in
            for (digest, manufacturer, requestID) in inputs {
                encode([(digest, requestID)], &parameters)
                parameters.append(manufacturer.number)
            }
        },
        decode: decodeOne)

    private static let complete = Query<(SHA256Digest, Completion, String), LinkSession?>(
        Statement(
            "complete_link_session",
            """
            WITH s AS MATERIALIZED (
                SELECT s.*, m.enabled FROM link_sessions s JOIN manufacturers m ON m.id = s.manufacturer_id
                WHERE s.token_hash = $1::bytea FOR NO KEY UPDATE OF s
            ), nox_user AS (
                INSERT INTO nox_users (manufacturer_id, user_id)
                SELECT s.manufacturer_id, s.user_id FROM s
                WHERE s.enabled AND s.completed_at IS NULL AND s.expires_at > clock_timestamp()
                -- DO NOTHING would not return the row that is there.
                ON CONFLICT (manufacturer_id, user_id) DO UPDATE SET user_id = excluded.user_id
                RETURNING id
            ), changed AS (
                UPDATE link_sessions t
                SET completed_at = greatest(s.created_at, date_trunc('second', clock_timestamp())),
                    nox_user_id = nox_user.id, supplier = $3::text, supplier_user_id = $4::text, completed_by = $5::bytea
                FROM s, nox_user
                WHERE t.token_hash = s.token_hash AND s.completed_at IS NULL AND s.expires_at > clock_timestamp()
                RETURNING t.completed_at, t.nox_user_id, t.supplier, t.supplier_user_id
            ), event AS (
                INSERT INTO link_session_events (token_hash, event, reason, request_id)
                SELECT s.token_hash, e.event, e.reason, $2::text
                FROM s, LATERAL (
                    SELECT 'completed', NULL WHERE EXISTS (SELECT FROM changed)
                    UNION ALL
                    SELECT 'completion_refused', CASE WHEN s.enabled THEN 'expired' ELSE 'manufacturer_disabled' END
                    WHERE s.completed_at IS NULL AND NOT EXISTS (SELECT FROM changed)
                    UNION ALL
                    SELECT 'completion_refused', 'completed_by_another'
                    WHERE s.completed_at IS NOT NULL
                      AND (s.supplier, s.supplier_user_id) IS DISTINCT FROM ($3::text, $4::text)
                ) AS e (event, reason)
                WHERE \(hasRoom(for: "e.event", "e.reason"))
                ON CONFLICT DO NOTHING
            )
            SELECT \(columnsWithManufacturer(changed: "completed_at", "nox_user_id", "supplier", "supplier_user_id"))
            FROM s JOIN manufacturers m ON m.id = s.manufacturer_id LEFT JOIN changed ON true
            """),
        encode: { inputs, parameters in
            for (digest, completion, requestID) in inputs {
                encode([(digest, requestID)], &parameters)
                parameters.append(orNull: completion.identity?.supplier.text)
                parameters.append(orNull: completion.identity?.userID)
                parameters.append(orNull: completion.signIn?.bytes)
            }
        },
        decode: decodeOne)

    private static let confirm = Query<(SHA256Digest, Manufacturer.ID, ManufacturerUserID?, String), LinkSession?>(
        Statement(
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
                INSERT INTO link_session_events (token_hash, event, reason, request_id)
                SELECT s.token_hash, e.event, e.reason, $2::text
                FROM s, LATERAL (
                    SELECT 'confirmed', NULL WHERE EXISTS (SELECT FROM changed)
                    UNION ALL
                    SELECT 'confirmation_refused',
                           CASE WHEN s.completed_at IS NULL THEN 'not_completed'
                                WHEN s.user_id IS DISTINCT FROM $4::text THEN 'user_or_code_wrong'
                                ELSE 'code_expired' END
                    WHERE NOT EXISTS (SELECT FROM changed)
                      AND (s.confirmed_at IS NULL OR s.user_id IS DISTINCT FROM $4::text)
                ) AS e (event, reason)
                WHERE \(hasRoom(for: "e.event", "e.reason"))
                ON CONFLICT DO NOTHING
            )
            SELECT \(columnsWithManufacturer(changed: "confirmed_at"))
            FROM s JOIN manufacturers m ON m.id = s.manufacturer_id LEFT JOIN changed ON true
            """),
        encode: { inputs, parameters in
            for (digest, manufacturer, userID, requestID) in inputs {
                encode([(digest, requestID)], &parameters)
                parameters.append(manufacturer.number)
                parameters.append(orNull: userID?.text)
            }
        },
        decode: decodeOne)

    private static let record = Query<(SHA256Digest, LinkSessionEvent, String), Void>(
        Statement(
            "record_link_session_event",
            """
            INSERT INTO link_session_events (token_hash, event, reason, request_id)
            SELECT s.token_hash, $3::text, $4::text, $2::text
            FROM (SELECT token_hash FROM link_sessions WHERE token_hash = $1::bytea FOR KEY SHARE) AS s
            WHERE \(hasRoom(for: "$3::text", "$4::text"))
            ON CONFLICT DO NOTHING
            """),
        encode: { inputs, parameters in
            for (digest, event, requestID) in inputs {
                encode([(digest, requestID)], &parameters)
                parameters.append(event.name)
                parameters.append(orNull: event.reason)
            }
        },
        decode: { _, inputs in inputs.map { _ in } })

    /// At most 100 of a kind and reason a session, so that a caller who tries again for ever fills no disk and hides
    /// nothing else.
    static func hasRoom(for event: String, _ reason: String = "NULL") -> String {
        """
        (SELECT count(*) FROM link_session_events o
         WHERE o.token_hash = s.token_hash AND o.event = \(event) AND o.reason IS NOT DISTINCT FROM \(reason)) < 100
        """
    }

    /// `$1` and `$2` of the three above.
    @Sendable private static func encode(_ inputs: [(SHA256Digest, String)], _ parameters: inout Parameters) {
        for (digest, requestID) in inputs {
            parameters.append(digest.bytes)
            parameters.append(requestID)
        }
    }

    /// The one column list, in the order of ``Row/linkSession(of:)``.
    ///
    /// - Parameter changed: those that a part of the statement named `changed` may have set anew.
    static func columns(changed: [String] = []) -> String {
        func column(_ name: String) -> String {
            changed.contains(name) ? "coalesce(changed.\(name), s.\(name))" : "s.\(name)"
        }
        return """
            s.manufacturer_id, s.user_id, s.redirect_url, s.language, s.created_at, \(column("expires_at")), \
            \(column("completed_at")), \(column("expires_at")) <= clock_timestamp(), \(column("confirmed_at")), \
            \(column("nox_user_id"))::text, \(column("supplier")), \(column("supplier_user_id"))
            """
    }

    /// The same, and what ``Row/linkSession()`` needs of the manufacturer.
    static func columnsWithManufacturer(changed: String...) -> String {
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
            confirmedAt: try optionalUnixSeconds(8),
            link: try link(at: 9),
            isPastExpiry: try bool(7))
    }

    /// From `nox_user_id`, `supplier` and `supplier_user_id`, one after the other.
    private func link(at column: Int) throws(DatabaseError) -> Link? {
        guard let noxUserID = try optionalText(column) else { return nil }
        guard let supplier = try optionalText(column + 1) else { return Link(noxUserID: noxUserID, identity: nil) }
        guard let slug = Supplier.Slug(supplier),
            let identity = SupplierIdentity(supplier: slug, userID: try text(column + 2))
        else { throw mismatch(column + 1) }
        return Link(noxUserID: noxUserID, identity: identity)
    }

    /// From the columns of ``LinkSessionRepository/columnsWithManufacturer(changed:)``.
    func linkSession() throws(DatabaseError) -> LinkSession {
        try linkSession(of: try manufacturer(at: 12))
    }

    func digest(_ column: Int) throws(DatabaseError) -> SHA256Digest {
        guard let digest = SHA256Digest(bytes: try blob(column)) else { throw mismatch(column) }
        return digest
    }

    func optionalDigest(_ column: Int) throws(DatabaseError) -> SHA256Digest? {
        guard let bytes = try optionalBlob(column) else { return nil }
        guard let digest = SHA256Digest(bytes: bytes) else { throw mismatch(column) }
        return digest
    }

    /// From `id`, `name` and `brand`, one after the other.
    func manufacturer(at column: Int) throws(DatabaseError) -> Manufacturer {
        Manufacturer(
            id: Manufacturer.ID(try int64(column)), name: try text(column + 1),
            brand: try optionalText(column + 2).map(Brand.init(stored:)))
    }

    /// Text that has to keep to a rule of the domain.
    func parse<Value>(_ column: Int, _ parse: (String) throws(ValidationError) -> Value) throws(DatabaseError) -> Value
    {
        let text = try text(column)
        do throws(ValidationError) {
            return try parse(text)
        } catch {
            throw mismatch(column)
        }
    }
}
