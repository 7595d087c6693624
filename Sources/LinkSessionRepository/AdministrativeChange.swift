// What an operator changes about manufacturers and their keys, as the SQL of a migration.

package import LinkSessions
internal import PostgresClient

/// A change, to be reviewed as SQL and applied by `migrate`.
///
/// The SQL fails with a sentence where it would change nothing. Every text in it is a literal that libpq has quoted.
package enum AdministrativeChange: Sendable {
    /// Which of a manufacturer's keys.
    package enum KeySelection: Sendable {
        case label(DisplayText)
        /// The first hexadecimal digits of the key's SHA-256.
        case digestPrefix(String)
    }

    /// - Parameter redirectURLs: `nil`: any well-formed URL.
    case addManufacturer(name: DisplayText, brand: DisplayText?, redirectURLs: [RedirectURL]?)
    /// - Parameter lifetime: in seconds, from the moment when the migration is applied; `nil`: without end.
    case addKey(manufacturer: DisplayText, digest: SHA256Digest, label: DisplayText, lifetime: Int?)
    /// The new key gets the label of the old ones, which end `overlap` seconds after the migration is applied.
    /// - Parameters:
    ///   - label: `nil` where all usable keys have one and the same.
    ///   - lifetime: `nil`: that of the newest of the old ones.
    case rotateKey(manufacturer: DisplayText, digest: SHA256Digest, label: DisplayText?, overlap: Int, lifetime: Int?)
    case revokeKey(manufacturer: DisplayText, KeySelection)
    case setEnabled(manufacturer: DisplayText, Bool)
    case allowRedirect(manufacturer: DisplayText, RedirectURL)
    case removeRedirect(manufacturer: DisplayText, String)
    case setRedirectPolicy(manufacturer: DisplayText, unrestricted: Bool)
    case addSupplier(Supplier.Slug, name: DisplayText, OpenIDClient)
    case setSupplierEnabled(Supplier.Slug, Bool)

    /// For the migration's file name: lower-case letters and underscores.
    package var name: String {
        switch self {
        case .addManufacturer: "add_manufacturer"
        case .addKey: "add_key"
        case .rotateKey: "rotate_key"
        case .revokeKey: "revoke_key"
        case .setEnabled(_, let enabled): enabled ? "enable" : "disable"
        case .allowRedirect: "allow_redirect"
        case .removeRedirect: "remove_redirect"
        case .setRedirectPolicy: "redirect_policy"
        case .addSupplier: "add_supplier"
        case .setSupplierEnabled(_, let enabled): enabled ? "enable_supplier" : "disable_supplier"
        }
    }

    /// A sentence for the file's comment. It repeats nothing of what was typed.
    private var summary: String {
        switch self {
        case .addManufacturer(_, _, nil): "A new manufacturer, which may redirect its users ANYWHERE."
        case .addManufacturer: "A new manufacturer, with the URLs that it may redirect its users to."
        case .addKey: "A new API key of a manufacturer. The key itself is not here, only its SHA-256."
        case .rotateKey: "A new API key of a manufacturer in place of the old one, which ends after the overlap."
        case .revokeKey: "An API key of a manufacturer ends now."
        case .setEnabled(_, true): "A manufacturer is back: its keys work again."
        case .setEnabled(_, false): "A manufacturer goes offline: none of its keys works."
        case .allowRedirect: "A further URL that a manufacturer may redirect its users to."
        case .removeRedirect: "A URL that a manufacturer may no longer redirect its users to."
        case .setRedirectPolicy(_, unrestricted: true): "A manufacturer may redirect its users ANYWHERE from now on."
        case .setRedirectPolicy(_, unrestricted: false):
            "A manufacturer may redirect its users to registered URLs only."
        case .addSupplier: "A new supplier. Its client secret is not here, only the name of the setting that holds it."
        case .setSupplierEnabled(_, true): "A supplier is back: users can sign in there again."
        case .setSupplierEnabled(_, false): "A supplier goes offline: nobody can sign in there, nor confirm a sign-in."
        }
    }

    package struct CannotQuote: Error {}

    /// The whole text of the migration's file.
    ///
    /// - Parameters:
    ///   - author: letters, digits, dots, hyphens and underscores.
    ///   - date: such as `2026-11-24`.
    package func migration(author: String, date: String) throws(CannotQuote) -> String {
        """
        -- \(summary)
        -- Written by link-session-service admin for \(author) on \(date).

        \(try sql())

        """
    }

    private func sql() throws(CannotQuote) -> String {
        switch self {
        case .addManufacturer(let name, let brand, let redirectURLs):
            return """
                SELECT ensure(count(*) = 0, 'there is a manufacturer of this name already')
                FROM manufacturers WHERE name = \(try quoted(name));

                INSERT INTO manufacturers (name, brand, redirect_policy, redirect_urls) VALUES (
                    \(try quoted(name)),
                    \(try brand.map(quoted) ?? "NULL"),
                    '\(redirectURLs == nil ? "unrestricted" : "registered")',
                    ARRAY[\(try list(redirectURLs ?? []))]::text[]);
                """

        case .addKey(let manufacturer, let digest, let label, let lifetime):
            return """
                WITH added AS (
                    INSERT INTO api_keys (manufacturer_id, key_hash, label, expires_at)
                    SELECT id, '\\x\(digest.hex)'::bytea,
                           \(try quoted(label)), \(expiry(after: lifetime))
                    FROM manufacturers WHERE name = \(try quoted(manufacturer))
                    RETURNING id
                )
                SELECT ensure(count(*) = 1, 'there is no manufacturer of this name') FROM added;
                """

        case .rotateKey(let manufacturer, let digest, let label, let overlap, let lifetime):
            return """
                WITH old AS (
                    SELECT k.* FROM api_keys k JOIN manufacturers m ON m.id = k.manufacturer_id
                    WHERE m.name = \(try quoted(manufacturer))\
                \(try label.map { label throws(CannotQuote) in " AND k.label = \(try quoted(label))" } ?? "")
                      AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
                    FOR UPDATE OF k
                ), ended AS (
                    UPDATE api_keys k
                    SET expires_at = least(
                        k.expires_at,
                        greatest(k.created_at + interval '1 second', \(expiry(after: overlap))))
                    FROM old WHERE k.id = old.id
                ), new AS (
                    INSERT INTO api_keys (manufacturer_id, key_hash, label, expires_at)
                    SELECT manufacturer_id, '\\x\(digest.hex)'::bytea, label,
                           \(lifetime == nil ? "date_trunc('second', now()) + (expires_at - created_at)" : expiry(after: lifetime))
                    FROM old ORDER BY created_at DESC, id DESC LIMIT 1
                )
                SELECT ensure(count(*) > 0, 'this manufacturer has no such key that is in use'),
                       ensure(count(DISTINCT label) = 1, 'this manufacturer''s keys have several labels: choose one')
                FROM old;
                """

        case .revokeKey(let manufacturer, let selection):
            let condition =
                switch selection {
                case .label(let label):
                    "k.label = \(try quoted(label)) AND (k.expires_at IS NULL OR k.expires_at > now())"
                case .digestPrefix(let digits): "starts_with(encode(k.key_hash, 'hex'), \(try quoted(digits)))"
                }
            return """
                WITH revoked AS (
                    UPDATE api_keys k SET revoked_at = now()
                    FROM manufacturers m
                    WHERE m.id = k.manufacturer_id AND m.name = \(try quoted(manufacturer))
                      AND \(condition) AND k.revoked_at IS NULL
                    RETURNING k.id
                )
                SELECT ensure(count(*) > 0, 'this manufacturer has no such key that is not revoked already'),
                       ensure(count(*) = 1, 'this is more than one key: choose it by its digest')
                FROM revoked;
                """

        case .setEnabled(let manufacturer, let enabled):
            return try update(
                manufacturer, "enabled = \(enabled)", where: enabled ? "NOT enabled" : "enabled",
                otherwise: "there is no \(enabled ? "disabled" : "enabled") manufacturer of this name")

        case .allowRedirect(let manufacturer, let url):
            let literal = try quoted(url.text)
            return try update(
                manufacturer, "redirect_urls = array_append(redirect_urls, \(literal))",
                where: "\(literal) <> ALL (redirect_urls)",
                otherwise: "there is no manufacturer of this name without this redirect URL")

        case .removeRedirect(let manufacturer, let url):
            let literal = try quoted(url)
            return try update(
                manufacturer, "redirect_urls = array_remove(redirect_urls, \(literal))",
                where: "\(literal) = ANY (redirect_urls)",
                otherwise: "there is no manufacturer of this name with this redirect URL")

        case .setRedirectPolicy(let manufacturer, let unrestricted):
            let policy = unrestricted ? "unrestricted" : "registered"
            return try update(
                manufacturer, "redirect_policy = '\(policy)'", where: "redirect_policy <> '\(policy)'",
                otherwise: "there is no manufacturer of this name whose redirect policy is another one")

        case .addSupplier(let slug, let name, let client):
            var scopes: [String] = []
            for scope in client.scopes { scopes.append(try quoted(scope)) }
            return """
                SELECT ensure(count(*) = 0, 'there is a supplier of this slug or name already')
                FROM suppliers WHERE slug = \(try quoted(slug.text)) OR name = \(try quoted(name));

                INSERT INTO suppliers (slug, name, issuer, client_id, client_secret_name, scopes) VALUES (
                    \(try quoted(slug.text)),
                    \(try quoted(name)),
                    \(try quoted(client.issuer.text)),
                    \(try quoted(client.clientID)),
                    \(try quoted(client.clientSecretName)),
                    ARRAY[\(scopes.joined(separator: ", "))]::text[]);
                """

        case .setSupplierEnabled(let slug, let enabled):
            return """
                WITH changed AS (
                    UPDATE suppliers SET enabled = \(enabled)
                    WHERE slug = \(try quoted(slug.text)) AND enabled <> \(enabled)
                    RETURNING slug
                )
                SELECT ensure(count(*) = 1, 'there is no \(enabled ? "disabled" : "enabled") supplier of this slug') FROM changed;
                """
        }
    }

    private func update(
        _ manufacturer: DisplayText, _ assignment: String, where condition: String, otherwise sentence: String
    ) throws(CannotQuote) -> String {
        """
        WITH changed AS (
            UPDATE manufacturers SET \(assignment)
            WHERE name = \(try quoted(manufacturer)) AND \(condition)
            RETURNING id
        )
        SELECT ensure(count(*) = 1, '\(sentence)') FROM changed;
        """
    }

    private func expiry(after seconds: Int?) -> String {
        guard let seconds else { return "NULL::timestamptz" }
        let interval =
            switch seconds {
            case _ where seconds % 86_400 == 0: "\(seconds / 86_400) days"
            case _ where seconds % 3600 == 0: "\(seconds / 3600) hours"
            default: "\(seconds) seconds"
            }
        return "date_trunc('second', now()) + interval '\(interval)'"
    }

    private func list(_ urls: [RedirectURL]) throws(CannotQuote) -> String {
        var literals: [String] = []
        for url in urls { literals.append(try quoted(url.text)) }
        return literals.joined(separator: ", ")
    }

    private func quoted(_ text: DisplayText) throws(CannotQuote) -> String { try quoted(text.text) }

    private func quoted(_ text: String) throws(CannotQuote) -> String {
        guard let literal = sqlLiteral(text) else { throw CannotQuote() }
        return literal
    }
}
