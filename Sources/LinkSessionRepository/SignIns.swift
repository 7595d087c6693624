package import LinkSessions
package import PostgresClient

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
    /// Whether the supplier's callback has come.
    package let hasCallback: Bool
    /// It came a moment ago, so that what comes of it may still be under way.
    package let isCallbackBeingProcessed: Bool
    package let outcome: Outcome?
}

/// Every statement of the service on the table sign_ins.
package struct SignInRepository: Sendable {
    /// How often a session's user may begin.
    package static let limit = 10

    private let database: DatabaseClient

    package init(database: DatabaseClient) {
        self.database = database
    }

    /// A session for its pages. Changes nothing, and records nothing: scanners open links too.
    package func snapshot(
        tokenDigest: SHA256Digest, until deadline: Deadline
    ) async throws(RepositoryError) -> LinkSessionSnapshot? {
        try await database.answer(LinkSessionSnapshot.query, [.blob(tokenDigest.bytes)], until: deadline)
    }

    /// A sign-in and its session.
    package func find(
        _ id: SHA256Digest, until deadline: Deadline
    ) async throws(RepositoryError) -> (signIn: SignIn, snapshot: LinkSessionSnapshot)? {
        try await database.answer(Self.find, [.blob(id.bytes)], until: deadline)
    }

    /// Begins a sign-in of an open session.
    ///
    /// - Returns: whether it was begun: not where the session is open no more, or has had ``limit`` of them.
    package func start(
        _ id: SHA256Digest, of tokenDigest: SHA256Digest, at supplier: Supplier.Slug, in language: Language,
        requestID: String, until deadline: Deadline
    ) async throws(RepositoryError) -> Bool {
        try await database.answer(
            Self.start,
            [
                .blob(id.bytes), .blob(tokenDigest.bytes), .text(supplier.text), .text(language.rawValue),
                .text(requestID),
            ], until: deadline)
    }

    /// Records that the supplier's callback has come.
    ///
    /// - Parameter callbackID: a random text that names this callback, so that it may be recorded again after a lost
    ///   reply.
    /// - Returns: whether this is the first one: it counts, and no other ever does.
    package func recordCallback(
        _ id: SHA256Digest, callbackID: String, until deadline: Deadline
    ) async throws(RepositoryError) -> Bool {
        try await database.answer(Self.recordCallback, [.blob(id.bytes), .text(callbackID)], until: deadline)
    }

    /// Records what came of a sign-in whose callback was recorded.
    ///
    /// - Parameter refusal: the reason, where nobody signed in.
    package func conclude(
        _ id: SHA256Digest, _ outcome: SignIn.Outcome, because refusal: SignInRefusal? = nil, requestID: String,
        until deadline: Deadline
    ) async throws(RepositoryError) {
        let (name, identity, account): (String, SupplierIdentity?, String?) =
            switch outcome {
            case .signedIn(let identity, let account): ("signed_in", identity, account)
            case .declined: ("declined", nil, nil)
            case .failed: ("failed", nil, nil)
            }
        try await database.answer(
            Self.conclude,
            [
                .blob(id.bytes), .text(name), .text(identity?.userID), .text(account), .text(refusal?.rawValue),
                .text(requestID),
            ], until: deadline)
    }

    private static let find = Query<(signIn: SignIn, snapshot: LinkSessionSnapshot)?>(
        "find_sign_in",
        """
        SELECT \(SignIn.columns), \(LinkSessionSnapshot.columns)
        FROM \(LinkSessionSnapshot.tables) JOIN sign_ins a ON a.token_hash = s.token_hash
        WHERE a.state_hash = $1::bytea
        """,
        readOptional: { (row) throws(DatabaseError) in (signIn: try row.signIn(), snapshot: try row.snapshot()) })

    private static let start = Query<Bool>(
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
        """,
        readOne: { (row) throws(DatabaseError) in try row.bool() })

    private static let recordCallback = Query<Bool>(
        "record_sign_in_callback",
        """
        WITH answered AS (
            UPDATE sign_ins SET answered_at = coalesce(answered_at, clock_timestamp()), answered_by = $2::text
            WHERE state_hash = $1::bytea AND (answered_at IS NULL OR answered_by = $2::text) AND outcome IS NULL
            RETURNING state_hash
        )
        SELECT EXISTS (SELECT FROM answered)
        """,
        readOne: { (row) throws(DatabaseError) in try row.bool() })

    private static let conclude = Query<Void>(
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
        """)
}

extension SignIn {
    /// What ``PostgresClient/Row/signIn()`` reads of a sign-in `a`.
    fileprivate static let columns = """
        a.state_hash, a.supplier, a.language, a.answered_at IS NOT NULL, \
        coalesce(a.answered_at > clock_timestamp() - interval '20 seconds', false), \
        a.outcome, a.supplier_user_id, a.account
        """
}

extension Row {
    fileprivate mutating func signIn() throws(DatabaseError) -> SignIn {
        let id = try digest()
        guard let supplier = Supplier.Slug(try text()) else { throw mismatch() }
        return SignIn(
            id: id, supplier: supplier, language: try parse(Language.init), hasCallback: try bool(),
            isCallbackBeingProcessed: try bool(), outcome: try outcome(at: supplier))
    }

    /// From `outcome`, `supplier_user_id` and `account`.
    private mutating func outcome(at supplier: Supplier.Slug) throws(DatabaseError) -> SignIn.Outcome? {
        let (outcome, userID, account) = (try optionalText(), try optionalText(), try optionalText())
        switch outcome {
        case nil: return nil
        case "signed_in":
            guard let userID, let account, let identity = SupplierIdentity(supplier: supplier, userID: userID)
            else { throw mismatch() }
            return .signedIn(identity, account: account)
        case "declined": return .declined
        case "failed": return .failed
        default: throw mismatch()
        }
    }
}
