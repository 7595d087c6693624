internal import NIOHTTP1

/// One answered request. Holds no token, no key and no user id.
package struct AccessLogEntry: Sendable {
    package let method: String
    /// The path's template, such as `/v2/manufacturer/link-sessions/{link_token}`; `-` where there is none.
    package let route: String
    package let status: Int
    package let duration: Duration
    package let requestID: String
    /// Who was recognized by a key.
    package let caller: Int64?
    /// The id of the session that the request names, whether there is one or not.
    package let session: String?
    /// Why it was no success, where the answer does not tell.
    package let cause: String?
}

/// Takes every entry, on the event loop of its request: it must neither block nor take long.
package typealias AccessLog = @Sendable (AccessLogEntry) -> Void

/// What surrounds every request: its id, its time, its log line and its count.
final class Responder: Sendable {
    private let routes: Routes
    private let isSecret: @Sendable (String) -> Bool
    private let accessLog: AccessLog
    private let metrics = RequestMetrics()

    init(routes: Routes, isSecret: @escaping @Sendable (String) -> Bool, accessLog: @escaping AccessLog) {
        self.routes = routes
        self.isSecret = isSecret
        self.accessLog = accessLog
    }

    func respond(to head: HTTPRequestHead, _ body: RequestBody) async -> Response {
        let start = ContinuousClock.now
        let match = routes.match(head.uri)
        let request = Request(
            id: RequestID.accepted(from: head.headers, isSecret: isSecret) ?? RequestID.make(), method: head.method,
            headers: head.headers, query: Routes.query(of: head.uri), body: body, parameter: match?.parameter ?? "")
        var response =
            if let match {
                if let handler = match.resource.handler(of: head.method) {
                    await handler(request)
                } else {
                    Response(.methodNotAllowed(allow: match.resource.allow), requestID: request.id)
                }
            } else {
                Response(.notFound, requestID: request.id)
            }
        response.requestID = request.id

        let duration = ContinuousClock.now - start
        let status = Int(response.status.code)
        let route = match?.resource.path ?? "-"
        accessLog(
            AccessLogEntry(
                method: head.method.rawValue, route: route, status: status, duration: duration, requestID: request.id,
                caller: request.record.caller, session: request.record.session, cause: request.record.cause))
        metrics.record(route: route, method: head.method.rawValue, status: status, duration: duration)
        return response
    }
}
