internal import Foundation
internal import LinkSessions
internal import NIOCore
internal import NIOHTTP1
internal import OutboundHTTP

/// The exchange of a code for an ID token (RFC 6749, section 4.1.3; RFC 7636, section 4.5).
struct TokenRequest: Sendable {
    let client: OpenIDClient
    let clientSecret: String
    let code: String
    let redirectURI: String
    let codeVerifier: String

    /// What the token endpoint answers with, not verified yet. Members that are not looked at may be of any type.
    func send(
        to metadata: ProviderMetadata, by client: ProviderHTTPClient, within timeout: TimeAmount
    ) async throws(ProviderError) -> TokenResponse {
        let answer: OutboundHTTPResponse
        do {
            answer = try await client.send(request(to: metadata), within: timeout)
        } catch {
            throw .noAnswer(error) { .failed("no answer from its token endpoint: \($0)") }
        }
        let decoder = JSONDecoder()
        let error = try? decoder.decode(TokenErrorResponse.self, from: answer.json)
        let refusal = error?.text(without: secrets)
        let refusesClient = error?.isAboutClient ?? (answer.status == .unauthorized)
        guard answer.isSuccess else {
            let what = "\(answer.statusText)\(refusal.map { ", \($0)" } ?? "")"
            throw (400..<500).contains(answer.status.code) && !refusesClient ? .codeRefused(what) : .failed(what)
        }
        guard let response = try? decoder.decode(TokenResponse.self, from: answer.json) else {
            if let refusal { throw refusesClient ? .failed(refusal) : .codeRefused(refusal) }
            if let text = answer.encodingText { throw .failed(text) }
            // Nor has it one where the scope openid was not asked for.
            throw .byBrowser(.failed("its token response has no ID token"))
        }
        return response
    }

    /// What must stand in no log, though a provider says it.
    private var secrets: [String] { [code, clientSecret, codeVerifier] }

    private func request(to metadata: ProviderMetadata) -> OutboundHTTPRequest {
        var request = OutboundHTTPRequest(url: metadata.token_endpoint)
        request.method = .POST
        request.headers.add(name: "content-type", value: "application/x-www-form-urlencoded")
        request.headers.add(name: "accept", value: "application/json")
        var fields = [
            ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirectURI),
            ("code_verifier", codeVerifier),
        ]
        switch metadata.authentication(of: client) {
        case .basic:
            request.authorize(PercentEncoding.encode(client.clientID), PercentEncoding.encode(clientSecret))
        case .unencodedBasic: request.authorize(client.clientID, clientSecret)
        case .post: fields += [("client_id", client.clientID), ("client_secret", clientSecret)]
        }
        request.body = ByteBuffer(string: FormFields.encode(fields))
        return request
    }
}

extension OutboundHTTPRequest {
    /// RFC 7617, section 2.
    fileprivate mutating func authorize(_ id: String, _ secret: String) {
        headers.add(name: "authorization", value: "Basic \(Data("\(id):\(secret)".utf8).base64EncodedString())")
    }
}

/// OpenID Connect Core 1.0, section 3.1.3.3.
struct TokenResponse: Decodable {
    let id_token: String
    private let access_token: Lenient<String>?

    /// For the UserInfo endpoint: `nil` where it is none that an HTTP header can carry.
    var accessToken: String? {
        access_token?.value.flatMap { token in
            !token.isEmpty && token.utf8.count <= 16_384 && token.utf8.allSatisfy(\.isVisibleASCII) ? token : nil
        }
    }
}

/// RFC 6749, section 5.2.
private struct TokenErrorResponse: Decodable {
    let error: String
    let error_description: Lenient<String>?

    /// Our id, our secret or what we may do is wrong: nothing that a browser brought.
    var isAboutClient: Bool { ["invalid_client", "unauthorized_client"].contains(error) }

    func text(without secrets: [String]) -> String {
        ProviderText.error(error, error_description?.value, without: secrets)
    }
}
