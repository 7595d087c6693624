// Who is calling: decided from the head of a request, before its body is read.

internal import APIKeyAuth
internal import HTTPServer
internal import LinkSessions
internal import NIOHTTP1

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
