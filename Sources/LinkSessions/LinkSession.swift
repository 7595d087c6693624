// A link session and its life: open, then completed once or expired.

/// Seconds since 1970-01-01T00:00:00Z, by the database's clock.
package typealias UnixSeconds = Int64

package struct LinkSession: Sendable {
    /// `open` → `completed` (once) or `expired` (at `expiresAt`). Nothing else, and nothing back.
    package enum Status: String, Sendable {
        case open, completed, expired
    }

    /// How long a session is open.
    package static let lifetimeInSeconds: Int64 = 600

    package let manufacturer: Manufacturer
    package let userID: ManufacturerUserID
    package let redirectURL: RedirectURL
    package let language: Language
    package let createdAt: UnixSeconds
    package let expiresAt: UnixSeconds
    package let completedAt: UnixSeconds?
    package let status: Status

    /// - Parameter isPastExpiry: `expires_at` compared with the database's clock at the moment of the question.
    package init(
        manufacturer: Manufacturer, userID: ManufacturerUserID, redirectURL: RedirectURL, language: Language,
        createdAt: UnixSeconds, expiresAt: UnixSeconds, completedAt: UnixSeconds?, isPastExpiry: Bool
    ) {
        self.manufacturer = manufacturer
        self.userID = userID
        self.redirectURL = redirectURL
        self.language = language
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.completedAt = completedAt
        status = completedAt != nil ? .completed : isPastExpiry ? .expired : .open
    }
}

/// What a manufacturer asks for, checked against every rule, before it is stored.
package struct NewLinkSession: Sendable {
    package let manufacturer: Manufacturer
    package let userID: ManufacturerUserID
    package let redirectURL: RedirectURL
    package let language: Language

    package init(
        manufacturer: Manufacturer, userID: ManufacturerUserID, redirectURL: RedirectURL, language: Language
    ) {
        self.manufacturer = manufacturer
        self.userID = userID
        self.redirectURL = redirectURL
        self.language = language
    }
}
