internal import Foundation
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOCore
internal import NIOHTTP1
internal import OutboundHTTP

/// Requests to providers, each with a limit of size and of time.
struct ProviderHTTPClient: Sendable {
    let http: OutboundHTTPClient

    /// What is published at a URL, read as JSON.
    func get<Value: Decodable & Sendable>(_ url: String, as _: Value.Type) async throws(ProviderError) -> Value {
        var request = OutboundHTTPRequest(url: url)
        request.headers.add(name: "accept", value: "application/json")
        let response: OutboundHTTPResponse
        do {
            response = try await send(request)
        } catch {
            throw .unavailable(Self.cause(of: error))
        }
        guard response.status == .ok else { throw .unavailable("status \(response.status.code)") }
        guard let value = try? JSONDecoder().decode(Value.self, from: Data(response.body.readableBytesView)) else {
            throw .unavailable("what it publishes cannot be read")
        }
        return value
    }

    func send(_ request: OutboundHTTPRequest) async throws -> OutboundHTTPResponse {
        try await http.send(request, within: .seconds(4), maximumSize: 256 * 1024)
    }

    /// Why there was no answer, as the log says it.
    static func cause(of error: any Error) -> String {
        switch error as? OutboundHTTPError {
        case .addressNotPublic: "the provider's address is not public"
        case .nameUnknown: "the provider's name has no address"
        case .invalidURL: "a URL of the provider is invalid"
        case .timedOut: "no answer in time"
        case .tooManyRequests: "too many requests to providers are under way"
        case .closed: "the connection ended before the answer"
        case nil: "\(type(of: error))"
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
    func send(to metadata: ProviderMetadata, by client: ProviderHTTPClient) async throws(ProviderError) -> String {
        let answer: OutboundHTTPResponse
        do {
            answer = try await client.send(request(to: metadata))
        } catch {
            throw .failed("no answer from its token endpoint: \(ProviderHTTPClient.cause(of: error))")
        }
        guard answer.status == .ok else {
            let what = "status \(answer.status.code)"
            throw (400..<500).contains(answer.status.code) ? .codeRefused(what) : .failed(what)
        }
        let body = Data(answer.body.readableBytesView)
        guard let response = try? JSONDecoder().decode(TokenResponse.self, from: body) else {
            throw .failed("its token response has no ID token")
        }
        return response.id_token
    }

    private func request(to metadata: ProviderMetadata) -> OutboundHTTPRequest {
        var request = OutboundHTTPRequest(url: metadata.token_endpoint)
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
        request.body = ByteBuffer(string: FormFields.encode(fields))
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
