package import LinkSessions
internal import PostgresClient

/// What an operator did, or whose data he read.
package struct OperatorAction: Sendable {
    package let occurredAt: UnixSeconds
    /// Whom PostgreSQL let in.
    package let login: String
    /// Who ran the program on its machine, as the program says.
    package let osUser: String?
    package let program: String
    package let action: String
    package let subject: String?

    fileprivate static let ofDays = Query<[OperatorAction]>(
        "report_operator_actions",
        """
        SELECT occurred_at, login, os_user, program, action, subject FROM operator_actions
        WHERE occurred_at > clock_timestamp() - make_interval(days => $1::bigint::integer) ORDER BY occurred_at, id
        """,
        readEach: { (row) throws(DatabaseError) in
            OperatorAction(
                occurredAt: try row.unixSeconds(), login: try row.text(), osUser: try row.optionalText(),
                program: try row.text(), action: try row.text(), subject: try row.optionalText())
        })
}

extension AdminRepository {
    /// Those of the last so many days, the oldest first.
    package func operatorActions(ofDays days: Int) async throws(AdminError) -> [OperatorAction] {
        try await run(OperatorAction.ofDays, [.number(Int64(days))])
    }
}

extension Connection {
    /// Before anything is read: who asks is known, whatever becomes of the answer. The user's id is not recorded.
    mutating func record(_ action: String, of subject: DataSubject) throws(ConnectionError) {
        switch subject {
        case .user(_, let manufacturer): try record(action, of: manufacturer, nil)
        case .account(let identity): try record(action, of: nil, identity.supplier)
        }
    }

    mutating func record(
        _ action: String, of manufacturer: Manufacturer.ID?, _ supplier: Supplier.Slug?
    ) throws(ConnectionError) {
        // No manufacturer has the number 0.
        let parameters: [Parameter] = [.text(action), .number(manufacturer?.number ?? 0), .text(supplier?.text)]
        try run(Self.recordAction, parameters, until: .now + AdminRepository.longest)
    }

    private static let recordAction = Query<Void>(
        "record_operator_action", "SELECT record_operator_action($1::text, $2::bigint, $3::text)")
}
