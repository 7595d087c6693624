internal import AsyncHTTPClient
internal import Foundation
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOCore
internal import NIOHTTP1

/// Requests to providers, each with a limit of size and of time.
enum ProviderHTTPClient {
    /// From the connection's start to the body's end.
    private static let deadline = Duration.seconds(4)
    /// Of a body, in bytes.
    private static let maximumSize = 256 * 1024

    /// One for the whole process, so that connections are used again; it is never shut down. It follows no redirect:
    /// what a provider publishes says where its endpoints are.
    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout = .init(connect: .seconds(2), read: .seconds(3), write: .seconds(3))
        // A small body must not become a large one here.
        configuration.decompression = .disabled
        configuration.connectionPool = .init(
            idleTimeout: .seconds(30), concurrentHTTP1ConnectionsPerHostSoftLimit: 256)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    /// What is published at a URL, read as JSON.
    static func get<Value: Decodable & Sendable>(_ url: String, as _: Value.Type) async throws -> Value {
        var request = HTTPClientRequest(url: url)
        request.headers.add(name: "accept", value: "application/json")
        let (status, body) = try await send(request)
        guard status == .ok else { throw ProviderError.unavailable("status \(status.code)") }
        guard let value = try? JSONDecoder().decode(Value.self, from: body) else {
            throw ProviderError.unavailable("what it publishes cannot be read")
        }
        return value
    }

    /// Status and body of the answer.
    static func send(_ request: HTTPClientRequest) async throws -> (HTTPResponseStatus, Data) {
        try await withThrowingTaskGroup(of: (HTTPResponseStatus, Data).self) { group in
            group.addTask {
                let response = try await http.execute(request, timeout: .seconds(4))
                let body = try await response.body.collect(upTo: maximumSize)
                return (response.status, Data(body.readableBytesView))
            }
            // The client's read timeout begins anew with every byte: alone it would let a body come slowly for long.
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

/// The exchange of a code for an ID token (RFC 6749, section 4.1.3; RFC 7636, section 4.5).
struct TokenRequest: Sendable {
    let client: OpenIDClient
    let clientSecret: String
    let code: String
    let redirectURI: String
    let codeVerifier: String

    private struct TokenResponse: Decodable { let id_token: String }

    /// The ID token of the answer, not verified yet.
    func send(to metadata: ProviderMetadata) async throws(ProviderError) -> String {
        let (status, body): (HTTPResponseStatus, Data)
        do {
            (status, body) = try await ProviderHTTPClient.send(request(to: metadata))
        } catch {
            throw error as? ProviderError ?? .failed("no answer from its token endpoint: \(type(of: error))")
        }
        guard status == .ok else {
            let what = "status \(status.code)"
            throw (400..<500).contains(status.code) ? .codeRefused(what) : .failed(what)
        }
        guard let response = try? JSONDecoder().decode(TokenResponse.self, from: body) else {
            throw .failed("its token response has no ID token")
        }
        return response.id_token
    }

    private func request(to metadata: ProviderMetadata) -> HTTPClientRequest {
        var request = HTTPClientRequest(url: metadata.token_endpoint)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/x-www-form-urlencoded")
        request.headers.add(name: "accept", value: "application/json")
        var fields = [
            ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirectURI),
            ("code_verifier", codeVerifier),
        ]
        // RFC 6749, section 2.3.1. A provider that names no method has basic (Discovery 1.0, section 3).
        let methods = metadata.token_endpoint_auth_methods_supported ?? ["client_secret_basic"]
        if methods.contains("client_secret_basic") || !methods.contains("client_secret_post") {
            let credentials = "\(PercentEncoding.encode(client.clientID)):\(PercentEncoding.encode(clientSecret))"
            request.headers.add(
                name: "authorization", value: "Basic \(Data(credentials.utf8).base64EncodedString())")
        } else {
            fields += [("client_id", client.clientID), ("client_secret", clientSecret)]
        }
        request.body = .bytes(ByteBuffer(string: FormFields.encode(fields)))
        return request
    }
}

/// Why a supplier's provider signed nobody in. Holds no secret and no personal data.
enum ProviderError: Error {
    /// It could not be reached, or what it publishes cannot be used.
    case unavailable(String)
    /// It did not accept the code.
    case codeRefused(String)
    /// It answered with what cannot be read.
    case failed(String)
    /// Its ID token was not accepted.
    case idToken(String)

    /// What is recorded of the sign-in, and what is logged.
    var reason: (refusal: SignInRefusal, cause: String) {
        switch self {
        case .unavailable(let what): (.supplierUnavailable, "the supplier is unavailable: \(what)")
        case .codeRefused(let what): (.codeRefused, "the supplier refused the code: \(what)")
        case .failed(let what): (.supplierFailed, "the supplier failed: \(what)")
        case .idToken(let what): (.idTokenInvalid, "the ID token is invalid: \(what)")
        }
    }
}
