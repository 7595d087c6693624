package import LinkSessions

/// What of a supplier is to be changed; what is `nil` stays.
package struct SupplierEdit: Sendable {
    package var name: DisplayText?
    package var issuer: ProviderURL?
    package var clientID: String?
    package var clientSecretName: String?
    package var scopes: [String]?
    /// Of these an inner `nil` is what holds where nothing is said.
    package var authentication: OpenIDClient.ClientAuthentication??
    package var discoveryURL: ProviderURL??
    package var responseMode: OpenIDClient.ResponseMode??
    package var prompt: OpenIDClient.Prompt??
    package var maxAge: Int??

    package init() {}

    package func applied(to client: OpenIDClient) -> OpenIDClient {
        var changed = OpenIDClient(
            issuer: issuer ?? client.issuer, clientID: clientID ?? client.clientID,
            clientSecretName: clientSecretName ?? client.clientSecretName, scopes: scopes ?? client.scopes)
        changed.authentication = authentication ?? client.authentication
        changed.discoveryURL = discoveryURL ?? client.discoveryURL
        changed.responseMode = responseMode ?? client.responseMode
        changed.prompt = prompt ?? client.prompt
        changed.maxAge = maxAge ?? client.maxAge
        return changed
    }
}

extension AdminChange {
    /// - Parameter edit: at least one change.
    package static func editSupplier(_ slug: Supplier.Slug, _ edit: SupplierEdit) throws(AdminError) -> AdminChange {
        var values: [(column: String, literal: String)] = []
        if let name = edit.name { values.append(("name", try quoted(name))) }
        if let issuer = edit.issuer { values.append(("issuer", try quoted(issuer.text))) }
        if let clientID = edit.clientID { values.append(("client_id", try quoted(clientID))) }
        if let name = edit.clientSecretName { values.append(("client_secret_name", try quoted(name))) }
        if let scopes = edit.scopes { values.append(("scopes", try quoted(scopes))) }
        if let method = edit.authentication {
            values.append(("client_authentication", try quoted(method?.rawValue)))
        }
        if let url = edit.discoveryURL { values.append(("discovery_url", try quoted(url?.text))) }
        if let mode = edit.responseMode { values.append(("response_mode", try quoted(mode?.rawValue))) }
        if let prompt = edit.prompt { values.append(("prompt", try quoted(prompt?.rawValue))) }
        if let maxAge = edit.maxAge { values.append(("max_age", maxAge.map { String($0) } ?? "NULL")) }
        guard !values.isEmpty else { throw AdminError(line: "nothing to change") }
        let assignments = values.map { "\($0.column) = \($0.literal)" }.joined(separator: ",\n        ")
        let isOther = values.map { "\($0.column) IS DISTINCT FROM \($0.literal)" }.joined(
            separator: "\n            OR ")
        return AdminChange(
            name: "edit_supplier",
            summary: "A supplier, or what we are at its provider, is another one. Its slug stays.",
            sql: """
                WITH changed AS (
                    UPDATE suppliers SET
                        \(assignments)
                    WHERE slug = \(try quoted(slug.text))
                        AND (\(isOther))
                    RETURNING slug
                )
                SELECT ensure(count(*) = 1, 'there is no supplier of this slug that this would change') FROM changed;
                """)
    }
}
