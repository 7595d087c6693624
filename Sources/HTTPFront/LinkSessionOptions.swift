internal import JSON
internal import LinkSessions

extension LinkSessionOptions {
    /// What a create says of its session besides what it has to.
    ///
    /// - Parameter suppliers: those that can be chosen on our pages.
    init(_ body: JSONObject, choosingFrom suppliers: () throws -> [Supplier]) throws {
        guard body["supplier"] != nil || body["suppliers"] != nil || body["metadata"] != nil else {
            self.init()
            return
        }
        let preferred = try body.preferredSupplier
        let offered = try body.offeredSuppliers
        let metadata = try body.metadata
        if preferred != nil || offered != nil {
            let known = Set(try suppliers().map(\.slug))
            for slug in offered ?? [] where !known.contains(slug) {
                throw Self.unknown(slug, .suppliers, "suppliers must name suppliers")
            }
            if let preferred, !known.contains(preferred) {
                throw Self.unknown(preferred, .supplier, "supplier must name a supplier")
            }
        }
        if let preferred, let offered, !offered.contains(preferred) {
            throw ValidationError(.supplier, "supplier must be one of suppliers: \(preferred.text) is not")
        }
        self.init(preferredSupplier: preferred, offeredSuppliers: offered, metadata: metadata)
    }

    /// A slug is no personal data, and has letters, digits and hyphens alone.
    private static func unknown(
        _ slug: Supplier.Slug, _ rule: ValidationError.Rule, _ expectation: String
    ) -> ValidationError {
        ValidationError(rule, "\(expectation) of GET /v2/manufacturer/suppliers: \(slug.text) is none")
    }
}

extension JSONObject {
    fileprivate var preferredSupplier: Supplier.Slug? {
        get throws(ValidationError) {
            guard let value = self["supplier"] else { return nil }
            guard case .string(let text) = value, let slug = Supplier.Slug(text) else {
                throw ValidationError(.supplier, "supplier must be a string, the slug of a supplier")
            }
            return slug
        }
    }

    /// Each once, in the order in which they are named first.
    fileprivate var offeredSuppliers: [Supplier.Slug]? {
        get throws(ValidationError) {
            guard self["suppliers"] != nil else { return nil }
            let limit = LinkSessionOptions.offeredSuppliersLimit
            guard let texts = strings("suppliers"), (1...limit).contains(texts.count) else {
                throw ValidationError(.suppliers, "suppliers must be an array of 1 to \(limit) slugs of suppliers")
            }
            var slugs: [Supplier.Slug] = []
            for (index, text) in texts.enumerated() {
                guard let slug = Supplier.Slug(text) else {
                    throw ValidationError(.suppliers, "suppliers must be slugs: number \(index + 1) is none")
                }
                if !slugs.contains(slug) { slugs.append(slug) }
            }
            return slugs
        }
    }

    fileprivate var metadata: SessionMetadata? {
        get throws(ValidationError) {
            guard self["metadata"] != nil else { return nil }
            guard let members = members("metadata") else {
                throw SessionMetadata.invalid("must be an object whose values are strings")
            }
            return try SessionMetadata(members)
        }
    }
}
