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

/// Sessions of one key that ended alike.
private struct FunnelRow: Sendable {
    let key: String
    let end: String
    let counts: [Int64]
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
                let parameters: [Parameter] = [
                    .number(begin), .number(end), .number(manufacturer?.number ?? 0), .text(supplier?.text),
                ]
                let ofLanguages = supplier == nil ? FunnelReport.ofLanguages : FunnelReport.ofLanguagesAtSupplier
                for row in try connection.run(ofLanguages, parameters, until: .now + Self.longest) {
                    report.all.add(row)
                    report.byLanguage[row.key, default: FunnelSteps()].add(row)
                }
                for row in try connection.run(FunnelReport.ofSuppliers, parameters, until: .now + Self.longest) {
                    report.bySupplier[row.key, default: FunnelSteps()].add(row)
                }
                begin = end
            }
            return report
        }
    }
}

extension FunnelReport {
    fileprivate static let now = Query<Int64>(
        "funnel_now", "SELECT extract(epoch FROM statement_timestamp())::bigint",
        readOne: { (row) throws(DatabaseError) in try row.int64() })

    fileprivate static let ofLanguages = query("languages", by: "s.language", isOfSuppliers: false)
    fileprivate static let ofLanguagesAtSupplier = query("languages_at_supplier", by: "s.language", isOfSuppliers: true)
    fileprivate static let ofSuppliers = query("suppliers", by: "t.supplier", isOfSuppliers: true)

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

    /// - Parameter isOfSuppliers: a row a session and supplier at which its user began, or was to begin, to sign in.
    private static func query(_ name: String, by key: String, isOfSuppliers: Bool) -> Query<[FunnelRow]> {
        let isCompleted = isOfSuppliers ? "s.supplier IS NOT DISTINCT FROM t.supplier" : "true"
        return Query(
            "report_funnel_of_\(name)",
            """
            SELECT key, ended, count(*), count(*) FILTER (WHERE is_opened), count(*) FILTER (WHERE has_begun),
                   count(*) FILTER (WHERE came_back), count(*) FILTER (WHERE signed_in),
                   count(*) FILTER (WHERE is_completed AND completed_by IS NOT NULL OR signed_in AND refused_to_complete IS NOT NULL),
                   count(*) FILTER (WHERE is_completed), count(*) FILTER (WHERE is_completed AND confirmed_at IS NOT NULL)
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
                    SELECT \(key) AS key, s.created_at, s.expires_at, s.completed_at, s.completed_by, s.confirmed_at,
                           s.completed_at IS NOT NULL AND \(isCompleted) AS is_completed,
                           s.opened_at IS NOT NULL AS is_opened, t.began_at IS NOT NULL AS has_begun,
                           t.signed_in IS TRUE OR t.came_back_at >= t.began_at AS came_back,
                           t.signed_in IS TRUE AS signed_in, t.refused, t.refused_to_complete
                    FROM link_sessions s \(isOfSuppliers ? "JOIN" : "LEFT JOIN") (
                        SELECT session_id, shard, \(isOfSuppliers ? "supplier," : "")
                               min(occurred_at) FILTER (WHERE event = 'sign_in_started') AS began_at,
                               max(occurred_at) FILTER (
                                   WHERE event = 'sign_in_refused' AND reason NOT IN (\(refusedBefore))) AS came_back_at,
                               bool_or(event = 'signed_in') AS signed_in, \(latestReason(of: "sign_in_refused")) AS refused,
                               \(latestReason(of: "completion_refused")) AS refused_to_complete
                        FROM link_session_events
                        WHERE session_id >= first_id_at(to_timestamp($1::bigint))
                          AND session_id < first_id_at(to_timestamp($2::bigint))
                          AND event IN ('sign_in_started', 'signed_in', 'sign_in_refused', 'completion_refused')
                          AND ($3::bigint = 0 OR manufacturer_id = $3::bigint)
                          AND \(isOfSuppliers ? "supplier IS NOT NULL AND ($4::text IS NULL OR supplier = $4::text)" : "$4::text IS NULL")
                        GROUP BY session_id, shard\(isOfSuppliers ? ", supplier" : "")
                    ) AS t ON t.session_id = s.id AND t.shard = s.shard
                    WHERE s.id >= first_id_at(to_timestamp($1::bigint)) AND s.id < first_id_at(to_timestamp($2::bigint))
                      AND ($3::bigint = 0 OR s.manufacturer_id = $3::bigint)
                ) AS r
            ) AS judged
            GROUP BY key, ended
            """,
            readEach: { (row) throws(DatabaseError) in
                let (key, end) = (try row.text(), try row.text())
                var counts: [Int64] = []
                for _ in FunnelSteps.names { counts.append(try row.int64()) }
                return FunnelRow(key: key, end: end, counts: counts)
            })
    }
}
