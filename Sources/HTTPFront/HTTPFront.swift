package import APIKeyAuth
package import HTTPServer
internal import JSON
package import LinkSessionRepository
package import LinkSessions
internal import Metrics
internal import NIOHTTP1
internal import RateLimits
package import ReturnLinks
package import TokenGenerator

extension Routes {
    /// The API: what manufacturers' backends, the Authenticator and load balancers ask for.
    ///
    /// - Parameters:
    ///   - publicBaseURL: what every `link_url` starts with, without a slash at the end.
    ///   - suppliers: those that can be chosen on our pages.
    ///   - idempotencySecrets: one at least: the first is for new sessions.
    package mutating func addAPI(
        publicBaseURL: String, apiKeys: APIKeyAuthenticator, sessions: LinkSessionRepository,
        suppliers: @escaping @Sendable () throws -> [Supplier], feed: EventFeedRepository, watcher: EventFeedWatcher,
        returnLinks: ReturnLinks, tokenGenerator: TokenGenerator, idempotencySecrets: [IdempotencySecret],
        readiness: Readiness
    ) {
        ManufacturerLinkSessions(
            apiKeys: apiKeys, sessions: sessions, suppliers: suppliers, feed: feed, watcher: watcher,
            tokenGenerator: tokenGenerator, publicBaseURL: publicBaseURL, returnLinks: returnLinks,
            idempotencySecrets: idempotencySecrets
        ).add(to: &self)
        ManufacturerSuppliers(apiKeys: apiKeys, suppliers: suppliers).add(to: &self)
        AuthenticatorLinkSessions(apiKeys: apiKeys, sessions: sessions, returnLinks: returnLinks).add(to: &self)
        // RFC 7517, section 5. A new key is published before it signs, for longer than the set is kept.
        add("/.well-known/jwks.json", Self.document(returnLinks.keySet))
        addHealth(readiness)
        add("/openapi.json", Self.document(PackageResources.openapi_json))
    }

    /// What load balancers and container engines ask for.
    package mutating func addHealth(_ readiness: Readiness) {
        add("/health/live", .free, .get { _ in Response(json: JSONWriter.object { $0.add("status", "ok") }) })
        add("/health/ready", .free, .get { _ in await readiness.answer() })
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

/// Who is calling: decided from the head of a request, before its body is read.
extension APIKeyAuthenticator {
    /// The manufacturer whose key the request carries, which is noted for the log. Beyond its rate limit it is held back
    /// and refused.
    ///
    /// - Parameter kind: what the request counts as.
    func manufacturer(
        of request: Request, for kind: ManufacturerLimits.Kind = .requests
    ) async throws -> ManufacturerCaller {
        let caller = try manufacturer(forKey: try Self.key(in: request))
        request.record.caller = caller.manufacturer.id.number
        guard let (decision, status) = limits.take(kind, of: caller) else { return caller }
        request.record.rateLimit = status
        if case .refused(let retryAfter) = decision {
            kind.refusals.increment()
            await request.holdBack(for: limits.delay)
            throw ErrorAnswer.rateLimited(retryAfter: retryAfter)
        }
        return caller
    }

    /// The name of the Authenticator's key that the request carries, which is noted for the log.
    func authenticator(of request: Request) throws(AuthenticationError) -> String {
        let name = try authenticator(forKey: try Self.key(in: request))
        request.record.authenticator = name
        return name
    }

    private static func key(in request: Request) throws(AuthenticationError) -> String {
        let keys = request.headers["x-api-key"]
        guard keys.count == 1, let key = keys.first else { throw .unauthorized }
        return key
    }
}

extension ManufacturerLimits.Kind {
    private static let refusedCreates = counter("creates")
    private static let refusedRequests = counter("requests")

    private static func counter(_ limit: String) -> Counter {
        Counter(label: "http_server_rate_limited_requests_total", dimensions: [("limit", limit)])
    }

    /// How many requests were beyond it.
    fileprivate var refusals: Counter {
        switch self {
        case .creates: Self.refusedCreates
        case .requests: Self.refusedRequests
        }
    }
}

extension Request {
    /// The body as a JSON object, at most 16 KiB.
    func jsonBody() async throws -> JSONObject {
        try JSONObject(try await body(ofType: "application/json"))
    }

    /// The token in the path, whose id is noted for the log; a malformed one is as unknown as any other.
    func linkToken() throws(ErrorAnswer) -> LinkToken {
        guard let token = LinkToken(parameter) else { throw .linkSessionNotFound }
        record.session = token.id.text
        return token
    }

    /// What the request is to be known by when it is sent again; `nil` where it does not say.
    func idempotencyKey() throws(ValidationError) -> IdempotencyKey? {
        let values = headers["idempotency-key"]
        guard let value = values.first else { return nil }
        guard values.count == 1 else { throw IdempotencyKey.validationError }
        return try IdempotencyKey(value)
    }
}

extension LinkSessionRepository {
    /// The session of a token.
    func find(_ token: LinkToken, for request: Request) async throws -> LinkSessionSnapshot {
        let found = try await find(
            token.id, tokenDigest: try SHA256.digest(of: token.characters), until: request.deadline)
        guard let found else { throw ErrorAnswer.linkSessionNotFound }
        return found
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
