package import LinkSessions
package import PostgresClient

/// What an operator asks and does at the command line: reports, erasure and roles. Every call connects anew, and fails
/// with a line for the operator.
package struct AdminRepository: Sendable {
    private let address: DatabaseAddress

    package init(address: DatabaseAddress) {
        self.address = address
    }

    /// All manufacturers by name, each with all of its keys, the oldest first.
    package func manufacturers() async throws(AdminError) -> [ManufacturerReport] {
        try await run(ManufacturerReport.all)
    }

    /// All suppliers by slug.
    package func suppliers() async throws(AdminError) -> [SupplierReport] {
        try await run(SupplierReport.all)
    }

    /// The sessions of a manufacturer's user, the oldest first. An unknown manufacturer is a failure.
    package func sessions(of user: ManufacturerUserID, at manufacturer: DisplayText) async throws(AdminError)
        -> [SessionReport]
    {
        let sessions: [SessionReport]? = try await onThread { connection throws(ConnectionError) in
            func ask<Output>(_ query: Query<Output>, _ parameters: [Parameter]) throws(ConnectionError) -> Output {
                try connection.run(query, parameters, until: .now + Self.longest)
            }
            guard let number = try ask(SessionReport.manufacturer, [.text(manufacturer.text)]) else { return nil }
            var sessions = try ask(SessionReport.ofUser, [.number(number), .text(user.text)])
            let ids = sessions.map(\.session.id)
            let events = try ask(
                SessionReport.events, [.uuids(ids.map(\.bytes)), .blob(ids.first?.bytes), .blob(ids.last?.bytes)])
            let eventsOfSession = Dictionary(grouping: events, by: \.0)
            for index in sessions.indices {
                sessions[index].events = eventsOfSession[sessions[index].session.id, default: []].map(\.1)
            }
            return sessions
        }
        guard let sessions else { throw AdminError(line: "there is no manufacturer of this name") }
        return sessions
    }

    /// Deletes every trace of a manufacturer's user.
    package func erase(_ user: ManufacturerUserID, at manufacturer: DisplayText) async throws(AdminError)
        -> ErasureReceipt
    {
        try await run(Self.erasing, [.text(manufacturer.text), .text(user.text)])
    }

    /// Makes the roles that migrations grant rights to, where they do not exist.
    ///
    /// - Returns: those that were made.
    package func createRoles() async throws(AdminError) -> [DatabaseRole] {
        try await onThread { connection throws(ConnectionError) in
            var created: [DatabaseRole] = []
            for role in DatabaseRole.allCases {
                let wasThere = try connection.run(
                    DatabaseRole.exists, [.text(role.rawValue)], until: .now + Self.longest)
                try connection.execute(script: role.creation, until: .now + Self.longest)
                if !wasThere { created.append(role) }
            }
            return created
        }
    }

    private func run<Output>(
        _ query: Query<Output>, _ parameters: [Parameter] = []
    ) async throws(AdminError) -> Output {
        try await onThread { connection throws(ConnectionError) in
            try connection.run(query, parameters, until: .now + Self.longest)
        }
    }

    func onThread<Value: Sendable>(
        _ body: @escaping @Sendable (inout Connection) throws(ConnectionError) -> Value
    ) async throws(AdminError) -> Value {
        do throws(ConnectionError) {
            return try await Connection.onThread(to: address, applicationName: "link-session-admin", body) { $0 }
        } catch {
            throw AdminError(line: error.line)
        }
    }

    /// Reading a large table to its end takes its time.
    static let longest = Duration.seconds(600)

    private static let erasing = Query<ErasureReceipt>(
        "erase_user", "SELECT sessions, events, erased_at FROM erase_user($1::text, $2::text)",
        readOne: { (row) throws(DatabaseError) in
            ErasureReceipt(sessions: try row.int64(), events: try row.int64(), erasedAt: try row.unixSeconds())
        })
}

/// What was deleted of a manufacturer's user.
package struct ErasureReceipt: Sendable {
    package let sessions: Int64
    package let events: Int64
    package let erasedAt: UnixSeconds
}

/// What went wrong, as one line for the operator.
package struct AdminError: Error, Sendable {
    package let line: String
}
