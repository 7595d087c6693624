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

    /// What we are at a supplier's provider, and whether the supplier is enabled; an unknown one is a failure.
    package func client(of slug: Supplier.Slug) async throws(AdminError) -> (client: OpenIDClient, isEnabled: Bool) {
        guard let (isEnabled, supplier) = try await run(Self.supplierBySlug, [.text(slug.text)]) else {
            throw AdminError(line: "there is no supplier of this slug")
        }
        guard case .openIDConnect(let client)? = supplier?.signIn else {
            throw AdminError(line: "the supplier breaks a rule, and nobody can sign in there: see its row in the table")
        }
        return (client, isEnabled)
    }

    /// An unknown manufacturer is a failure.
    package func manufacturer(named name: DisplayText) async throws(AdminError) -> Manufacturer.ID {
        guard let number = try await run(Self.manufacturerByName, [.text(name.text)]) else {
            throw Self.unknown
        }
        return Manufacturer.ID(number)
    }

    /// Where the manufacturer of this name may send its users; an unknown one is a failure.
    package func redirectPolicy(of name: DisplayText) async throws(AdminError) -> RedirectPolicy {
        guard let policy = try await run(Self.redirectPolicyByName, [.text(name.text)]) else { throw Self.unknown }
        return policy
    }

    /// The sessions of a data subject with what happened to them, the oldest first. That they were read is recorded.
    package func sessions(of subject: DataSubject) async throws(AdminError) -> [SessionReport] {
        try await onThread { connection throws(ConnectionError) in
            try connection.record("sessions", of: subject)
            return try SessionReport.all(of: subject, on: &connection)
        }
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

    func run<Output>(
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

    private static let supplierBySlug = Query<(Bool, Supplier?)?>(
        "supplier_by_slug", "SELECT enabled, \(Supplier.columns) FROM suppliers WHERE slug = $1::text",
        readOptional: { (row) throws(DatabaseError) in (try row.bool(), try row.supplier()) })

    private static let unknown = AdminError(line: "there is no manufacturer of this name")

    private static let redirectPolicyByName = Query<RedirectPolicy?>(
        "redirect_policy_by_name", "SELECT \(RedirectPolicy.columns) FROM manufacturers m WHERE m.name = $1::text",
        readOptional: { (row) throws(DatabaseError) in try row.redirectPolicy().0 })

    private static let manufacturerByName = Query<Int64?>(
        "manufacturer_by_name", "SELECT id FROM manufacturers WHERE name = $1::text",
        readOptional: { (row) throws(DatabaseError) in try row.int64() })
}

/// What went wrong, as one line for the operator.
package struct AdminError: Error, Sendable {
    package let line: String
}
