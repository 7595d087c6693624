// Suppliers' OpenID Connect providers, and the caches of what they publish.

internal import Foundation
internal import LinkSessions

/// All providers that are in use. Callers that need the same at the same time share one request for it.
actor OpenIDProviders {
    private static let metadataLifetime = Duration.seconds(600)
    private static let keySetLifetime = Duration.seconds(600)
    /// A key set that lacks the key that a token names is fetched anew, but not more often than this: tokens with
    /// made-up names must not make us flood a provider.
    private static let incompleteKeySetLifetime = Duration.seconds(60)
    /// Callers within this time share a request for a key set.
    private static let sharingInterval = Duration.seconds(1)

    private struct CacheEntry<Value: Sendable> {
        let since: ContinuousClock.Instant
        let value: Task<Value, any Error>

        func isYounger(than age: Duration) -> Bool { ContinuousClock.now - since < age }
    }

    private var metadataCache: [ProviderURL: CacheEntry<ProviderMetadata>] = [:]
    /// By the URL of the set.
    private var keySetCache: [String: CacheEntry<ProviderKeySet>] = [:]

    func metadata(of client: OpenIDClient) async throws(ProviderError) -> ProviderMetadata {
        let issuer = client.issuer
        let entry: CacheEntry<ProviderMetadata>
        if let cached = metadataCache[issuer], cached.isYounger(than: Self.metadataLifetime) {
            entry = cached
        } else {
            entry = CacheEntry(since: .now, value: Task { try await ProviderMetadata.fetch(from: issuer) })
            metadataCache[issuer] = entry
        }
        do {
            return try await entry.value.value
        } catch {
            // A failure is not cached: the next caller asks again.
            if metadataCache[issuer]?.since == entry.since { metadataCache[issuer] = nil }
            throw error as? ProviderError ?? .unavailable("\(type(of: error))")
        }
    }

    /// Exchanges a callback's code for an ID token, and verifies it.
    func signIn(_ request: TokenRequest, nonce: String) async throws(ProviderError) -> IDToken {
        let client = request.client.client
        let metadata = try await metadata(of: client)
        let token = try await request.send(to: metadata)
        do throws(IDTokenError) {
            let keys = try await keySet(at: metadata.jwks_uri, for: try IDToken.keyID(of: token))
            return try await IDToken(
                verifying: token, keys: keys, issuer: client.issuer.text, clientID: client.clientID, nonce: nonce,
                now: Date().timeIntervalSince1970)
        } catch {
            throw .idToken(error)
        }
    }

    /// - Parameter keyID: the key that a token names, if it names one.
    private func keySet(at url: String, for keyID: String?) async throws(IDTokenError) -> ProviderKeySet {
        if let cached = keySetCache[url], cached.isYounger(than: Self.keySetLifetime),
            let keySet = try? await cached.value.value
        {
            let hasKey = keySet.keys.contains { keyID == nil || $0.id == keyID }
            if hasKey || cached.isYounger(than: Self.incompleteKeySetLifetime) { return keySet }
        }
        let entry: CacheEntry<ProviderKeySet>
        let before = keySetCache[url]
        if let before, before.isYounger(than: Self.sharingInterval) {
            entry = before
        } else {
            entry = CacheEntry(
                since: .now, value: Task { try await ProviderHTTPClient.get(url, as: ProviderKeySet.self) })
            keySetCache[url] = entry
        }
        do {
            return try await entry.value.value
        } catch {
            // A set that was good stays until another is there, or its time is over.
            if keySetCache[url]?.since == entry.since { keySetCache[url] = before?.since == entry.since ? nil : before }
            throw IDTokenError(what: "the supplier's keys could not be had")
        }
    }
}
