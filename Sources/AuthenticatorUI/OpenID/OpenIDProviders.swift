internal import Foundation
internal import LinkSessions
internal import NIOCore
internal import OutboundHTTP

/// All suppliers' OpenID Connect providers that are in use, with what they publish.
struct OpenIDProviders: Sendable {
    private let client: ProviderHTTPClient
    private let metadataCache: PublishedCache<ProviderMetadata.Source, ProviderMetadata>
    /// By the URL of the set.
    private let keySetCache: PublishedCache<String, ProviderKeySet>

    init(http: OutboundHTTPClient) {
        let client = ProviderHTTPClient(http: http)
        self.client = client
        metadataCache = PublishedCache { try await ProviderMetadata.fetch(from: $0, by: client) }
        keySetCache = PublishedCache { try await client.get($0, as: ProviderKeySet.self) }
    }

    func metadata(of client: OpenIDClient) async throws(ProviderError) -> ProviderMetadata {
        do {
            return try await metadataCache.value(of: ProviderMetadata.Source(client))
        } catch {
            throw error as? ProviderError ?? .unavailable("\(type(of: error))")
        }
    }

    /// Exchanges a callback's code for an ID token, and verifies it.
    func signIn(_ request: TokenRequest, nonce: String) async throws(ProviderError) -> IDToken {
        let end = ContinuousClock.now + Self.longest
        let metadata = try await metadata(of: request.client)
        // Whatever can fail without the code does so before the code is spent.
        _ = try await keySet(at: metadata.jwks_uri)
        let response = try await request.send(to: metadata, by: client, within: Self.remaining(of: .seconds(10), end))
        var token = try IDToken(
            checking: try await claims(of: response.id_token, metadata), of: response.id_token,
            issuer: request.client.issuer.text, clientID: request.client.clientID, nonce: nonce,
            maxAge: request.client.maxAge, now: Date().timeIntervalSince1970)
        if token.profile.email == nil, let accessToken = response.accessToken,
            let endpoint = metadata.userInfoEndpoint(of: request.client.issuer)
        {
            await token.add(userInfo(at: endpoint, accessToken, within: Self.remaining(of: .seconds(3), end)))
        }
        return token
    }

    /// How long a sign-in may take in all: after 20 s its page takes it for lost.
    private static let longest = Duration.seconds(19)

    private static func remaining(of most: Duration, _ end: ContinuousClock.Instant) -> TimeAmount {
        TimeAmount(max(.milliseconds(1), min(most, end - .now)))
    }

    /// The keys may have changed since they were fetched.
    private func claims(
        of token: String, _ metadata: ProviderMetadata
    ) async throws(ProviderError) -> IDTokenClaims {
        do throws(ProviderError) {
            return try await IDTokenClaims(verifying: token, keys: try await keySet(at: metadata.jwks_uri))
        } catch .idToken(let what) {
            let keys = try await keySet(at: metadata.jwks_uri, isRenewed: true)
            guard let claims = try? await IDTokenClaims(verifying: token, keys: keys) else { throw .idToken(what) }
            return claims
        }
    }

    private func keySet(at url: String, isRenewed: Bool = false) async throws(ProviderError) -> ProviderKeySet {
        do {
            return try await keySetCache.value(of: url, isRenewed: isRenewed)
        } catch {
            let cause = (error as? ProviderError)?.what ?? "\(type(of: error))"
            let failure = ProviderError.unavailable("its keys could not be had: \(cause)")
            if case .byBrowser? = error as? ProviderError { throw .byBrowser(failure) }
            throw failure
        }
    }

    /// What the provider tells of its user beside the ID token. It is only shown: nobody fails to sign in without it.
    private func userInfo(
        at url: String, _ accessToken: String, within timeout: TimeAmount
    ) async -> Result<UserInfo, ProviderError> {
        do throws(ProviderError) {
            return .success(
                try await client.get(url, as: UserInfo.self, bearer: accessToken, within: timeout))
        } catch {
            return .failure(error)
        }
    }
}
