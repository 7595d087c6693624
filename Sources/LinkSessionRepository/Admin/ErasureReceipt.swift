// What was deleted of a manufacturer's user.

package import LinkSessions
internal import PostgresClient

package struct ErasureReceipt: Sendable {
    package let sessions: Int64
    package let events: Int64
    package let erasedAt: UnixSeconds
}

extension ErasureReceipt {
    fileprivate static let columns = "sessions, events, erased_at"

    static let erasing = Query<(DisplayText, ManufacturerUserID), ErasureReceipt>(
        Statement("erase_user", "SELECT \(ErasureReceipt.columns) FROM erase_user($1::text, $2::text)"),
        encode: AdminRepository.encodeUser,
        readOne: { (row) throws(DatabaseError) in try row.erasureReceipt() })
}

extension Row {
    fileprivate mutating func erasureReceipt() throws(DatabaseError) -> ErasureReceipt {
        ErasureReceipt(sessions: try int64(), events: try int64(), erasedAt: try unixSeconds())
    }
}
