/// Seconds since 1970-01-01T00:00:00Z, by the database's clock.
package typealias UnixSeconds = Int64

/// A link session as it is stored.
package struct LinkSession: Sendable {
    /// `open` → `completed` (once) or `expired` (at `expiresAt`). Nothing else, and nothing back.
    package enum Status: String, Sendable {
        case open, completed, expired
    }

    /// How long a session is open.
    package static let lifetimeInSeconds: Int64 = 600
    /// How long the result of a completion may be fetched, and its code be used.
    package static let resultLifetimeInSeconds: Int64 = 600

    package let id: LinkSessionID
    package let manufacturer: Manufacturer.ID
    package let userID: ManufacturerUserID
    package let redirectURL: RedirectURL
    package let language: Language
    package let options: LinkSessionOptions
    package let createdAt: UnixSeconds
    package let expiresAt: UnixSeconds
    package let completedAt: UnixSeconds?
    /// When the manufacturer's backend said whose session it was.
    package let confirmedAt: UnixSeconds?
    /// What a completed session made; sessions that were completed before there were links have none.
    package let link: Link?
    package let status: Status

    /// - Parameter isPastExpiry: `expires_at` compared with the database's clock at the moment of the question.
    package init(
        id: LinkSessionID, manufacturer: Manufacturer.ID, userID: ManufacturerUserID, redirectURL: RedirectURL,
        language: Language, options: LinkSessionOptions = LinkSessionOptions(), createdAt: UnixSeconds,
        expiresAt: UnixSeconds, completedAt: UnixSeconds? = nil, confirmedAt: UnixSeconds? = nil, link: Link? = nil,
        isPastExpiry: Bool
    ) {
        self.id = id
        self.manufacturer = manufacturer
        self.userID = userID
        self.redirectURL = redirectURL
        self.language = language
        self.options = options
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.completedAt = completedAt
        self.confirmedAt = confirmedAt
        self.link = link
        status = completedAt != nil ? .completed : isPastExpiry ? .expired : .open
    }

    /// A session that was just made.
    package init(_ new: NewLinkSession, id: LinkSessionID, createdAt: UnixSeconds, expiresAt: UnixSeconds) {
        self.init(
            id: id, manufacturer: new.manufacturer, userID: new.userID, redirectURL: new.redirectURL,
            language: new.language, options: new.options, createdAt: createdAt, expiresAt: expiresAt,
            isPastExpiry: false)
    }
}

/// A manufacturer's user, linked to an energy supplier.
package struct Link: Sendable {
    /// A UUID (RFC 9562): one for all sessions of a manufacturer's user.
    package let noxUserID: String
    /// `nil` where the session was completed without saying for which account.
    package let identity: SupplierIdentity?

    package init(noxUserID: String, identity: SupplierIdentity?) {
        self.noxUserID = noxUserID
        self.identity = identity
    }
}

/// What a manufacturer asks for, checked against every rule, before it is stored.
package struct NewLinkSession: Sendable {
    package let manufacturer: Manufacturer.ID
    package let userID: ManufacturerUserID
    package let redirectURL: RedirectURL
    package let language: Language
    package let options: LinkSessionOptions

    package init(
        manufacturer: Manufacturer.ID, userID: ManufacturerUserID, redirectURL: RedirectURL, language: Language,
        options: LinkSessionOptions = LinkSessionOptions()
    ) {
        self.manufacturer = manufacturer
        self.userID = userID
        self.redirectURL = redirectURL
        self.language = language
        self.options = options
    }

    /// What a create that is sent again has in common with the first one: every field with its name and its length, so
    /// that no two requests are written alike. A field that a request lacks is left out, so that one which is added later
    /// changes nothing about requests of before.
    package var canonicalForm: [UInt8] {
        var bytes: [UInt8] = []
        func add(_ name: String, _ value: String) { bytes += "\(name) \(value.utf8.count) \(value) ".utf8 }
        add("user_id", userID.text)
        add("redirect_url", redirectURL.text)
        add("language", language.rawValue)
        if let preferred = options.preferredSupplier { add("supplier", preferred.text) }
        if let offered = options.offeredSuppliers { add("suppliers", offered.map(\.text).joined(separator: ",")) }
        if let metadata = options.metadata {
            add("metadata", "")
            for member in metadata.members {
                add("name", member.name)
                add("value", member.value)
            }
        }
        return bytes
    }
}
