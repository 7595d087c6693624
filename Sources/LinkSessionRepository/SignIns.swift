// Every statement on the table sign_ins, and a session as the browser's pages see it.

package import LinkSessions
package import PostgresClient

/// A link session together with what its pages have to know.
package struct LinkSessionSnapshot: Sendable {
    package let session: LinkSession
    package let tokenDigest: SHA256Digest
    /// By the database's clock.
    package let now: UnixSeconds
    /// Whether the session has pages at all: not where it ended more than an hour ago, its manufacturer is disabled,
    /// or its redirect URL is allowed no more.
    package let isServed: Bool
    /// Whether the result of a completion may still be fetched.
    package let resultIsFresh: Bool
    /// The sign-in that completed the session.
    package let completedBy: SHA256Digest?
}

/// A browser's attempt to sign in at a supplier.
package struct SignIn: Sendable {
    package enum Outcome: Sendable {
        /// - Parameter account: as the user is shown it, masked.
        case signedIn(SupplierIdentity, account: String)
        case declined
        case failed
    }

    /// The digest of its `state`: public.
    package let id: SHA256Digest
    package let supplier: Supplier.Slug
    package let language: Language
    package let isAnswered: Bool
    /// Answered a moment ago, so that what comes of it may still be under way.
    package let isBeingJudged: Bool
    package let outcome: Outcome?
}

package struct NewSignIn: Sendable {
    package let id: SHA256Digest
    package let tokenDigest: SHA256Digest
    package let supplier: Supplier.Slug
    package let language: Language

    package init(
        id: SHA256Digest, tokenDigest: SHA256Digest, supplier: Supplier.Slug, language: Language
    ) {
        self.id = id
        self.tokenDigest = tokenDigest
        self.supplier = supplier
        self.language = language
    }
}

package struct SignInRepository: Sendable {
    /// How often a session's user may begin.
    package static let limit = 10

    private let database: DatabaseClient

    package init(database: DatabaseClient) {
        self.database = database
    }

    /// A session for its pages. Changes nothing, and records nothing: scanners open links too.
    package func snapshot(
        tokenDigest: SHA256Digest, until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> LinkSessionSnapshot? {
        try await database.answer(Self.snapshot, tokenDigest, until: deadline)
    }

    /// A sign-in and its session.
    package func find(
        _ id: SHA256Digest, until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> (signIn: SignIn, snapshot: LinkSessionSnapshot)? {
        try await database.answer(Self.find, id, until: deadline)
    }

    /// Begins a sign-in of an open session.
    ///
    /// - Returns: whether it was begun: not where the session is open no more, or has had ``limit`` of them.
    package func start(
        _ signIn: NewSignIn, requestID: String, until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> Bool {
        try await database.answer(Self.start, (signIn, requestID), until: deadline)
    }

    /// Takes a supplier's answer to a sign-in.
    ///
    /// - Parameter taker: a random text: who takes it, so that it may be taken again after a lost reply.
    /// - Returns: whether this is the first one: it counts, and no other ever does.
    package func answer(
        _ id: SHA256Digest, taker: String, until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) -> Bool {
        try await database.answer(Self.answer, (id, taker), until: deadline)
    }

    /// Records what came of an answered sign-in.
    ///
    /// - Parameter refusal: the reason, where nobody signed in.
    package func conclude(
        _ id: SHA256Digest, _ outcome: SignIn.Outcome, because refusal: SignInRefusal? = nil, requestID: String,
        until deadline: ContinuousClock.Instant
    ) async throws(RepositoryError) {
        try await database.answer(Self.conclude, (id, outcome, refusal, requestID), until: deadline)
    }
}

extension SignInRepository {
    /// In the order of ``Row/snapshot()``.
    private static let snapshotColumns = """
        \(LinkSessionRepository.columnsWithManufacturer()), s.token_hash, clock_timestamp(), \
        m.enabled AND coalesce(s.completed_at, s.expires_at) + interval '1 hour' > clock_timestamp(), \
        m.redirect_policy, m.redirect_urls, \
        s.completed_at + interval '\(LinkSession.resultLifetimeInSeconds) seconds' > clock_timestamp(), \
        s.completed_by
        """

    private static let snapshotTables = "link_sessions s JOIN manufacturers m ON m.id = s.manufacturer_id"

    private static let snapshot = Query<SHA256Digest, LinkSessionSnapshot?>(
        Statement(
            "snapshot_link_session", "SELECT \(snapshotColumns) FROM \(snapshotTables) WHERE s.token_hash = $1::bytea"),
        encode: encode,
        decode: { result, _ throws(DatabaseError) in
            [try result.map { (row) throws(DatabaseError) in try row.snapshot() }.first]
        })

    private static let find = Query<SHA256Digest, (signIn: SignIn, snapshot: LinkSessionSnapshot)?>(
        Statement(
            "find_sign_in",
            """
            SELECT \(snapshotColumns), a.state_hash, a.supplier, a.language, a.answered_at IS NOT NULL,
                   coalesce(a.answered_at > clock_timestamp() - interval '20 seconds', false), a.outcome, a.supplier_user_id, a.account
            FROM \(snapshotTables) JOIN sign_ins a ON a.token_hash = s.token_hash
            WHERE a.state_hash = $1::bytea
            """),
        encode: encode,
        decode: { result, _ throws(DatabaseError) in
            let found = try result.map { (row) throws(DatabaseError) in
                (signIn: try row.signIn(at: 22), snapshot: try row.snapshot())
            }
            return [found.first]
        })

    private static let start = Query<(NewSignIn, String), Bool>(
        Statement(
            "start_sign_in",
            """
            WITH s AS (
                -- The row decides how many there are: whoever waits for it judges the number anew.
                UPDATE link_sessions SET sign_ins = sign_ins + 1
                WHERE token_hash = $2::bytea AND completed_at IS NULL AND expires_at > clock_timestamp()
                  AND sign_ins < \(limit)
                  -- Sent again after a lost reply, it is begun already.
                  AND NOT EXISTS (SELECT FROM sign_ins WHERE state_hash = $1::bytea)
                RETURNING token_hash
            ), sign_in AS (
                INSERT INTO sign_ins (state_hash, token_hash, supplier, language)
                SELECT $1::bytea, s.token_hash, $3::text, $4::text FROM s
                ON CONFLICT (state_hash) DO NOTHING
            ), event AS (
                INSERT INTO link_session_events (token_hash, event, request_id)
                SELECT s.token_hash, 'sign_in_started', $5::text FROM s
                ON CONFLICT DO NOTHING
            )
            SELECT EXISTS (SELECT FROM s) OR EXISTS (SELECT FROM sign_ins WHERE state_hash = $1::bytea)
            """),
        encode: { inputs, parameters in
            for (signIn, requestID) in inputs {
                parameters.append(signIn.id.bytes)
                parameters.append(signIn.tokenDigest.bytes)
                parameters.append(signIn.supplier.text)
                parameters.append(signIn.language.rawValue)
                parameters.append(requestID)
            }
        },
        decode: decodeTruth)

    private static let answer = Query<(SHA256Digest, String), Bool>(
        Statement(
            "answer_sign_in",
            """
            WITH answered AS (
                UPDATE sign_ins SET answered_at = coalesce(answered_at, clock_timestamp()), answered_by = $2::text
                WHERE state_hash = $1::bytea AND (answered_at IS NULL OR answered_by = $2::text) AND outcome IS NULL
                RETURNING state_hash
            )
            SELECT EXISTS (SELECT FROM answered)
            """),
        encode: { inputs, parameters in
            for (id, taker) in inputs {
                parameters.append(id.bytes)
                parameters.append(taker)
            }
        },
        decode: decodeTruth)

    private static let conclude = Query<(SHA256Digest, SignIn.Outcome, SignInRefusal?, String), Void>(
        Statement(
            "conclude_sign_in",
            """
            WITH s AS MATERIALIZED (
                SELECT s.token_hash FROM link_sessions s JOIN sign_ins a ON a.token_hash = s.token_hash
                WHERE a.state_hash = $1::bytea FOR KEY SHARE OF s
            ), concluded AS (
                UPDATE sign_ins SET outcome = $2::text, supplier_user_id = $3::text, account = $4::text
                FROM s WHERE state_hash = $1::bytea AND answered_at IS NOT NULL AND outcome IS NULL
            )
            INSERT INTO link_session_events (token_hash, event, reason, request_id)
            SELECT s.token_hash, CASE WHEN $5::text IS NULL THEN 'signed_in' ELSE 'sign_in_refused' END, $5::text,
                   $6::text
            FROM s
            ON CONFLICT DO NOTHING
            """),
        encode: { inputs, parameters in
            for (id, outcome, refusal, requestID) in inputs {
                parameters.append(id.bytes)
                switch outcome {
                case .signedIn(let identity, let account):
                    parameters.append("signed_in")
                    parameters.append(identity.userID)
                    parameters.append(account)
                case .declined, .failed:
                    if case .declined = outcome { parameters.append("declined") } else { parameters.append("failed") }
                    parameters.append(orNull: nil as String?)
                    parameters.append(orNull: nil as String?)
                }
                parameters.append(orNull: refusal?.rawValue)
                parameters.append(requestID)
            }
        },
        decode: { _, inputs in inputs.map { _ in } })

    @Sendable private static func encode(_ inputs: [SHA256Digest], _ parameters: inout Parameters) {
        for digest in inputs { parameters.append(digest.bytes) }
    }

    @Sendable private static func decodeTruth<Input>(
        _ result: borrowing QueryResult, _: [Input]
    ) throws(DatabaseError) -> [Bool] {
        try result.map { (row) throws(DatabaseError) in try row.bool(0) }
    }
}

extension Row {
    /// From the columns of ``SignInRepository/snapshotColumns``.
    fileprivate func snapshot() throws(DatabaseError) -> LinkSessionSnapshot {
        let session = try linkSession()
        let (policy, _) = try redirectPolicy(at: 18)
        var isServed = try bool(17)
        do throws(ValidationError) {
            try policy.check(session.redirectURL)
        } catch {
            isServed = false
        }
        return LinkSessionSnapshot(
            session: session, tokenDigest: try digest(15), now: try unixSeconds(16), isServed: isServed,
            resultIsFresh: session.completedAt == nil ? false : try bool(20), completedBy: try optionalDigest(21))
    }

    fileprivate func signIn(at column: Int) throws(DatabaseError) -> SignIn {
        guard let supplier = Supplier.Slug(try text(column + 1)) else { throw mismatch(column + 1) }
        var outcome: SignIn.Outcome?
        switch try optionalText(column + 5) {
        case nil: break
        case "signed_in":
            guard let identity = SupplierIdentity(supplier: supplier, userID: try text(column + 6)) else {
                throw mismatch(column + 6)
            }
            outcome = .signedIn(identity, account: try text(column + 7))
        case "declined": outcome = .declined
        case "failed": outcome = .failed
        default: throw mismatch(column + 5)
        }
        return SignIn(
            id: try digest(column), supplier: supplier,
            language: try parse(column + 2, Language.init), isAnswered: try bool(column + 3),
            isBeingJudged: try bool(column + 4), outcome: outcome)
    }
}
