// Energy suppliers, as an operator sees them.

package import LinkSessions
internal import PostgresClient

package struct SupplierReport: Sendable {
    package let slug: String
    package let name: String
    package let isEnabled: Bool
    package let issuer: String
    package let clientID: String
    package let clientSecretName: String
    package let scopes: [String]
    package let createdAt: UnixSeconds
}

extension SupplierReport {
    fileprivate static let columns = """
        slug, name, enabled, issuer, client_id, client_secret_name, scopes, created_at
        """

    /// By slug.
    static let all = Query<Void, [SupplierReport]>(
        Statement("report_suppliers", "SELECT \(SupplierReport.columns) FROM suppliers ORDER BY slug"),
        encode: { _, _ in },
        readEach: { (row) throws(DatabaseError) in try row.supplierReport() })
}

extension Row {
    fileprivate mutating func supplierReport() throws(DatabaseError) -> SupplierReport {
        SupplierReport(
            slug: try text(), name: try text(), isEnabled: try bool(), issuer: try text(), clientID: try text(),
            clientSecretName: try text(), scopes: try texts(), createdAt: try unixSeconds())
    }
}
