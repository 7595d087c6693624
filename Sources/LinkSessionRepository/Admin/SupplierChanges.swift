package import LinkSessions

/// Energy suppliers: added, taken offline and back.
extension AdminChange {
    package static func addSupplier(
        _ slug: Supplier.Slug, name: DisplayText, _ client: OpenIDClient
    ) throws(AdminError) -> AdminChange {
        AdminChange(
            name: "add_supplier",
            summary: "A new supplier. Its client secret is not here, only the name of the setting that holds it.",
            sql: """
                SELECT ensure(count(*) = 0, 'there is a supplier of this slug or name already')
                FROM suppliers WHERE slug = \(try quoted(slug.text)) OR name = \(try quoted(name));

                INSERT INTO suppliers (
                    slug, name, issuer, client_id, client_secret_name, scopes,
                    client_authentication, discovery_url, response_mode, prompt, max_age
                ) VALUES (
                    \(try quoted(slug.text)),
                    \(try quoted(name)),
                    \(try quoted(client.issuer.text)),
                    \(try quoted(client.clientID)),
                    \(try quoted(client.clientSecretName)),
                    \(try quoted(client.scopes)),
                    \(try quoted(client.authentication?.rawValue)),
                    \(try quoted(client.discoveryURL?.text)),
                    \(try quoted(client.responseMode?.rawValue)),
                    \(try quoted(client.prompt?.rawValue)),
                    \(client.maxAge.map { String($0) } ?? "NULL"));
                """)
    }

    static func quoted(_ text: String?) throws(AdminError) -> String {
        guard let text else { return "NULL" }
        return try quoted(text)
    }

    package static func setSupplierEnabled(_ slug: Supplier.Slug, _ enabled: Bool) throws(AdminError) -> AdminChange {
        AdminChange(
            name: enabled ? "enable_supplier" : "disable_supplier",
            summary: enabled
                ? "A supplier is back: users can sign in there again."
                : "A supplier goes offline: nobody can sign in there, nor confirm a sign-in.",
            sql: """
                WITH changed AS (
                    UPDATE suppliers SET enabled = \(enabled)
                    WHERE slug = \(try quoted(slug.text)) AND enabled <> \(enabled)
                    RETURNING slug
                )
                SELECT ensure(count(*) = 1, 'there is no \(enabled ? "disabled" : "enabled") supplier of this slug') FROM changed;
                """)
    }
}
