internal import LinkSessions

/// What a provider publishes of itself (OpenID Connect Discovery 1.0, section 3).
struct ProviderMetadata: Sendable, Decodable {
    /// Where a provider publishes it, and as whom.
    struct Source: Sendable, Hashable {
        let issuer: ProviderURL
        let url: String

        init(_ client: OpenIDClient) {
            issuer = client.issuer
            // Discovery 1.0, section 4.1: a slash at the end of the issuer goes.
            let base = issuer.text.hasSuffix("/") ? String(issuer.text.dropLast()) : issuer.text
            url = client.discoveryURL?.text ?? "\(base)/.well-known/openid-configuration"
        }
    }

    let issuer: String
    let authorization_endpoint: String
    let token_endpoint: String
    let jwks_uri: String
    private let userinfo_endpoint: Lenient<String>?
    private let token_endpoint_auth_methods_supported: Lenient<[String]>?
    private let response_modes_supported: Lenient<[String]>?
    /// Initiating User Registration via OpenID Connect 1.0, section 4.2.
    private let prompt_values_supported: Lenient<[String]>?
    private let authorization_response_iss_parameter_supported: Lenient<Bool>?

    static func fetch(from source: Source, by client: ProviderHTTPClient) async throws -> ProviderMetadata {
        let metadata = try await client.get(source.url, as: ProviderMetadata.self)
        try metadata.check(source.issuer)
        return metadata
    }

    /// The metadata is of this issuer (Discovery 1.0, section 4.3), and sends browser, code and client secret nowhere
    /// without encryption.
    func check(_ issuer: ProviderURL) throws(ProviderError) {
        guard !self.issuer.contains("{") else {
            throw .unavailable("its metadata stand for many tenants: the supplier needs those of its own")
        }
        guard self.issuer.isSame(as: issuer.text) else { throw .unavailable("its metadata names another issuer") }
        for endpoint in [authorization_endpoint, token_endpoint, jwks_uri] {
            guard Self.isUsable(endpoint, of: issuer) else {
                throw .unavailable("its metadata has an endpoint that is no https URL")
            }
        }
    }

    static func isUsable(_ endpoint: String, of issuer: ProviderURL) -> Bool {
        ProviderURL(endpoint).map { !$0.isLoopback || issuer.isLoopback } ?? false
    }
}

/// What the optional members come to.
extension ProviderMetadata {
    /// RFC 9207, section 3.
    var namesIssuerInResponses: Bool { authorization_response_iss_parameter_supported?.value == true }

    /// An access token goes there: one that is no https URL counts as absent.
    func userInfoEndpoint(of issuer: ProviderURL) -> String? {
        userinfo_endpoint?.value.flatMap { Self.isUsable($0, of: issuer) ? $0 : nil }
    }

    /// How the client secret is sent. A provider that names no method has basic (Discovery 1.0, section 3).
    func authentication(of client: OpenIDClient) -> OpenIDClient.ClientAuthentication {
        let methods = token_endpoint_auth_methods_supported?.value ?? []
        return client.authentication
            ?? (methods.contains("client_secret_post") && !methods.contains("client_secret_basic") ? .post : .basic)
    }

    /// A provider that names no mode answers in the query (Discovery 1.0, section 3).
    func responseMode(for client: OpenIDClient) -> OpenIDClient.ResponseMode {
        let modes = response_modes_supported?.value ?? []
        return client.responseMode ?? (modes.contains("form_post") && !modes.contains("query") ? .formPost : .query)
    }

    /// What asks the user for an account, who has been there before. Many providers refuse a `select_account` that they
    /// do not know, and none of them refuses `login`.
    func promptForAnotherAccount(at client: OpenIDClient) -> OpenIDClient.Prompt {
        let knowsSelection = prompt_values_supported?.value?.contains("select_account") == true
        return knowsSelection || client.prompt == .selectAccount ? .selectAccount : .login
    }
}
