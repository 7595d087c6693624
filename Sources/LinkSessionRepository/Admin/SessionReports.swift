package import LinkSessions
internal import PostgresClient

/// What an operator sees of a session.
package struct SessionReport: Sendable {
    package let session: LinkSession
    package fileprivate(set) var events: [SessionEvent] = []
}

package struct SessionEvent: Sendable {
    package let event: String
    package let reason: String?
    /// What the other side said.
    package let detail: String?
    package let requestID: String
    /// The name of the Authenticator's key that it was done with, if it was.
    package let authenticatorKey: String?
    package let occurredAt: UnixSeconds
}

extension SessionReport {
    /// The oldest first.
    static func all(
        of subject: DataSubject, on connection: inout Connection
    ) throws(ConnectionError) -> [SessionReport] {
        let sessions =
            switch subject {
            case .user: ofUser
            case .account: ofAccount
            }
        var reports = try connection.run(sessions, subject.parameters, until: .now + AdminRepository.longest)
        let ids = reports.map(\.session.id)
        let events = try connection.run(
            events, [.uuids(ids.map(\.bytes)), .blob(ids.first?.bytes), .blob(ids.last?.bytes)],
            until: .now + AdminRepository.longest)
        let eventsOfSession = Dictionary(grouping: events, by: \.0)
        for index in reports.indices {
            reports[index].events = eventsOfSession[reports[index].session.id, default: []].map(\.1)
        }
        return reports
    }

    private static let ofUser = sessions(
        """
        user_key(s.manufacturer_id, get_byte(uuid_send(s.id), 2) & 7, s.user_id) = ANY (user_keys($1::bigint, $2::text))
        AND s.manufacturer_id = $1::bigint AND s.user_id = $2::text
        """, of: "user")
    private static let ofAccount = sessions("s.supplier_user_id = $1::text AND s.supplier = $2::text", of: "account")

    private static func sessions(_ condition: String, of kind: String) -> Query<[SessionReport]> {
        Query(
            "report_sessions_of_\(kind)",
            "SELECT \(StoredLinkSession.columns()) FROM link_sessions s WHERE \(condition) ORDER BY s.id",
            readEach: { (row) throws(DatabaseError) in SessionReport(session: try row.storedLinkSession().session) })
    }

    private static let events = Query<[(LinkSessionID, SessionEvent)]>(
        "report_events",
        """
        SELECT e.session_id, e.event, e.reason, e.detail, e.request_id, e.authenticator_key, e.occurred_at FROM link_session_events e
        WHERE e.session_id = ANY ($1::uuid[]) AND e.session_id BETWEEN $2::uuid AND $3::uuid
        ORDER BY e.session_id, e.occurred_at, e.event
        """,
        readEach: { (row) throws(DatabaseError) in
            (
                try row.linkSessionID(),
                SessionEvent(
                    event: try row.text(), reason: try row.optionalText(), detail: try row.optionalText(),
                    requestID: try row.text(),
                    authenticatorKey: try row.optionalText(), occurredAt: try row.unixSeconds())
            )
        })
}
