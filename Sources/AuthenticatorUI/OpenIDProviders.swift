// Suppliers' OpenID Connect providers: metadata, keys, and the exchange of a code.

internal import AsyncHTTPClient
internal import Foundation
internal import LinkSessions
internal import NIOCore
internal import NIOHTTP1

/// What a provider publishes of itself (OpenID Connect Discovery 1.0, section 3).
struct ProviderMetadata: Sendable, Decodable {
    let issuer: String
    let authorization_endpoint: String
    let token_endpoint: String
    let jwks_uri: String
    let token_endpoint_auth_methods_supported: [String]?
    /// RFC 9207, section 3.
    let authorization_response_iss_parameter_supported: Bool?
}

/// Why a supplier's provider was of no use; holds no secret and no personal data.
enum ProviderError: Error {
    /// It could not be reached, or what it publishes cannot be used.
    case unavailable(String)
    /// The code was not accepted.
    case codeRefused(String)
    /// It answered with what cannot be read.
    case failed(String)
    case idToken(IDTokenError)

    var cause: String {
        switch self {
        case .unavailable(let what): "the supplier is unavailable: \(what)"
        case .codeRefused(let what): "the supplier refused the code: \(what)"
        case .failed(let what): "the supplier failed: \(what)"
        case .idToken(let problem): "the ID token is invalid: \(problem.what)"
        }
    }
}

/// A provider's client with its secret.
struct ConfidentialClient: Sendable {
    let client: OpenIDClient
    let secret: String
}

/// All providers that are in use. Metadata and keys are kept for ten minutes; keys that lack one that is asked for, for a
/// minute.
actor OpenIDProviders {
    private static let metadataLifetime = Duration.seconds(600)
    private static let keysLifetime = Duration.seconds(600)
    private static let keysShortestLifetime = Duration.seconds(60)
    private static let deadline = Duration.seconds(4)
    private static let maximumSize = 256 * 1024

    private struct Fetched<Value: Sendable> {
        let since: ContinuousClock.Instant
        let value: Task<Value, any Error>

        func isYounger(than age: Duration) -> Bool { ContinuousClock.now - since < age }
    }

    private var metadata: [ProviderURL: Fetched<ProviderMetadata>] = [:]
    private var keys: [String: Fetched<ProviderKeys>] = [:]

    /// The issuer's metadata; callers at the same time share one request.
    func metadata(of client: OpenIDClient) async throws(ProviderError) -> ProviderMetadata {
        let issuer = client.issuer
        let fetched: Fetched<ProviderMetadata>
        if let known = metadata[issuer], known.isYounger(than: Self.metadataLifetime) {
            fetched = known
        } else {
            fetched = Fetched(since: .now, value: Task { try await Self.fetchMetadata(of: issuer) })
            metadata[issuer] = fetched
        }
        do {
            return try await fetched.value.value
        } catch {
            // The next one tries again.
            if metadata[issuer]?.since == fetched.since { metadata[issuer] = nil }
            throw error as? ProviderError ?? .unavailable("\(type(of: error))")
        }
    }

    /// Exchanges a code for an ID token, and verifies it (RFC 6749, section 4.1.3; RFC 7636, section 4.5).
    func signIn(
        _ client: ConfidentialClient, code: String, redirectURI: String, codeVerifier: String, nonce: String
    ) async throws(ProviderError) -> IDToken {
        let metadata = try await metadata(of: client.client)
        let token = try await Self.exchange(
            code, at: metadata, client, redirectURI: redirectURI, codeVerifier: codeVerifier)
        do throws(IDTokenError) {
            let keyID = try IDToken.keyID(of: token)
            let keys = try await keys(at: metadata.jwks_uri, for: keyID)
            return try await IDToken(
                verifying: token, keys: keys, issuer: client.client.issuer.text, clientID: client.client.clientID,
                nonce: nonce, now: Date().timeIntervalSince1970)
        } catch {
            throw .idToken(error)
        }
    }

    private func keys(at url: String, for keyID: String?) async throws(IDTokenError) -> ProviderKeys {
        if let known = keys[url], known.isYounger(than: Self.keysLifetime) {
            if let value = try? await known.value.value {
                let hasKey = value.keys.contains { keyID == nil || $0.id == keyID }
                if hasKey || known.isYounger(than: Self.keysShortestLifetime) { return value }
            }
        }
        let fetched: Fetched<ProviderKeys>
        let before = keys[url]
        if let before, before.isYounger(than: .seconds(1)) {
            fetched = before
        } else {
            fetched = Fetched(since: .now, value: Task { try await Self.get(url, as: ProviderKeys.self) })
            keys[url] = fetched
        }
        do {
            return try await fetched.value.value
        } catch {
            // Those that were good stay so until others are there, or their time is over.
            if keys[url]?.since == fetched.since { keys[url] = before?.since == fetched.since ? nil : before }
            throw IDTokenError(what: "the supplier's keys could not be had")
        }
    }
}

extension OpenIDProviders {
    /// Lives as long as the process.
    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout = .init(connect: .seconds(2), read: .seconds(3), write: .seconds(3))
        configuration.decompression = .disabled
        configuration.connectionPool = .init(
            idleTimeout: .seconds(30), concurrentHTTP1ConnectionsPerHostSoftLimit: 256)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    private static func fetchMetadata(of issuer: ProviderURL) async throws -> ProviderMetadata {
        // Discovery 1.0, section 4.1: a slash at the end of the issuer goes.
        let base = issuer.text.hasSuffix("/") ? String(issuer.text.dropLast()) : issuer.text
        let metadata = try await get("\(base)/.well-known/openid-configuration", as: ProviderMetadata.self)
        guard metadata.issuer.isSame(as: issuer.text) else {
            throw ProviderError.unavailable("its metadata names another issuer")
        }
        for endpoint in [metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri] {
            guard let url = ProviderURL(endpoint), !url.isLoopback || issuer.isLoopback else {
                throw ProviderError.unavailable("its metadata has an endpoint that is no https URL")
            }
        }
        return metadata
    }

    private static func get<Value: Decodable & Sendable>(_ url: String, as _: Value.Type) async throws -> Value {
        var request = HTTPClientRequest(url: url)
        request.headers.add(name: "accept", value: "application/json")
        let (status, body) = try await send(request)
        guard status == .ok else { throw ProviderError.unavailable("status \(status.code)") }
        do {
            return try JSONDecoder().decode(Value.self, from: body)
        } catch {
            throw ProviderError.unavailable("what it publishes cannot be read")
        }
    }

    private struct TokenResponse: Decodable { let id_token: String }

    private static func exchange(
        _ code: String, at metadata: ProviderMetadata, _ client: ConfidentialClient, redirectURI: String,
        codeVerifier: String
    ) async throws(ProviderError) -> String {
        var request = HTTPClientRequest(url: metadata.token_endpoint)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/x-www-form-urlencoded")
        request.headers.add(name: "accept", value: "application/json")
        var fields = [
            ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirectURI),
            ("code_verifier", codeVerifier),
        ]
        // RFC 6749, section 2.3.1; basic is the method where none is named (Discovery 1.0, section 3).
        let methods = metadata.token_endpoint_auth_methods_supported ?? ["client_secret_basic"]
        if methods.contains("client_secret_basic") || !methods.contains("client_secret_post") {
            let credentials =
                "\(PercentEncoding.encode(client.client.clientID)):\(PercentEncoding.encode(client.secret))"
            request.headers.add(
                name: "authorization", value: "Basic \(Data(credentials.utf8).base64EncodedString())")
        } else {
            fields += [("client_id", client.client.clientID), ("client_secret", client.secret)]
        }
        request.body = .bytes(ByteBuffer(string: FormFields.encode(fields)))
        let (status, body): (HTTPResponseStatus, Data)
        do {
            (status, body) = try await send(request)
        } catch {
            throw error as? ProviderError ?? .failed("no answer from its token endpoint: \(type(of: error))")
        }
        guard status == .ok else {
            guard (400..<500).contains(status.code) else { throw .failed("status \(status.code)") }
            throw .codeRefused("status \(status.code)")
        }
        guard let response = try? JSONDecoder().decode(TokenResponse.self, from: body) else {
            throw .failed("its token response has no ID token")
        }
        return response.id_token
    }

    /// Head and body, at most 256 KiB, before the deadline.
    private static func send(_ request: HTTPClientRequest) async throws -> (HTTPResponseStatus, Data) {
        try await withThrowingTaskGroup(of: (HTTPResponseStatus, Data).self) { group in
            group.addTask {
                let response = try await http.execute(request, timeout: .seconds(4))
                let body = try await response.body.collect(upTo: maximumSize)
                return (response.status, Data(body.readableBytesView))
            }
            group.addTask {
                try await Task.sleep(for: deadline)
                throw ProviderError.unavailable("no answer in time")
            }
            defer { group.cancelAll() }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }
}
