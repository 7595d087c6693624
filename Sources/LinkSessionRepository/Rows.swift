internal import LinkSessions
internal import PostgresClient

// Each column list stands beside the one reader that reads it.

extension StoredLinkSession {
    /// What ``PostgresClient/Row/storedLinkSession()`` reads of a session `s`.
    ///
    /// - Parameters:
    ///   - changed: columns that a part of the statement named `changed` may have set anew.
    ///   - now: the time at which the session is judged.
    static func columns(changed: [String] = [], now: String = "clock_timestamp()") -> String {
        func column(_ name: String) -> String {
            changed.contains(name) ? "coalesce(changed.\(name), s.\(name))" : "s.\(name)"
        }
        return """
            s.id, s.token_hash, s.manufacturer_id, s.user_id, s.redirect_url, s.language, \
            s.preferred_supplier, array_to_string(s.offered_suppliers, ','), s.metadata::text, s.created_at, \
            \(column("expires_at")), \(column("completed_at")), \(column("confirmed_at")), \
            \(column("nox_user_id"))::text, \(column("supplier")), \(column("supplier_user_id")), \
            \(column("completed_by")), s.opened_at IS NOT NULL, \(column("expires_at")) <= \(now), \(now)
            """
    }
}

extension Row {
    mutating func storedLinkSession() throws(DatabaseError) -> StoredLinkSession {
        try storedLinkSession(id: try linkSessionID())
    }

    /// - Parameter id: was read already.
    mutating func storedLinkSession(id: LinkSessionID) throws(DatabaseError) -> StoredLinkSession {
        let tokenDigest = try digest()
        let manufacturer = Manufacturer.ID(try int64())
        let (userID, redirectURL) = (try parse(ManufacturerUserID.init), try parse(RedirectURL.init))
        let (language, options) = (try parse(Language.init), try options())
        let (createdAt, expiresAt) = (try unixSeconds(), try unixSeconds())
        let (completedAt, confirmedAt) = (try optionalUnixSeconds(), try optionalUnixSeconds())
        let (link, completedBy) = (try link(), try optionalDigest())
        let (isOpened, isPastExpiry, now) = (try bool(), try bool(), try unixSeconds())
        return StoredLinkSession(
            session: LinkSession(
                id: id, manufacturer: manufacturer, userID: userID, redirectURL: redirectURL, language: language,
                options: options, createdAt: createdAt, expiresAt: expiresAt, completedAt: completedAt,
                confirmedAt: confirmedAt, link: link, isPastExpiry: isPastExpiry),
            tokenDigest: tokenDigest, now: now, completedBy: completedBy, isOpened: isOpened)
    }

    mutating func linkSessionID() throws(DatabaseError) -> LinkSessionID {
        guard let id = LinkSessionID(words: try uuid()) else { throw mismatch() }
        return id
    }

    /// From `nox_user_id`, `supplier` and `supplier_user_id`.
    private mutating func link() throws(DatabaseError) -> Link? {
        let (noxUserID, supplier, userID) = (try optionalText(), try optionalText(), try optionalText())
        guard let noxUserID else { return nil }
        guard let supplier else { return Link(noxUserID: noxUserID, identity: nil) }
        guard let slug = Supplier.Slug(supplier), let userID,
            let identity = SupplierIdentity(supplier: slug, userID: userID)
        else { throw mismatch() }
        return Link(noxUserID: noxUserID, identity: identity)
    }

    mutating func digest() throws(DatabaseError) -> SHA256Digest {
        guard let digest = SHA256Digest(bytes: try blob()) else { throw mismatch() }
        return digest
    }

    mutating func optionalDigest() throws(DatabaseError) -> SHA256Digest? {
        guard let bytes = try optionalBlob() else { return nil }
        guard let digest = SHA256Digest(bytes: bytes) else { throw mismatch() }
        return digest
    }

    /// Text that has to keep to a rule of the domain.
    mutating func parse<Value>(_ parse: (String) throws(ValidationError) -> Value) throws(DatabaseError) -> Value {
        let text = try text()
        guard let value = try? parse(text) else { throw mismatch() }
        return value
    }
}
