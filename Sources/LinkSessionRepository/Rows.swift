internal import LinkSessions
internal import PostgresClient

// Each column list stands beside the one reader that reads it.

extension LinkSession {
    /// What ``PostgresClient/Row/linkSession(of:)`` reads of a session `s`.
    ///
    /// - Parameter changed: columns that a part of the statement named `changed` may have set anew.
    static func columns(changed: [String] = []) -> String {
        func column(_ name: String) -> String {
            changed.contains(name) ? "coalesce(changed.\(name), s.\(name))" : "s.\(name)"
        }
        return """
            s.user_id, s.redirect_url, s.language, s.created_at, \(column("expires_at")), \(column("completed_at")), \
            \(column("confirmed_at")), \(column("nox_user_id"))::text, \(column("supplier")), \
            \(column("supplier_user_id")), \(column("expires_at")) <= clock_timestamp()
            """
    }

    /// What ``PostgresClient/Row/linkSession()`` reads of a session `s` and its manufacturer `m`.
    static func columnsWithManufacturer(changed: String...) -> String {
        "\(Manufacturer.columns), \(columns(changed: changed))"
    }
}

extension Row {
    mutating func linkSession() throws(DatabaseError) -> LinkSession {
        try linkSession(of: try manufacturer())
    }

    mutating func linkSession(of manufacturer: Manufacturer) throws(DatabaseError) -> LinkSession {
        LinkSession(
            manufacturer: manufacturer,
            userID: try parse(ManufacturerUserID.init),
            redirectURL: try parse(RedirectURL.init),
            language: try parse(Language.init),
            createdAt: try unixSeconds(),
            expiresAt: try unixSeconds(),
            completedAt: try optionalUnixSeconds(),
            confirmedAt: try optionalUnixSeconds(),
            link: try link(),
            isPastExpiry: try bool())
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
}

extension Manufacturer {
    /// What ``PostgresClient/Row/manufacturer()`` reads of a manufacturer `m`.
    static let columns = "m.id, m.name, m.brand"
}

extension Row {
    mutating func manufacturer() throws(DatabaseError) -> Manufacturer {
        Manufacturer(
            id: Manufacturer.ID(try int64()), name: try text(), brand: try optionalText().map(Brand.init(stored:)))
    }
}

extension RedirectPolicy {
    /// What ``PostgresClient/Row/redirectPolicy()`` reads of a manufacturer `m`.
    static let columns = "m.redirect_policy, m.redirect_urls"
}

extension Row {
    /// - Returns: with the number of registered URLs that are no valid redirect URLs, and so allow nothing.
    mutating func redirectPolicy() throws(DatabaseError) -> (RedirectPolicy, invalid: Int) {
        switch try text() {
        case "unrestricted":
            _ = try texts()
            return (.unrestricted, 0)
        case "registered":
            let texts = try texts()
            let urls = texts.compactMap { try? RedirectURL($0) }
            return (.registered(Set(urls.map(\.registrationKey))), texts.count - urls.count)
        default:
            throw mismatch()
        }
    }
}

extension Row {
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
