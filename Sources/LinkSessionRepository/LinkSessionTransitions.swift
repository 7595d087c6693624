package import LinkSessions
package import PostgresClient

/// What a session's end and its confirmation are: each one statement, which first locks the row, then takes the time,
/// and judges the session as it is by that time. A plain UPDATE would judge a row that it had to wait for by the time
/// before the wait, unless the other transaction changed it. A clock that stepped back does not count.
extension LinkSessionRepository {
    /// Expires an open session now, which is recorded as an event; a completed or expired one stays as it is.
    ///
    /// - Returns: the session as it is afterwards; `nil` where there is none.
    package func expire(
        _ id: LinkSessionID, requestID: String, until deadline: Deadline
    ) async throws(RepositoryError) -> LinkSession? {
        try await end(Self.expire, Self.parameters(id, requestID), until: deadline)?.session
    }

    /// Records that the manufacturer's backend named the user whose session it is, within ten minutes of the
    /// completion. A session that is confirmed already stays as it is, and so does one that is another user's.
    ///
    /// - Parameter userID: `nil` where the code was wrong: then nothing is confirmed, and that is recorded.
    /// - Returns: the session as it is afterwards; `nil` where there is none.
    package func confirm(
        _ id: LinkSessionID, userID: ManufacturerUserID?, requestID: String, until deadline: Deadline
    ) async throws(RepositoryError) -> LinkSession? {
        try await database.answer(
            Self.confirm, Self.parameters(id, requestID) + [.text(userID?.text)], until: deadline)?.session
    }

    /// Completes an open session now; a completed session stays as it is, and so does an expired one. Of any number of
    /// racing calls one sets `completed_at`.
    ///
    /// - Parameter noxUser: `nil` where the session was found to be open no more.
    /// - Returns: the session as it is afterwards; `nil` where there is none.
    func complete(
        _ id: LinkSessionID, as identity: SupplierIdentity?, noxUser: [UInt8]?, signIn: SHA256Digest?,
        by authenticatorKey: String?, requestID: String, until deadline: Deadline
    ) async throws(RepositoryError) -> LinkSession? {
        try await end(
            Self.complete,
            Self.parameters(id, requestID) + [
                .blob(noxUser), .text(identity?.supplier.text), .text(identity?.userID), .blob(signIn?.bytes),
                .text(authenticatorKey),
            ], until: deadline)?.session
    }

    /// A transition that ends a session, once more where the session's end was recorded between its judgement and its
    /// own record: then it finds that its time is over.
    private func end(
        _ transition: Query<StoredLinkSession?>, _ parameters: [Parameter], until deadline: Deadline
    ) async throws(RepositoryError) -> StoredLinkSession? {
        do throws(DatabaseError) {
            return try await database.client.run(transition, parameters, as: database.serviceClass, until: deadline)
        } catch .refused(.uniqueViolation, _) {
            return try await database.answer(transition, parameters, until: deadline)
        } catch {
            throw RepositoryError(error)
        }
    }

    /// Finds the NOX user of a manufacturer's user, or makes it.
    ///
    /// - Returns: the 16 bytes of its id.
    func noxUser(
        of manufacturer: Manufacturer.ID, _ userID: ManufacturerUserID, until deadline: Deadline
    ) async throws(RepositoryError) -> [UInt8] {
        try await database.answer(Self.noxUser, [.number(manufacturer.number), .text(userID.text)], until: deadline)
    }

    /// Records that an open session's page was seen, or that the Authenticator looked, for the first time. Where somebody
    /// else is at work on the session for longer than a moment, it is not waited for: what comes of that is told, too. What
    /// is over in a moment may be this very statement on a connection that broke, and nothing came of it.
    ///
    /// - Parameter authenticatorKey: the name of the Authenticator's key that it was done with; `nil`: with none.
    package func open(
        _ id: LinkSessionID, by authenticatorKey: String? = nil, requestID: String, until deadline: Deadline
    ) async throws(RepositoryError) {
        for _ in 1...3 {
            guard
                try await !database.answer(
                    Self.open, Self.parameters(id, requestID) + [.text(authenticatorKey)], until: deadline)
            else { return }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Records an event of a session that exists.
    ///
    /// - Parameter authenticatorKey: the name of the Authenticator's key that it was done with; `nil`: with none.
    package func record(
        _ event: LinkSessionEvent, of id: LinkSessionID, by authenticatorKey: String? = nil, requestID: String,
        until deadline: Deadline
    ) async throws(RepositoryError) {
        try await database.answer(
            Self.record,
            Self.parameters(id, requestID) + [
                .text(event.name), .text(event.reason), .text(authenticatorKey), .text(event.detail),
                .text(event.supplier?.text),
            ],
            until: deadline)
    }
}

extension LinkSessionRepository {
    /// `$1` to `$3` of every statement on one session: which one, and the id of the request that asks.
    static func parameters(_ id: LinkSessionID, _ requestID: String) -> [Parameter] {
        [.blob(id.bytes), .shard(of: id), .text(requestID)]
    }

    /// The beginning of every transition: the session `j`, locked, with the time at which it is judged and what follows
    /// from it. Computed here, since a node of a distributed table takes no volatile function in an UPDATE.
    static let locked = locked(orElse: "")

    /// - Parameter whatElse: what to do where the row is locked by another transaction.
    private static func locked(orElse whatElse: String) -> String {
        """
        WITH s AS MATERIALIZED (
            SELECT * FROM link_sessions WHERE id = $1::uuid AND shard = $2::smallint FOR NO KEY UPDATE \(whatElse)
        ), timed AS MATERIALIZED (
            -- A session that is told to be over stays so when the clock steps back.
            SELECT s.*, CASE WHEN EXISTS (
                SELECT 1 FROM link_session_events
                WHERE session_id = $1::uuid AND shard = $2::smallint AND event IN ('expired', 'expired_early'))
                THEN greatest(clock_timestamp(), s.expires_at) ELSE clock_timestamp() END AS now
            FROM s
        ), j AS MATERIALIZED (
            SELECT timed.*, date_trunc('second', now) AS second, completed_at IS NULL AND expires_at > now AS is_open,
                   completed_at + interval '\(LinkSession.resultLifetimeInSeconds) seconds' > now AS is_fresh
            FROM timed
        )
        """
    }

    /// The end of what records events: at most 100 of a kind and reason a session, so that a caller who tries again
    /// for ever fills no disk and hides nothing else.
    ///
    /// - Parameters:
    ///   - events: selects the names and reasons of those that happened to the session `j`.
    ///   - authenticatorKey: the name of the Authenticator's key that they were done with.
    ///   - detail: what the other side said.
    ///   - supplier: where the user began, or was to begin, to sign in.
    static func recording(
        _ events: String, by authenticatorKey: String = "NULL::text", detail: String = "NULL::text",
        at supplier: String = "NULL::text"
    ) -> String {
        """
        , full_kind AS MATERIALIZED (
            SELECT event, reason FROM link_session_events WHERE session_id = $1::uuid AND shard = $2::smallint
            GROUP BY event, reason HAVING count(*) >= 100
        ), event AS (
            INSERT INTO link_session_events
                (session_id, shard, manufacturer_id, event, reason, detail, supplier, request_id, authenticator_key, position)
            SELECT j.id, j.shard, j.manufacturer_id, e.event, e.reason, \(detail), \(supplier), $3::text,
                   \(authenticatorKey), CASE WHEN \(FeedEvent.isForFeed) THEN 0 END
            FROM j, LATERAL (\(events)) AS e (event, reason)
            WHERE NOT EXISTS (
                SELECT 1 FROM full_kind f WHERE f.event = e.event AND f.reason IS NOT DISTINCT FROM e.reason)
            -- Sent again. That the session has another end already, beside this one, is an error.
            ON CONFLICT (session_id, shard, event, request_id) DO NOTHING
        )
        """
    }

    /// - Parameters:
    ///   - change: sets columns of the session `t` from `j`, where the change is due.
    ///   - columns: those that it sets.
    private static func transition(
        _ name: String, _ change: String, of columns: [String], by authenticatorKey: String = "NULL::text",
        at supplier: String = "NULL::text", recording events: String
    ) -> Query<StoredLinkSession?> {
        Query(
            name,
            """
            \(locked), changed AS (
                UPDATE link_sessions t SET \(change) AND t.id = $1::uuid AND t.shard = $2::smallint
                RETURNING \(columns.map { "t.\($0)" }.joined(separator: ", "))
            )\(recording(events, by: authenticatorKey, at: supplier))
            SELECT \(StoredLinkSession.columns(changed: columns, now: "s.now"))
            FROM j AS s LEFT JOIN changed ON true
            """,
            readOptional: { (row) throws(DatabaseError) in try row.storedLinkSession() })
    }

    /// False where the row is locked.
    private static let open = Query<Bool>(
        "open_link_session",
        """
        \(locked(orElse: "SKIP LOCKED")), changed AS (
            UPDATE link_sessions t SET opened_at = greatest(j.created_at, j.second) FROM j
            WHERE j.is_open AND j.opened_at IS NULL AND t.id = $1::uuid AND t.shard = $2::smallint
            RETURNING t.id
        )\(recording("SELECT 'opened', NULL::text WHERE EXISTS (SELECT 1 FROM changed)", by: "$4::text"))
        SELECT EXISTS (SELECT 1 FROM j)
        """, readOne: { (row) throws(DatabaseError) in try row.bool() })

    private static let expire = transition(
        "expire_link_session", "expires_at = greatest(j.created_at, j.second) FROM j WHERE j.is_open",
        of: ["expires_at"],
        recording: "SELECT 'expired_early', NULL::text WHERE EXISTS (SELECT 1 FROM changed)")

    private static let confirm = transition(
        "confirm_link_session",
        """
        confirmed_at = greatest(j.completed_at, j.second) FROM j
        WHERE j.user_id = $4::text AND j.confirmed_at IS NULL AND j.nox_user_id IS NOT NULL AND j.is_fresh
        """,
        of: ["confirmed_at"],
        recording: """
            SELECT 'confirmed', NULL::text WHERE EXISTS (SELECT 1 FROM changed)
            UNION ALL
            SELECT 'confirmation_refused',
                   CASE WHEN j.completed_at IS NULL THEN 'not_completed'
                        WHEN j.user_id IS DISTINCT FROM $4::text THEN 'user_or_code_wrong'
                        ELSE 'code_expired' END
            WHERE NOT EXISTS (SELECT 1 FROM changed)
              AND (j.confirmed_at IS NULL OR j.user_id IS DISTINCT FROM $4::text)
            """)

    private static let complete = transition(
        "complete_link_session",
        """
        completed_at = greatest(j.created_at, j.second), nox_user_id = $4::uuid, supplier = $5::text,
        supplier_user_id = $6::text, completed_by = $7::bytea FROM j WHERE j.is_open AND $4::uuid IS NOT NULL
        """,
        of: ["completed_at", "nox_user_id", "supplier", "supplier_user_id", "completed_by"], by: "$8::text",
        at: "$5::text",
        recording: """
            SELECT 'completed', NULL::text WHERE EXISTS (SELECT 1 FROM changed)
            UNION ALL
            SELECT 'completion_refused', 'expired' WHERE j.completed_at IS NULL AND NOT EXISTS (SELECT 1 FROM changed)
            UNION ALL
            SELECT 'completion_refused', 'completed_by_another'
            WHERE j.completed_at IS NOT NULL
              AND (j.supplier, j.supplier_user_id) IS DISTINCT FROM ($5::text, $6::text)
            """)

    private static let noxUser = Query<[UInt8]>(
        "nox_user",
        """
        INSERT INTO nox_users AS u (manufacturer_id, user_id) VALUES ($1::bigint, $2::text)
        -- DO NOTHING would not return the row that is there.
        ON CONFLICT (manufacturer_id, user_id)
            DO UPDATE SET last_linked_on = greatest(u.last_linked_on, excluded.last_linked_on)
        RETURNING uuid_send(id)
        """,
        readOne: { (row) throws(DatabaseError) in try row.blob() })

    private static let record = Query<Void>(
        "record_link_session_event",
        """
        WITH j AS MATERIALIZED (
            SELECT id, shard, manufacturer_id FROM link_sessions
            WHERE id = $1::uuid AND shard = $2::smallint FOR KEY SHARE
        )\(recording("SELECT $4::text, $5::text", by: "$6::text", detail: "$7::text", at: "$8::text"))
        SELECT 1
        """)
}
