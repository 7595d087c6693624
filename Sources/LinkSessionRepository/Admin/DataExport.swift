package import LinkSessions
internal import PostgresClient

/// All that is known of a data subject.
package struct DataExport: Sendable {
    package let sessions: [SessionReport]
    package let signIns: [SignInReport]
    package let noxUsers: [NOXUserReport]

    package var isEmpty: Bool { sessions.isEmpty && signIns.isEmpty && noxUsers.isEmpty }
}

package struct SignInReport: Sendable {
    package let session: LinkSessionID
    package let supplier: String
    package let language: String
    package let startedAt: UnixSeconds
    package let answeredAt: UnixSeconds?
    package let outcome: String?
    package let supplierUserID: String?
    package let account: String?
}

package struct NOXUserReport: Sendable {
    package let manufacturer: Manufacturer.ID
    package let userID: String
    package let id: String
    package let createdAt: UnixSeconds
    /// Such as `2026-11-27`.
    package let lastLinkedOn: String
}

extension AdminRepository {
    /// That it was read is recorded.
    package func export(_ subject: DataSubject) async throws(AdminError) -> DataExport {
        try await onThread { connection throws(ConnectionError) in
            try connection.record("export user", of: subject)
            let sessions = try SessionReport.all(of: subject, on: &connection)
            let ids = sessions.map(\.session.id)
            var users = sessions.map { ($0.session.manufacturer.number, $0.session.userID.text) }
            var account: SupplierIdentity?
            switch subject {
            case .user(let userID, let manufacturer): users.append((manufacturer.number, userID.text))
            case .account(let identity): account = identity
            }
            let signIns = try connection.run(
                SignInReport.ofSessionsOrAccount,
                [.uuids(ids.map(\.bytes)), .text(account?.userID), .text(account?.supplier.text)],
                until: .now + Self.longest)
            let noxUsers = try connection.run(
                NOXUserReport.ofUsers, [.numbers(users.map(\.0)), .texts(users.map(\.1))], until: .now + Self.longest)
            return DataExport(sessions: sessions, signIns: signIns, noxUsers: noxUsers)
        }
    }
}

extension SignInReport {
    fileprivate static let ofSessionsOrAccount = Query<[SignInReport]>(
        "report_sign_ins",
        """
        SELECT session_id, supplier, language, started_at, answered_at, outcome, supplier_user_id, account FROM sign_ins
        WHERE session_id = ANY ($1::uuid[]) OR (supplier_user_id = $2::text AND supplier = $3::text)
        ORDER BY session_id, started_at
        """,
        readEach: { (row) throws(DatabaseError) in
            SignInReport(
                session: try row.linkSessionID(), supplier: try row.text(), language: try row.text(),
                startedAt: try row.unixSeconds(), answeredAt: try row.optionalUnixSeconds(),
                outcome: try row.optionalText(), supplierUserID: try row.optionalText(),
                account: try row.optionalText())
        })
}

extension NOXUserReport {
    fileprivate static let ofUsers = Query<[NOXUserReport]>(
        "report_nox_users",
        """
        SELECT manufacturer_id, user_id, id::text, created_at, last_linked_on::text FROM nox_users
        WHERE (manufacturer_id, user_id) IN (SELECT * FROM unnest($1::bigint[], $2::text[]))
        ORDER BY manufacturer_id, user_id
        """,
        readEach: { (row) throws(DatabaseError) in
            NOXUserReport(
                manufacturer: Manufacturer.ID(try row.int64()), userID: try row.text(), id: try row.text(),
                createdAt: try row.unixSeconds(), lastLinkedOn: try row.text())
        })
}
