package import APIKeyAuth
package import HTTPServer
internal import JSON
package import LinkSessionRepository
internal import NIOHTTP1
package import ReturnLinks
package import TokenGenerator

extension Routes {
    /// The API: what manufacturers' backends, the Authenticator and load balancers ask for.
    ///
    /// - Parameter publicBaseURL: what every `link_url` starts with, without a slash at the end.
    package mutating func addAPI(
        publicBaseURL: String, apiKeys: APIKeyCache, sessions: LinkSessionRepository, returnLinks: ReturnLinks,
        tokenGenerator: TokenGenerator, readiness: Readiness
    ) {
        ManufacturerLinkSessions(
            apiKeys: apiKeys, sessions: sessions, tokenGenerator: tokenGenerator, publicBaseURL: publicBaseURL,
            returnLinks: returnLinks
        ).add(to: &self)
        AuthenticatorLinkSessions(apiKeys: apiKeys, sessions: sessions, returnLinks: returnLinks).add(to: &self)
        // RFC 7517, section 5. A new key is published before it signs, for longer than the set is kept.
        add("/.well-known/jwks.json", Self.document(returnLinks.keySet))
        add("/health/live", .get { _ in Response(json: JSONWriter.object { $0.add("status", "ok") }) })
        add("/health/ready", .get { _ in await readiness.answer() })
        add("/openapi.json", Self.document(PackageResources.openapi_json))
    }

    /// JSON that is the same for everybody, and may be kept for five minutes.
    private static func document(_ json: [UInt8]) -> Endpoint {
        let body = SharedBody(json)
        return .get { _ in
            Response(
                headers: ["content-type": "application/json", "cache-control": "public, max-age=300"], body: body)
        }
    }
}

/// A handler whose errors are answered as ``ErrorAnswer`` has it.
func answeringErrors(_ handler: @escaping @Sendable (Request) async throws -> Response) -> Handler {
    { request in
        do {
            return try await handler(request)
        } catch {
            let answer = ErrorAnswer(error)
            request.record.cause = answer.cause
            return Response(answer, requestID: request.id)
        }
    }
}
