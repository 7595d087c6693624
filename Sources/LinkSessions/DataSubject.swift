/// Whose data it is (GDPR, article 4): a manufacturer's user, or whoever has an account at a supplier.
package enum DataSubject: Sendable, Redacted {
    case user(ManufacturerUserID, of: Manufacturer.ID)
    case account(SupplierIdentity)

    /// No two have the same bytes: the kind comes first, the manufacturer's number has eight, a slug has no NUL, and the
    /// user's id goes to the end.
    package var bytes: [UInt8] {
        switch self {
        case .user(let userID, let manufacturer):
            let number = UInt64(bitPattern: manufacturer.number)
            return [UInt8(ascii: "u")]
                + stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: number >> UInt64($0)) }
                + Array(userID.text.utf8)
        case .account(let identity):
            return [UInt8(ascii: "a")] + Array(identity.supplier.text.utf8) + [0] + Array(identity.userID.utf8)
        }
    }
}
