package import LinkSessions
package import PostgresClient

/// A browser's attempt to sign in at a supplier.
package struct SignIn: Sendable {
    /// Which session's, and the digest of its `state`: public.
    package struct ID: Sendable, Hashable {
        package let session: LinkSessionID
        package let stateDigest: SHA256Digest

        package init(session: LinkSessionID, stateDigest: SHA256Digest) {
            self.session = session
            self.stateDigest = stateDigest
        }
    }

    package enum Outcome: Sendable {
        /// - Parameter account: as the user is shown it, masked.
        case signedIn(SupplierIdentity, account: String)
        case declined
        case failed
    }

    /// What became of beginning one.
    package enum Start: Sendable {
        /// The session is open no more, or has had ``SignInRepository/limit`` answers or
        /// ``SignInRepository/startLimit`` beginnings.
        case refused
        case first
        /// The session has had one at this supplier already.
        case again
    }

    package let id: ID
    package let supplier: Supplier.Slug
    package let language: Language
    /// Whether the supplier's callback has come.
    package let hasCallback: Bool
    /// It came a moment ago, so that what comes of it may still be under way.
    package let isCallbackBeingProcessed: Bool
    package let outcome: Outcome?
}

/// Every statement of the service on the table sign_ins. Each names one session.
package struct SignInRepository: Sendable {
    /// How many answers of suppliers a session's user has: what was begun and never came back is no try of the user's,
    /// since scanners post forms too.
    package static let limit = 10
    /// How often a session's user may begin, whatever comes of it.
    package static let startLimit = 100

    private let database: DatabaseAccess
    private let controlPlane: ControlPlaneCache

    /// - Parameter serviceClass: with whom its callers wait.
    package init(
        database: DatabaseClient, as serviceClass: ServiceClass = .first, controlPlane: ControlPlaneCache
    ) {
        self.database = DatabaseAccess(client: database, serviceClass: serviceClass)
        self.controlPlane = controlPlane
    }

    /// A sign-in and its session.
    package func find(
        _ id: SignIn.ID, until deadline: Deadline
    ) async throws(RepositoryError) -> (signIn: SignIn, snapshot: LinkSessionSnapshot)? {
        let found = try await database.answer(Self.find, id, until: deadline).mapError(RepositoryError.init).get()
        guard let (signIn, session) = found else { return nil }
        let owner = try controlPlane.manufacturer(session.session.manufacturer)
        return (signIn, LinkSessionSnapshot(session, of: owner))
    }

    /// Begins a sign-in of an open session.
    package func start(
        _ id: SignIn.ID, at supplier: Supplier.Slug, in language: Language, requestID: String, until deadline: Deadline
    ) async throws(RepositoryError) -> SignIn.Start {
        try await database.answer(
            Self.start, Self.parameters(id, requestID) + [.text(supplier.text), .text(language.rawValue)],
            until: deadline)
    }

    /// Records that the supplier's callback has come.
    ///
    /// - Parameter callbackID: a random text that names this callback, so that it may be recorded again after a lost
    ///   reply.
    /// - Returns: whether this is the first one: it counts, and no other ever does.
    package func recordCallback(
        _ id: SignIn.ID, callbackID: String, until deadline: Deadline
    ) async throws(RepositoryError) -> Bool {
        try await database.answer(Self.recordCallback, Self.parameters(id, callbackID), until: deadline)
    }

    /// Records what came of a sign-in whose callback was recorded.
    ///
    /// - Parameters:
    ///   - refusal: the reason, where nobody signed in.
    ///   - detail: what the other side said: at most 300 characters, without control characters.
    package func conclude(
        _ id: SignIn.ID, _ outcome: SignIn.Outcome, because refusal: SignInRefusal? = nil, detail: String? = nil,
        requestID: String, until deadline: Deadline
    ) async throws(RepositoryError) {
        let (name, identity, account): (String, SupplierIdentity?, String?) =
            switch outcome {
            case .signedIn(let identity, let account): ("signed_in", identity, account)
            case .declined: ("declined", nil, nil)
            case .failed: ("failed", nil, nil)
            }
        try await database.answer(
            Self.conclude,
            Self.parameters(id, requestID) + [
                .text(name), .text(identity?.userID), .text(account), .text(refusal?.rawValue), .text(detail),
            ], until: deadline)
    }

    /// `$1` to `$4` of the statements that change a sign-in.
    private static func parameters(_ id: SignIn.ID, _ requestID: String) -> [Parameter] {
        LinkSessionRepository.parameters(id.session, requestID) + [.blob(id.stateDigest.bytes)]
    }

    /// As sessions are found: each caller has a result of its own.
    private static let find = GroupedQuery<SignIn.ID, Result<(SignIn, StoredLinkSession)?, DatabaseError>>(
        "find_sign_ins",
        """
        SELECT \(SignIn.columns), \(StoredLinkSession.columns(now: "s.now"))
        FROM unnest($1::uuid[], $5::bytea[]) AS asked (id, state_hash), LATERAL (
            SELECT *, clock_timestamp() AS now FROM link_sessions
            WHERE id = asked.id AND id BETWEEN $2::uuid AND $3::uuid AND shard = ANY ($4::smallint[])
        ) AS s JOIN sign_ins a ON a.session_id = s.id AND a.shard = s.shard
        WHERE a.session_id BETWEEN $2::uuid AND $3::uuid AND a.shard = ANY ($4::smallint[])
          AND a.state_hash = asked.state_hash
        """,
        maxBatchSize: 256, maxConcurrentBatches: 1,
        encode: { inputs in
            Parameter.sessions(inputs.map(\.session)) + [.blobs(inputs.map(\.stateDigest.bytes))]
        },
        decode: { result, inputs throws(DatabaseError) in
            try result.found(by: inputs) { (row) throws(DatabaseError) in
                SignIn.ID(session: try row.linkSessionID(), stateDigest: try row.digest())
            } read: { (row, id) throws(DatabaseError) in
                (try row.signIn(id), try row.storedLinkSession())
            }
        })

    /// The row of the session decides how many were begun: whoever waits for it judges the number anew. Those that were
    /// answered are counted as they were when the statement began: a few at once may be begun beyond the limit. Sent
    /// again after a lost reply, the sign-in is begun already.
    private static let start = Query<SignIn.Start>(
        "start_sign_in",
        """
        \(LinkSessionRepository.locked), known AS MATERIALIZED (
            SELECT count(*) FILTER (WHERE state_hash = $4::bytea) AS count, count(answered_at) AS answers,
                   count(*) FILTER (WHERE state_hash <> $4::bytea AND supplier = $5::text) AS others
            FROM sign_ins WHERE session_id = $1::uuid AND shard = $2::smallint
        ), changed AS (
            UPDATE link_sessions t SET sign_ins = j.sign_ins + 1 FROM j, known
            WHERE t.id = $1::uuid AND t.shard = $2::smallint AND j.is_open AND j.sign_ins < \(startLimit)
              AND known.answers < \(limit) AND known.count = 0
            RETURNING t.id
        ), sign_in AS (
            INSERT INTO sign_ins (session_id, shard, state_hash, supplier, language)
            SELECT j.id, j.shard, $4::bytea, $5::text, $6::text FROM j WHERE EXISTS (SELECT 1 FROM changed)
            ON CONFLICT DO NOTHING
        )\(LinkSessionRepository.recording(
            "SELECT 'sign_in_started', NULL::text WHERE EXISTS (SELECT 1 FROM changed)", at: "$5::text"))
        SELECT EXISTS (SELECT 1 FROM changed) OR known.count > 0, known.others > 0 FROM known
        """,
        readOne: { (row) throws(DatabaseError) in
            let (isStarted, isAgain) = (try row.bool(), try row.bool())
            return !isStarted ? .refused : isAgain ? .again : .first
        })

    private static let recordCallback = Query<Bool>(
        "record_sign_in_callback",
        """
        WITH timed AS MATERIALIZED (
            SELECT clock_timestamp() AS now
        ), answered AS (
            UPDATE sign_ins SET answered_at = coalesce(answered_at, timed.now), answered_by = $3::text FROM timed
            WHERE session_id = $1::uuid AND shard = $2::smallint AND state_hash = $4::bytea
              AND (answered_at IS NULL OR answered_by = $3::text) AND outcome IS NULL
            RETURNING state_hash
        )
        SELECT count(*) > 0 FROM answered
        """,
        readOne: { (row) throws(DatabaseError) in try row.bool() })

    private static let conclude = Query<Void>(
        "conclude_sign_in",
        """
        WITH j AS MATERIALIZED (
            SELECT id, shard, manufacturer_id FROM link_sessions
            WHERE id = $1::uuid AND shard = $2::smallint FOR KEY SHARE
        ), concluded AS (
            UPDATE sign_ins SET outcome = $5::text, supplier_user_id = $6::text, account = $7::text FROM j
            WHERE session_id = $1::uuid AND sign_ins.shard = $2::smallint AND state_hash = $4::bytea
              AND answered_at IS NOT NULL AND outcome IS NULL
            RETURNING supplier
        )\(LinkSessionRepository.recording(
            "SELECT CASE WHEN $8::text IS NULL THEN 'signed_in' ELSE 'sign_in_refused' END, $8::text",
            detail: "$9::text", at: "(SELECT supplier FROM concluded)"))
        SELECT 1
        """)
}

extension SignIn {
    /// What ``PostgresClient/Row/signIn()`` reads of a sign-in `a`.
    fileprivate static let columns = """
        a.session_id, a.state_hash, a.supplier, a.language, a.answered_at IS NOT NULL, \
        coalesce(a.answered_at > clock_timestamp() - interval '20 seconds', false), \
        a.outcome, a.supplier_user_id, a.account
        """
}

extension Row {
    /// - Parameter id: was read already.
    fileprivate mutating func signIn(_ id: SignIn.ID) throws(DatabaseError) -> SignIn {
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
