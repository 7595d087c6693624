package import LinkSessions
internal import PostgresClient

/// How far sessions came.
package struct FunnelSteps: Sendable, Equatable {
    package static let names = [
        "created", "opened", "sign_in_begun", "came_back", "signed_in", "confirmed", "completed",
        "confirmed_by_backend",
    ]

    /// How many sessions came to each of the steps.
    package fileprivate(set) var counts = [Int64](repeating: 0, count: names.count)
    /// How many sessions ended how; the sum is that of those created.
    package fileprivate(set) var ends: [String: Int64] = [:]

    fileprivate mutating func add(_ row: FunnelRow) {
        for index in counts.indices { counts[index] += row.counts[index] }
        ends[row.end, default: 0] += row.counts[0]
    }
}

/// What became of the sessions that were made within a time.
package struct FunnelReport: Sendable {
    package let since: UnixSeconds
    package let until: UnixSeconds
    package fileprivate(set) var all = FunnelSteps()
    /// By the session's language.
    package fileprivate(set) var byLanguage: [String: FunnelSteps] = [:]
    /// Of the sessions whose users began, or were to begin, to sign in there: a session can be at several.
    package fileprivate(set) var bySupplier: [String: FunnelSteps] = [:]
}

/// Sessions that ended alike.
private struct FunnelRow: Sendable {
    let language: String
    /// At which their users began, or were to begin, to sign in; `nil` where it was none or not one alone.
    let supplier: String?
    let end: String
    let counts: [Int64]
    /// Those of them that have to be judged for each of their suppliers apart.
    let atSeveral: [LinkSessionID]
}

extension AdminRepository {
    /// What became of sessions. That it was asked for is recorded.
    ///
    /// - Parameters:
    ///   - seconds: those of so many seconds until now.
    ///   - manufacturer: its sessions alone.
    ///   - supplier: sessions whose users began to sign in there alone, and what became of them there.
    package func funnel(
        ofSeconds seconds: Int64, manufacturer: Manufacturer.ID?, supplier: Supplier.Slug?
    ) async throws(AdminError) -> FunnelReport {
        try await onThread { connection throws(ConnectionError) in
            try connection.record("funnel", of: manufacturer, supplier)
            let now = try connection.run(FunnelReport.now, until: .now + Self.longest)
            var report = FunnelReport(since: now - seconds, until: now)
            // A day lies in one partition: its sessions and events fit into memory, and are joined there.
            var begin = report.since
            while begin <= now {
                let end = min((begin / 86_400 + 1) * 86_400, now + 1)
                let parameters: [Parameter] = [.number(begin), .number(end), .number(manufacturer?.number ?? 0)]
                try report.add(parameters, supplier, from: &connection)
                begin = end
            }
            return report
        }
    }
}

extension FunnelReport {
    fileprivate mutating func add(
        _ parameters: [Parameter], _ supplier: Supplier.Slug?, from connection: inout Connection
    ) throws(ConnectionError) {
        var atSeveral: [LinkSessionID] = []
        let query = supplier == nil ? Self.ofSessions : Self.atSupplier
        let further: [Parameter] = supplier.map { [.text($0.text)] } ?? []
        for row in try connection.run(query, parameters + further, until: .now + AdminRepository.longest) {
            all.add(row)
            byLanguage[row.language, default: FunnelSteps()].add(row)
            if let supplier = row.supplier { bySupplier[supplier, default: FunnelSteps()].add(row) }
            atSeveral += row.atSeveral
        }
        guard !atSeveral.isEmpty else { return }
        let rows = try connection.run(
            Self.ofSuppliers, parameters + [.uuids(atSeveral.map(\.bytes))], until: .now + AdminRepository.longest)
        for row in rows {
            if let supplier = row.supplier { bySupplier[supplier, default: FunnelSteps()].add(row) }
        }
    }

    fileprivate static let now = Query<Int64>(
        "funnel_now", "SELECT extract(epoch FROM statement_timestamp())::bigint",
        readOne: { (row) throws(DatabaseError) in try row.int64() })

    /// A session is judged once.
    private static let ofSessions = query(
        "sessions", "LEFT JOIN", by: "", reading: "min(supplier), max(supplier), bool_or(supplier IS NULL)",
        where: "true",
        isOfOne: """
            t.supplier = t.last_supplier AND NOT t.has_others
            AND (s.completed_at IS NULL OR s.supplier IS NOT DISTINCT FROM t.supplier)
            """)

    /// A session is judged at each supplier of those named.
    private static let atSupplier = query(
        "sessions_at_supplier", "JOIN", by: ", supplier", reading: "supplier, supplier, false",
        where: "supplier = $4::text", isOfOne: "true")
    private static let ofSuppliers = query(
        "suppliers", "JOIN", by: ", supplier", reading: "supplier, supplier, false",
        where: "supplier IS NOT NULL AND session_id = ANY ($4::uuid[])", isOfOne: "true")

    /// Why a sign-in came to nothing before the user left for the supplier.
    private static let refusedBefore = [
        SignInRefusal.crossOrigin, .tooManySignIns, .supplierUnknown, .supplierNotOffered,
    ].map { "'\($0.rawValue)'" }.joined(separator: ", ")

    /// The latest reason of an event, behind its time in microseconds, which has 16 digits until the year 2286.
    private static func latestReason(of event: String) -> String {
        """
        max((extract(epoch FROM occurred_at) * 1000000)::bigint || reason) FILTER (WHERE event = '\(event)')
        """
    }

    /// - Parameters:
    ///   - join: of sessions with what happened at suppliers.
    ///   - key: by what else than the session that is grouped.
    ///   - suppliers: the first, the last, and whether there were events at none.
    ///   - condition: on events.
    ///   - isOfOne: whether what became of the session is what became of it at its supplier.
    private static func query(
        _ name: String, _ join: String, by key: String, reading suppliers: String, where condition: String,
        isOfOne: String
    ) -> Query<[FunnelRow]> {
        Query(
            "report_funnel_of_\(name)",
            """
            SELECT language, CASE WHEN is_of_one THEN at_supplier END AS at_one, ended, count(*),
                   count(*) FILTER (WHERE is_opened), count(*) FILTER (WHERE has_begun), count(*) FILTER (WHERE came_back),
                   count(*) FILTER (WHERE signed_in),
                   count(*) FILTER (WHERE is_completed AND completed_by IS NOT NULL OR signed_in AND refused_to_complete IS NOT NULL),
                   count(*) FILTER (WHERE is_completed), count(*) FILTER (WHERE is_completed AND confirmed_at IS NOT NULL),
                   coalesce(array_agg(id::text) FILTER (WHERE at_supplier IS NOT NULL AND NOT is_of_one), '{}')
            FROM (
                SELECT r.*, CASE
                    WHEN is_completed THEN 'completed'
                    WHEN completed_at IS NOT NULL THEN 'completed_at_another_supplier'
                    WHEN expires_at > statement_timestamp() THEN 'open'
                    WHEN refused_to_complete IS NOT NULL THEN 'completion_refused_' || substr(refused_to_complete, 17)
                    WHEN signed_in THEN 'not_confirmed'
                    WHEN refused IS NOT NULL THEN substr(refused, 17)
                    WHEN expires_at < created_at + interval '\(LinkSession.lifetimeInSeconds) seconds' THEN 'expired_by_manufacturer'
                    WHEN has_begun THEN 'left_at_supplier'
                    WHEN is_opened THEN 'no_sign_in_begun'
                    ELSE 'never_opened' END AS ended
                FROM (
                    SELECT s.id, s.language, t.supplier AS at_supplier, (\(isOfOne)) AS is_of_one, s.created_at,
                           s.expires_at, s.completed_at, s.completed_by, s.confirmed_at,
                           s.completed_at IS NOT NULL AND \(
                               join == "JOIN" ? "s.supplier IS NOT DISTINCT FROM t.supplier" : "true") AS is_completed,
                           s.opened_at IS NOT NULL AS is_opened, t.began_at IS NOT NULL AS has_begun,
                           t.signed_in IS TRUE OR t.came_back_at >= t.began_at AS came_back,
                           t.signed_in IS TRUE AS signed_in, t.refused, t.refused_to_complete
                    FROM link_sessions s \(join) (
                        SELECT session_id, shard, \(suppliers),
                               min(occurred_at) FILTER (WHERE event = 'sign_in_started'),
                               max(occurred_at) FILTER (
                                   WHERE event = 'sign_in_refused' AND reason NOT IN (\(refusedBefore))),
                               bool_or(event = 'signed_in'), \(latestReason(of: "sign_in_refused")),
                               \(latestReason(of: "completion_refused"))
                        FROM link_session_events
                        WHERE session_id >= first_id_at(to_timestamp($1::bigint))
                          AND session_id < first_id_at(to_timestamp($2::bigint))
                          AND event IN ('sign_in_started', 'signed_in', 'sign_in_refused', 'completion_refused')
                          AND ($3::bigint = 0 OR manufacturer_id = $3::bigint) AND \(condition)
                        GROUP BY session_id, shard\(key)
                    ) AS t (
                        session_id, shard, supplier, last_supplier, has_others, began_at, came_back_at, signed_in, refused,
                        refused_to_complete
                    ) ON t.session_id = s.id AND t.shard = s.shard
                    WHERE s.id >= first_id_at(to_timestamp($1::bigint)) AND s.id < first_id_at(to_timestamp($2::bigint))
                      AND ($3::bigint = 0 OR s.manufacturer_id = $3::bigint)
                ) AS r
            ) AS judged
            GROUP BY language, at_one, ended
            """,
            readEach: { (row) throws(DatabaseError) in
                let (language, supplier, end) = (try row.text(), try row.optionalText(), try row.text())
                var counts: [Int64] = []
                for _ in FunnelSteps.names { counts.append(try row.int64()) }
                return FunnelRow(
                    language: language, supplier: supplier, end: end, counts: counts,
                    atSeveral: try row.texts().compactMap { LinkSessionID($0) })
            })
    }
}
