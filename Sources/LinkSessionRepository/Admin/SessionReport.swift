// A user's link sessions with what happened to them, for support.

package import LinkSessions
internal import PostgresClient

package struct SessionReport: Sendable {
    package let tokenDigest: SHA256Digest
    package let session: LinkSession
    package fileprivate(set) var events: [SessionEvent] = []
}

package struct SessionEvent: Sendable {
    package let event: String
    package let reason: String?
    package let requestID: String
    package let occurredAt: UnixSeconds
}

extension SessionReport {
    /// The oldest first; `nil` where there is no such manufacturer.
    static let ofUser = Query<(DisplayText, ManufacturerUserID), [SessionReport]?>(
        Statement(
            "report_sessions",
            """
            SELECT s.token_hash, \(LinkSession.columnsWithManufacturer()), \(SessionEvent.columns)
            FROM manufacturers m
            LEFT JOIN link_sessions s ON s.manufacturer_id = m.id AND s.user_id = $2::text
            LEFT JOIN link_session_events e ON e.token_hash = s.token_hash
            WHERE m.name = $1::text
            ORDER BY s.created_at, s.token_hash, e.occurred_at, e.event
            """),
        encode: AdminRepository.encodeUser,
        decode: { result throws(DatabaseError) in
            guard result.rowCount > 0 else { return nil }
            var sessions: [SessionReport] = []
            try result.forEachRow { (row) throws(DatabaseError) in
                guard let digest = try row.optionalDigest() else { return row.skipRest() }
                let session = try row.linkSession()
                if sessions.last?.tokenDigest != digest {
                    sessions.append(SessionReport(tokenDigest: digest, session: session))
                }
                guard let event = try row.sessionEvent() else { return }
                sessions[sessions.count - 1].events.append(event)
            }
            return sessions
        })
}

extension SessionEvent {
    fileprivate static let columns = "e.event, e.reason, e.request_id, e.occurred_at"
}

extension Row {
    /// - Returns: `nil` for a session without events.
    fileprivate mutating func sessionEvent() throws(DatabaseError) -> SessionEvent? {
        guard let event = try optionalText() else {
            skipRest()
            return nil
        }
        return SessionEvent(
            event: event, reason: try optionalText(), requestID: try text(), occurredAt: try unixSeconds())
    }
}
