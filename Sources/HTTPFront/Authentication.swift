// Who is calling: decided from the head of a request, before its body is read.

internal import APIKeyAuth
internal import LinkSessions
internal import NIOHTTP1

extension KeyRing {
    /// The manufacturer whose key the request carries, which is noted for the log.
    func manufacturer(of request: Request) throws(APIError) -> ManufacturerCaller {
        do throws(AuthenticationError) {
            let caller = try manufacturer(forKey: try Self.key(in: request))
            request.record.manufacturerID = caller.manufacturer.id
            return caller
        } catch {
            throw APIError(error)
        }
    }

    func checkAuthenticator(_ request: Request) throws(APIError) {
        do throws(AuthenticationError) {
            try checkAuthenticator(key: try Self.key(in: request))
        } catch {
            throw APIError(error)
        }
    }

    private static func key(in request: Request) throws(AuthenticationError) -> String {
        let keys = request.headers["x-api-key"]
        guard keys.count == 1, let key = keys.first else { throw .unauthorized }
        return key
    }
}

extension APIError {
    init(_ error: AuthenticationError) {
        switch error {
        case .unauthorized: self = .unauthorized
        case .unavailable: self = .unavailable(cause: "the API keys were not confirmed within a second")
        }
    }
}
