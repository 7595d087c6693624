// What a provider publishes of itself.

internal import LinkSessions

/// OpenID Connect Discovery 1.0, section 3.
struct ProviderMetadata: Sendable, Decodable {
    let issuer: String
    let authorization_endpoint: String
    let token_endpoint: String
    let jwks_uri: String
    let token_endpoint_auth_methods_supported: [String]?
    /// RFC 9207, section 3.
    let authorization_response_iss_parameter_supported: Bool?

    static func fetch(from issuer: ProviderURL) async throws -> ProviderMetadata {
        // Discovery 1.0, section 4.1: a slash at the end of the issuer goes.
        let base = issuer.text.hasSuffix("/") ? String(issuer.text.dropLast()) : issuer.text
        let metadata = try await ProviderHTTPClient.get(
            "\(base)/.well-known/openid-configuration", as: ProviderMetadata.self)
        try metadata.check(issuer)
        return metadata
    }

    /// The metadata is of this issuer (Discovery 1.0, section 4.3), and sends browser, code and client secret nowhere
    /// without encryption.
    func check(_ issuer: ProviderURL) throws(ProviderError) {
        guard self.issuer.isSame(as: issuer.text) else { throw .unavailable("its metadata names another issuer") }
        for endpoint in [authorization_endpoint, token_endpoint, jwks_uri] {
            guard let url = ProviderURL(endpoint), !url.isLoopback || issuer.isLoopback else {
                throw .unavailable("its metadata has an endpoint that is no https URL")
            }
        }
    }
}
