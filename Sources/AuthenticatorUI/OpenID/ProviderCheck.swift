internal import Foundation
package import LinkSessions
package import OutboundHTTP

/// What an operator should know of a supplier's provider before its users do: read by the same code that signs them in.
package struct ProviderCheck: Sendable {
    package enum Grade: String, Sendable {
        case ok
        /// It may work all the same.
        case warning
        /// Nobody could sign in.
        case problem
    }

    package struct Finding: Sendable {
        package let grade: Grade
        package let subject: String
        /// One line; what the provider says in it is cut and made harmless.
        package let text: String

        package init(grade: Grade, subject: String, text: String) {
            self.grade = grade
            self.subject = subject
            self.text = text
        }
    }

    package private(set) var findings: [Finding] = []

    package var isInOrder: Bool { !findings.contains { $0.grade == .problem } }

    /// Asks the provider for its metadata and keys.
    package init(of client: OpenIDClient, through http: OutboundHTTPClient) async {
        let reader = ProviderHTTPClient(http: http)
        let source = ProviderMetadata.Source(client)
        let published: PublishedMetadata
        do throws(ProviderError) {
            published = try await reader.get(source.url, as: PublishedMetadata.self)
        } catch {
            add(.problem, "metadata", "\(source.url): \(error.what)")
            return
        }
        add(.ok, "metadata", source.url)
        add(issuer: published.metadata.issuer, expected: client.issuer.text)
        addEndpoints(of: published.metadata, client)
        addSupport(published, client)
        await addKeys(at: published.metadata.jwks_uri, of: client, reader)
    }

    private mutating func add(_ grade: Grade, _ subject: String, _ text: String) {
        findings.append(Finding(grade: grade, subject: subject, text: text))
    }

    private mutating func add(issuer: String, expected: String) {
        guard !issuer.isSame(as: expected) else { return add(.ok, "issuer", expected) }
        let says = "the metadata say \(Self.shown(issuer)), the supplier has \(expected)"
        let difference =
            if issuer.isSame(as: expected + "/") {
                "a / at its end is missing here"
            } else if expected.isSame(as: issuer + "/") {
                "the / at its end is too much here"
            } else if issuer.lowercased() == expected.lowercased() {
                "they differ in upper and lower case"
            } else if issuer.contains("{") {
                "the metadata stand for many tenants: use those of one"
            } else {
                "they have to be the same, byte for byte"
            }
        add(.problem, "issuer", "\(says): \(difference)")
    }

    private mutating func addEndpoints(of metadata: ProviderMetadata, _ client: OpenIDClient) {
        let endpoints = [
            ("authorization_endpoint", metadata.authorization_endpoint), ("token_endpoint", metadata.token_endpoint),
            ("jwks_uri", metadata.jwks_uri),
        ]
        for (name, url) in endpoints {
            let isUsable = ProviderMetadata.isUsable(url, of: client.issuer)
            add(isUsable ? .ok : .problem, name, Self.shown(url) + (isUsable ? "" : " is no https URL"))
        }
    }

    private mutating func addSupport(_ published: PublishedMetadata, _ client: OpenIDClient) {
        if let types = published.response_types_supported?.value, !types.contains("code") {
            add(.problem, "flow", "the metadata do not list the response type code")
        }
        let scopes = client.scopes.joined(separator: " ")
        if let known = published.scopes_supported?.value {
            let missing = client.scopes.filter { !known.contains($0) }
            let text = missing.isEmpty ? scopes : "the metadata do not list \(missing.joined(separator: " "))"
            add(missing.isEmpty ? .ok : .warning, "scopes", text)
        } else {
            add(.ok, "scopes", "\(scopes); the metadata list none")
        }
        switch published.code_challenge_methods_supported?.value {
        case let methods? where methods.contains("S256"): add(.ok, "PKCE", "S256")
        case nil: add(.warning, "PKCE", "the metadata do not say that S256 is supported; it is sent all the same")
        default: add(.warning, "PKCE", "the metadata list other methods than S256, which is what is sent")
        }
        let authentication = published.metadata.authentication(of: client)
        let known = published.token_endpoint_auth_methods_supported?.value ?? ["client_secret_basic"]
        let method = authentication == .unencodedBasic ? OpenIDClient.ClientAuthentication.basic : authentication
        let isListed = known.contains(method.rawValue)
        add(
            isListed ? .ok : .warning, "client secret",
            "sent as \(authentication.rawValue)\(isListed ? "" : ", which the metadata do not list")")
    }

    private mutating func addKeys(at url: String, of client: OpenIDClient, _ reader: ProviderHTTPClient) async {
        guard ProviderMetadata.isUsable(url, of: client.issuer) else { return }
        do throws(ProviderError) {
            let kinds = try await reader.get(url, as: ProviderKeySet.self).keys.map(\.kind.rawValue)
            let text =
                kinds.isEmpty
                ? "none that could verify an ID token" : "\(kinds.count): \(kinds.joined(separator: ", "))"
            add(kinds.isEmpty ? .problem : .ok, "keys", text)
        } catch {
            add(.problem, "keys", "\(Self.shown(url)): \(error.what)")
        }
    }

    private static func shown(_ text: String) -> String {
        let escaped = DisplayText.escaped(String(text.unicodeScalars.prefix(300)))
        return escaped.isEmpty ? "nothing" : String(escaped.unicodeScalars.prefix(300))
    }
}

/// With what only an operator is told.
private struct PublishedMetadata: Decodable, Sendable {
    let metadata: ProviderMetadata
    let scopes_supported: Lenient<[String]>?
    let response_types_supported: Lenient<[String]>?
    let code_challenge_methods_supported: Lenient<[String]>?
    let token_endpoint_auth_methods_supported: Lenient<[String]>?

    private enum CodingKeys: CodingKey {
        case scopes_supported, response_types_supported, code_challenge_methods_supported
        case token_endpoint_auth_methods_supported
    }

    init(from decoder: any Decoder) throws {
        metadata = try ProviderMetadata(from: decoder)
        let container = try decoder.container(keyedBy: CodingKeys.self)
        func texts(_ key: CodingKeys) throws -> Lenient<[String]>? {
            try container.decodeIfPresent(Lenient<[String]>.self, forKey: key)
        }
        scopes_supported = try texts(.scopes_supported)
        response_types_supported = try texts(.response_types_supported)
        code_challenge_methods_supported = try texts(.code_challenge_methods_supported)
        token_endpoint_auth_methods_supported = try texts(.token_endpoint_auth_methods_supported)
    }
}
