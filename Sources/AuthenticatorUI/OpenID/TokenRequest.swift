// The exchange of a code for an ID token.

internal import AsyncHTTPClient
internal import Foundation
internal import LinkSessions
internal import NIOCore
internal import NIOHTTP1

/// What we are at a provider, with the secret that proves it.
struct ConfidentialClient: Sendable {
    let client: OpenIDClient
    let secret: String
}

/// RFC 6749, section 4.1.3; RFC 7636, section 4.5.
struct TokenRequest: Sendable {
    let client: ConfidentialClient
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
            guard (400..<500).contains(status.code) else { throw .failed("status \(status.code)") }
            throw .codeRefused("status \(status.code)")
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
            let credentials =
                "\(PercentEncoding.encode(client.client.clientID)):\(PercentEncoding.encode(client.secret))"
            request.headers.add(
                name: "authorization", value: "Basic \(Data(credentials.utf8).base64EncodedString())")
        } else {
            fields += [("client_id", client.client.clientID), ("client_secret", client.secret)]
        }
        request.body = .bytes(ByteBuffer(string: FormFields.encode(fields)))
        return request
    }
}
