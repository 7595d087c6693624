internal import APIKeyAuth
internal import HTTPServer
internal import JSON
internal import LinkSessions
internal import NIOHTTP1
internal import TokenGenerator

/// Who is calling: decided from the head of a request, before its body is read.
extension APIKeyCache {
    /// The manufacturer whose key the request carries, which is noted for the log.
    func manufacturer(of request: Request) throws(AuthenticationError) -> ManufacturerCaller {
        let caller = try manufacturer(forKey: try Self.key(in: request))
        request.record.caller = caller.manufacturer.id.number
        return caller
    }

    func checkAuthenticator(_ request: Request) throws(AuthenticationError) {
        try checkAuthenticator(key: try Self.key(in: request))
    }

    private static func key(in request: Request) throws(AuthenticationError) -> String {
        let keys = request.headers["x-api-key"]
        guard keys.count == 1, let key = keys.first else { throw .unauthorized }
        return key
    }
}

extension Request {
    /// The body as a JSON object, at most 16 KiB.
    func jsonBody() async throws -> JSONObject {
        try JSONObject(try await body(ofType: "application/json"))
    }

    /// The token in the path and its digest; a malformed one is as unknown as any other.
    func linkToken() throws -> (LinkToken, SHA256Digest) {
        guard let token = LinkToken(parameter) else { throw ErrorAnswer.linkSessionNotFound }
        return (token, try SHA256.digest(of: token.characters))
    }
}

extension JSONObject {
    func string(_ name: String, _ rule: ValidationError.Rule) throws(ValidationError) -> String {
        guard case .string(let text) = self[name] else {
            throw ValidationError(rule, "\(name) is required and must be a string")
        }
        return text
    }
}
