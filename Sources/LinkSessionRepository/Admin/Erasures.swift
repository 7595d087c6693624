package import LinkSessions
internal import PostgresClient

/// What was deleted of a data subject.
package struct ErasureReceipt: Sendable {
    package let sessions: Int64
    package let events: Int64
    package let signIns: Int64
    /// Those of the deleted sessions, and of the users whose last ones they were.
    package let noxUserIDs: [String]
    package let erasedAt: UnixSeconds
    /// `nil` where it was not kept.
    package let digest: SHA256Digest?

    /// Nothing was known of whom was to be erased.
    package var isOfNobody: Bool { sessions == 0 && signIns == 0 && noxUserIDs.isEmpty }
}

extension AdminRepository {
    /// Deletes every trace of a data subject.
    ///
    /// - Parameter digest: is kept, so that the same can be erased again after a restore.
    package func erase(_ subject: DataSubject, digest: SHA256Digest?) async throws(AdminError) -> ErasureReceipt {
        try await onThread { connection throws(ConnectionError) in
            try ErasureReceipt.erase(subject, digest: digest, on: &connection)
        }
    }

    /// Erases again, after a restore, all whose digests are kept or given.
    ///
    /// - Parameter digests: makes those that an erasure of this data subject can have left.
    /// - Returns: a receipt for each that was found, and how many digests were looked for.
    package func eraseAgain(
        _ given: [SHA256Digest], digests: @escaping @Sendable (DataSubject) -> [SHA256Digest]
    ) async throws(AdminError) -> (receipts: [ErasureReceipt], wanted: Int) {
        try await onThread { connection throws(ConnectionError) in
            let wanted = Set(given + (try connection.run(Self.erasures, until: .now + Self.longest)))
            var receipts: [ErasureReceipt] = []
            func eraseWanted(_ subjects: [DataSubject]) throws(ConnectionError) {
                for subject in subjects {
                    for digest in digests(subject) where wanted.contains(digest) {
                        receipts.append(try ErasureReceipt.erase(subject, digest: digest, on: &connection))
                    }
                }
            }
            var last = LinkSessionID.first(at: 0).bytes
            while true {
                let piece = try connection.run(Self.sessions, [.blob(last)], until: .now + Self.longest)
                try eraseWanted(piece.flatMap(\.subjects))
                guard let end = piece.last else { break }
                last = end.id.bytes
            }
            var lastUser: [Parameter] = [.number(.min), .text("")]
            while true {
                let users = try connection.run(Self.noxUsers, lastUser, until: .now + Self.longest)
                try eraseWanted(users)
                guard let end = users.last else { break }
                lastUser = end.parameters
            }
            return (receipts.filter { !$0.isOfNobody }, wanted.count)
        }
    }

    private static let erasures = Query<[SHA256Digest]>(
        "erasures", "SELECT digest FROM erasures",
        readEach: { (row) throws(DatabaseError) in try row.digest() })

    /// Sessions and their data subjects, in pieces: each begins behind the last one's end.
    private static let sessions = Query<[(id: LinkSessionID, subjects: [DataSubject])]>(
        "subjects_of_sessions",
        """
        SELECT id, manufacturer_id, user_id, supplier, supplier_user_id FROM link_sessions
        WHERE id > $1::uuid ORDER BY id LIMIT 10000
        """,
        readEach: { (row) throws(DatabaseError) in
            let (id, manufacturer) = (try row.linkSessionID(), Manufacturer.ID(try row.int64()))
            var subjects: [DataSubject] = [.user(try row.parse(ManufacturerUserID.init), of: manufacturer)]
            let (supplier, userID) = (try row.optionalText(), try row.optionalText())
            if let supplier, let userID {
                guard let slug = Supplier.Slug(supplier),
                    let identity = SupplierIdentity(supplier: slug, userID: userID)
                else { throw row.mismatch() }
                subjects.append(.account(identity))
            }
            return (id, subjects)
        })

    /// Those whose sessions have all gone, too.
    private static let noxUsers = Query<[DataSubject]>(
        "subjects_of_nox_users",
        """
        SELECT manufacturer_id, user_id FROM nox_users WHERE (manufacturer_id, user_id) > ($1::bigint, $2::text)
        ORDER BY manufacturer_id, user_id LIMIT 10000
        """,
        readEach: { (row) throws(DatabaseError) in
            let manufacturer = Manufacturer.ID(try row.int64())
            return .user(try row.parse(ManufacturerUserID.init), of: manufacturer)
        })
}

extension ErasureReceipt {
    fileprivate static func erase(
        _ subject: DataSubject, digest: SHA256Digest?, on connection: inout Connection
    ) throws(ConnectionError) -> ErasureReceipt {
        let (sessions, events, signIns, noxUserIDs, erasedAt) = try connection.run(
            subject.erasing, subject.parameters + [.blob(digest?.bytes)], until: .now + AdminRepository.longest)
        return ErasureReceipt(
            sessions: sessions, events: events, signIns: signIns, noxUserIDs: noxUserIDs, erasedAt: erasedAt,
            digest: digest)
    }

    fileprivate typealias Counts = (Int64, Int64, Int64, [String], UnixSeconds)

    fileprivate static let ofUser = query("erase_user($1::bigint, $2::text, $3::bytea)")
    fileprivate static let ofAccount = query("erase_supplier_user($2::text, $1::text, $3::bytea)")

    private static func query(_ call: String) -> Query<Counts> {
        Query(
            String(call.prefix { $0 != "(" }),
            "SELECT sessions, events, sign_ins, nox_user_ids::text[], erased_at FROM \(call)",
            readOne: { (row) throws(DatabaseError) in
                (try row.int64(), try row.int64(), try row.int64(), try row.texts(), try row.unixSeconds())
            })
    }
}

extension DataSubject {
    fileprivate var erasing: Query<ErasureReceipt.Counts> {
        switch self {
        case .user: ErasureReceipt.ofUser
        case .account: ErasureReceipt.ofAccount
        }
    }

    /// `$1` and `$2` of every statement on a data subject.
    var parameters: [Parameter] {
        switch self {
        case .user(let userID, let manufacturer): [.number(manufacturer.number), .text(userID.text)]
        case .account(let identity): [.text(identity.userID), .text(identity.supplier.text)]
        }
    }
}
