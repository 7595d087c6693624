package import LinkSessions
package import PostgresClient

/// Every statement of the service on the table logos.
package struct LogoRepository: Sendable {
    private let database: DatabaseAccess

    /// - Parameter serviceClass: with whom its callers wait.
    package init(database: DatabaseClient, as serviceClass: ServiceClass) {
        self.database = DatabaseAccess(client: database, serviceClass: serviceClass)
    }

    package func find(_ digest: SHA256Digest, until deadline: Deadline) async throws(RepositoryError) -> Logo? {
        try await database.answer(Self.find, [.blob(digest.bytes)], until: deadline)
    }

    private static let find = Query<Logo?>(
        "find_logo", "SELECT media_type, bytes FROM logos WHERE digest = $1::bytea",
        readOptional: { (row) throws(DatabaseError) in
            guard let type = Logo.MediaType(rawValue: try row.text()) else { throw row.mismatch() }
            return Logo(stored: try row.blob(), type)
        })
}
