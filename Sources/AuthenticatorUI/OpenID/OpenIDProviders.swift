internal import Foundation
internal import JWTKit
internal import LinkSessions
internal import OutboundHTTP

/// All suppliers' OpenID Connect providers that are in use, with what they publish.
struct OpenIDProviders: Sendable {
    /// How long what a provider publishes is kept.
    private static let lifetime = Duration.seconds(600)
    /// A key set that lacks the key that a token names is fetched anew, but not more often than this: tokens with
    /// made-up names must not make us flood a provider.
    private static let incompleteKeySetLifetime = Duration.seconds(60)

    private let client: ProviderHTTPClient
    private let metadataCache: Cache<ProviderURL, ProviderMetadata>
    /// By the URL of the set.
    private let keySetCache: Cache<String, ProviderKeySet>

    init(http: OutboundHTTPClient) {
        let client = ProviderHTTPClient(http: http)
        self.client = client
        metadataCache = Cache { try await ProviderMetadata.fetch(from: $0, by: client) }
        keySetCache = Cache { try await client.get($0, as: ProviderKeySet.self) }
    }

    func metadata(of client: OpenIDClient) async throws(ProviderError) -> ProviderMetadata {
        do {
            return try await metadataCache.value(of: client.issuer, youngerThan: Self.lifetime)
        } catch {
            throw error as? ProviderError ?? .unavailable("\(type(of: error))")
        }
    }

    /// Exchanges a callback's code for an ID token, and verifies it.
    func signIn(_ request: TokenRequest, nonce: String) async throws(ProviderError) -> IDToken {
        let metadata = try await metadata(of: request.client)
        let token = try await request.send(to: metadata, by: client)
        let keys = try await keySet(at: metadata.jwks_uri, for: try IDToken.keyID(of: token))
        return try await IDToken(
            verifying: token, keys: keys, issuer: request.client.issuer.text, clientID: request.client.clientID,
            nonce: nonce, now: Date().timeIntervalSince1970)
    }

    /// - Parameter keyID: the key that a token names, if it names one.
    private func keySet(at url: String, for keyID: String?) async throws(ProviderError) -> ProviderKeySet {
        do {
            let keySet = try await keySetCache.value(of: url, youngerThan: Self.lifetime)
            if keySet.keys.contains(where: { keyID == nil || $0.id == keyID }) { return keySet }
            return try await keySetCache.value(of: url, youngerThan: Self.incompleteKeySetLifetime)
        } catch {
            let cause = (error as? ProviderError)?.reason.cause ?? "\(type(of: error))"
            throw .idToken("the supplier's keys could not be had: \(cause)")
        }
    }
}

/// What was fetched lately. Callers that need the same at the same time share one request for it.
private actor Cache<Key: Hashable & Sendable, Value: Sendable> {
    private struct Entry {
        let since = ContinuousClock.now
        let value: Task<Value, any Error>
    }

    private let fetch: @Sendable (Key) async throws -> Value
    private var entries: [Key: Entry] = [:]

    init(fetch: @escaping @Sendable (Key) async throws -> Value) { self.fetch = fetch }

    /// Fetches the value where it is not younger than this. A failure is not cached: what was there before stays, and
    /// the next caller asks again.
    func value(of key: Key, youngerThan age: Duration) async throws -> Value {
        let before = entries[key]
        if let before, ContinuousClock.now - before.since < age { return try await before.value.value }
        let entry = Entry(value: Task { [fetch] in try await fetch(key) })
        entries[key] = entry
        do {
            return try await entry.value.value
        } catch {
            if entries[key]?.since == entry.since { entries[key] = before }
            throw error
        }
    }
}

/// What a provider publishes of itself (OpenID Connect Discovery 1.0, section 3).
struct ProviderMetadata: Sendable, Decodable {
    let issuer: String
    let authorization_endpoint: String
    let token_endpoint: String
    let jwks_uri: String
    let token_endpoint_auth_methods_supported: [String]?
    /// RFC 9207, section 3.
    let authorization_response_iss_parameter_supported: Bool?

    static func fetch(from issuer: ProviderURL, by client: ProviderHTTPClient) async throws -> ProviderMetadata {
        // Discovery 1.0, section 4.1: a slash at the end of the issuer goes.
        let base = issuer.text.hasSuffix("/") ? String(issuer.text.dropLast()) : issuer.text
        let metadata = try await client.get("\(base)/.well-known/openid-configuration", as: ProviderMetadata.self)
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

/// The keys that a provider publishes: a JWK set (RFC 7517, section 5), as far as its keys are of kinds that are known here: others are left out, as the
/// section asks for.
struct ProviderKeySet: Sendable, Decodable {
    struct Key: Sendable, Decodable {
        let jwk: JWK
        /// Whether its `use` lets it verify signatures (RFC 7517, section 4.2); a key for encryption never does.
        let isForSignatures: Bool

        var id: String? { jwk.keyIdentifier?.string }

        private enum CodingKeys: CodingKey { case use }

        init(from decoder: any Decoder) throws {
            let use = try decoder.container(keyedBy: CodingKeys.self).decodeIfPresent(String.self, forKey: .use)
            isForSignatures = use == nil || use == "sig"
            jwk = try JWK(from: decoder)
        }
    }

    let keys: [Key]

    private enum CodingKeys: CodingKey { case keys }

    private struct Element: Decodable {
        let key: Key?

        init(from decoder: any Decoder) { key = try? Key(from: decoder) }
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        keys = try container.decode([Element].self, forKey: .keys).compactMap(\.key)
    }
}
