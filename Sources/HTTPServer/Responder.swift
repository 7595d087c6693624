internal import NIOHTTP1
package import RateLimits
internal import Synchronization

/// One answered request. Holds no token, no key and no user id.
package struct AccessLogEntry: Sendable {
    package let method: String
    /// The path's template, such as `/v2/manufacturer/link-sessions/{link_token}`; `-` where there is none.
    package let route: String
    package let status: Int
    package let duration: Duration
    package let requestID: String
    /// The network of the client's address: /24, or /48 of IPv6; `-` where there is none.
    package let client: String
    /// The manufacturer that was recognized by its key.
    package let caller: Int64?
    /// The name of the Authenticator's key that was recognized.
    package let authenticator: String?
    /// The id of the session that the request names, whether there is one or not.
    package let session: String?
    /// The trace that it belongs to, as its caller says; 32 hexadecimal digits.
    package let traceID: String?
    /// Why it was no success, where the answer does not tell.
    package let cause: String?
}

/// Takes every entry, on the event loop of its request: it must neither block nor take long.
package typealias AccessLog = @Sendable (AccessLogEntry) -> Void

/// The page that a browser gets in place of an error's JSON; `nil` where there is none.
package typealias ErrorPage = @Sendable (ErrorAnswer, Request) -> Response?

/// What holds clients back that ask for too much without a key.
package struct AnonymousLimits: Sendable {
    let addresses: AddressLimits
    let delay: RefusalDelay

    package init(_ limit: RateLimit, delay: RefusalDelay) {
        addresses = AddressLimits(limit)
        self.delay = delay
    }
}

/// What surrounds every request: its id, its client's limit, its time, its log line and its count.
final class Responder: Sendable {
    private let routes: Routes
    private let isSecret: @Sendable (String) -> Bool
    private let trustedProxies: TrustedProxies
    private let limits: AnonymousLimits?
    private let errorPage: ErrorPage
    private let accessLog: AccessLog
    let metrics: RequestMetrics
    private let active = Atomic<Int>(0)

    /// Requests that are not answered yet, but for those that wait for something to happen.
    var activeRequests: Int { active.load(ordering: .relaxed) }

    init(
        routes: Routes, isSecret: @escaping @Sendable (String) -> Bool,
        trustedProxies: TrustedProxies = TrustedProxies(networks: []), limits: AnonymousLimits? = nil,
        errorPage: @escaping ErrorPage = { _, _ in nil }, isMeasured: Bool = true, accessLog: @escaping AccessLog
    ) {
        metrics = RequestMetrics(routes, isOn: isMeasured)
        self.routes = routes
        self.isSecret = isSecret
        self.trustedProxies = trustedProxies
        self.limits = limits
        self.errorPage = errorPage
        self.accessLog = accessLog
    }

    /// A request between its beginning and its answer.
    struct Begun: Sendable {
        fileprivate let start = ContinuousClock.now
        let head: HTTPRequestHead
        fileprivate let request: Request
        fileprivate let resource: Routes.Resource?
        fileprivate let client: Client
        fileprivate let place: ConnectionPlaces.Place
    }

    func begin(
        _ head: HTTPRequestHead, _ body: RequestBody, from peer: Client, at place: ConnectionPlaces.Place
    ) -> Begun {
        let match = routes.match(head.uri)
        return Begun(
            head: head,
            request: Request(
                id: RequestID.accepted(from: head.headers, isSecret: isSecret) ?? RequestID.make(), method: head.method,
                headers: head.headers, query: Routes.query(of: head.uri), body: body,
                parameter: match?.parameter ?? "", place: place),
            resource: match?.resource, client: trustedProxies.client(of: peer, head.headers), place: place)
    }

    /// - Parameter hold: what the request waited for, where it did.
    /// - Returns: the answer, or that the request waits.
    func respond(to begun: Begun, after hold: Response.Hold? = nil) async -> Response {
        active.add(1, ordering: .relaxed)
        defer { active.subtract(1, ordering: .relaxed) }
        let (request, head) = (begun.request, begun.head)
        var response =
            if let hold { await hold.handler(request) } else {
                await response(to: request, begun.resource, from: begun.client)
            }
        guard response.hold == nil else { return response }
        if let error = response.error, isPage(head), let page = errorPage(error, request) { response = page }
        response.requestID = request.id
        begun.place.note(hasUsableKey: request.record.caller != nil || request.record.authenticator != nil)
        if let status = request.record.rateLimit {
            response.headers.add(name: "ratelimit-policy", value: status.policy)
            response.headers.add(name: "ratelimit", value: status.state)
        }

        let duration = ContinuousClock.now - begun.start
        let status = Int(response.status.code)
        let route = begun.resource?.path ?? "-"
        accessLog(
            AccessLogEntry(
                method: head.method.rawValue, route: route, status: status, duration: duration, requestID: request.id,
                client: begun.client.network, caller: request.record.caller,
                authenticator: request.record.authenticator, session: request.record.session,
                traceID: TraceParent.traceID(in: head.headers), cause: request.record.cause))
        metrics.record(
            route: begun.resource?.index, method: head.method.rawValue, status: status, duration: duration)
        return response
    }

    private func response(to request: Request, _ resource: Routes.Resource?, from client: Client) async -> Response {
        let handler = resource?.handler(of: request.method)
        // Without a handler nobody looks for a key.
        let access = handler == nil ? .anonymous : resource?.access ?? .anonymous
        if access == .anonymous, let refusal = await refusal(of: client, request) { return Response(refusal, request) }
        guard let resource else { return Response(.notFound, request) }
        guard let handler else { return Response(.methodNotAllowed(allow: resource.allow), request) }
        let response = await handler(request)
        if access == .keyed, response.status == .unauthorized, let refusal = await refusal(of: client, request) {
            return Response(refusal, request)
        }
        return response
    }

    private func refusal(of client: Client, _ request: Request) async -> ErrorAnswer? {
        guard let limits, let address = client.address,
            case .refused(let retryAfter) = limits.addresses.take(address, now: .now)
        else { return nil }
        metrics.recordRateLimited()
        await request.holdBack(for: limits.delay)
        return .rateLimited(retryAfter: retryAfter)
    }

    /// Whether a browser asks for a page, outside of the API.
    private func isPage(_ head: HTTPRequestHead) -> Bool {
        AcceptHeader.prefersPage(head.headers) && !Routes.isInAPI(head.uri)
    }
}
