package import LinkSessions
package import PostgresClient

/// Every statement of the service on the table suppliers.
package struct SupplierRepository: Sendable {
    private let database: DatabaseClient
    private let hasSandbox: Bool

    /// - Parameter hasSandbox: the built-in supplier for integrators is one of them.
    package init(database: DatabaseClient, hasSandbox: Bool) {
        self.database = database
        self.hasSandbox = hasSandbox
    }

    /// Those that are enabled, by name; one that was written by hand and breaks a rule is left out. Concurrent calls
    /// share one SELECT.
    package func enabled(until deadline: Deadline) async throws(RepositoryError) -> [Supplier] {
        let suppliers = try await database.answer(Self.enabled, (), until: deadline)
        return suppliers + (hasSandbox ? [.sandbox] : [])
    }

    package func enabled(_ slug: Supplier.Slug, until deadline: Deadline) async throws(RepositoryError) -> Supplier? {
        try await enabled(until: deadline).first { $0.slug == slug }
    }

    private static let enabled = GroupedQuery<Void, [Supplier]>(
        "enabled_suppliers", "SELECT \(Supplier.columns) FROM suppliers WHERE enabled ORDER BY name, slug",
        maxBatchSize: 256, maxConcurrentBatches: 1,
        encode: { _ in [] },
        decode: { result, inputs throws(DatabaseError) in
            let suppliers = try result.map { (row) throws(DatabaseError) in try row.supplier() }.compactMap(\.self)
            return inputs.map { suppliers }
        })
}

extension Supplier {
    /// What ``PostgresClient/Row/supplier()`` reads.
    fileprivate static let columns = "slug, name, issuer, client_id, client_secret_name, scopes"
}

extension Row {
    /// - Returns: `nil` for one that breaks a rule.
    fileprivate mutating func supplier() throws(DatabaseError) -> Supplier? {
        let (slug, name, issuer) = (Supplier.Slug(try text()), try text(), ProviderURL(try text()))
        let (clientID, secretName, scopes) = (try text(), try text(), try texts())
        guard let slug, let issuer, !issuer.hasQuery, OpenIDClient.isClientID(clientID),
            OpenIDClient.isSecretName(secretName), scopes.allSatisfy(OpenIDClient.isScope)
        else { return nil }
        return Supplier(
            slug: slug, name: name,
            signIn: .openIDConnect(
                OpenIDClient(issuer: issuer, clientID: clientID, clientSecretName: secretName, scopes: scopes)))
    }
}
