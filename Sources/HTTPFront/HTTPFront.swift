// The API: its resources, and the one way from a handler's error to an answer.

package import APIKeyAuth
package import HTTPServer
package import LinkSessionRepository
package import ReturnLinks
package import TokenGenerator

/// What manufacturers' backends, the Authenticator and load balancers ask for.
package struct HTTPFront: Sendable {
    private let manufacturers: ManufacturerLinkSessions
    private let authenticator: AuthenticatorLinkSessions
    private let keySet: JSONWebKeySet
    private let health: Health

    /// - Parameter publicBaseURL: what every `link_url` starts with, without a slash at the end.
    package init(
        publicBaseURL: String, apiKeys: APIKeyCache, sessions: LinkSessionRepository, returnLinks: ReturnLinks,
        tokenGenerator: TokenGenerator, readiness: Readiness
    ) {
        manufacturers = ManufacturerLinkSessions(
            apiKeys: apiKeys, sessions: sessions, tokenGenerator: tokenGenerator, publicBaseURL: publicBaseURL,
            returnLinks: returnLinks)
        authenticator = AuthenticatorLinkSessions(apiKeys: apiKeys, sessions: sessions, returnLinks: returnLinks)
        keySet = JSONWebKeySet(returnLinks: returnLinks)
        health = Health(readiness: readiness)
    }

    package func add(to routes: inout Routes) {
        manufacturers.add(to: &routes)
        authenticator.add(to: &routes)
        keySet.add(to: &routes)
        health.add(to: &routes)
        OpenAPI().add(to: &routes)
    }
}

/// A handler whose errors are answered as ``APIError/answer`` has it.
func answeringErrors(_ handler: @escaping @Sendable (Request) async throws -> Response) -> Handler {
    { request in
        do {
            return try await handler(request)
        } catch {
            let answer = APIError(error).answer
            request.record.cause = answer.cause
            return Response(answer, requestID: request.id)
        }
    }
}
