// What the resources read from a request.

internal import HTTPServer
internal import JSON
internal import LinkSessions
internal import TokenGenerator

extension Request {
    /// The body as a JSON object, at most 16 KiB.
    func jsonBody() async throws -> JSONObject {
        try JSONObject(try await body(ofType: "application/json"))
    }

    /// The token in the path and its digest; a malformed one is as unknown as any other.
    func linkToken() throws -> (LinkToken, SHA256Digest) {
        guard let token = LinkToken(parameter) else { throw APIError.linkSessionNotFound }
        return (token, try SHA256.digest(of: token.characters))
    }
}
