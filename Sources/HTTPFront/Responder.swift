// Around every request: its id, its time, its log line, its count, and the answer to its errors.

internal import APIKeyAuth
internal import LinkSessions
internal import Metrics
internal import NIOHTTP1
internal import Synchronization

final class Responder: Sendable {
    private let routes: Routes
    private let keyRing: KeyRing
    private let accessLog: AccessLog
    private let metrics = RequestMetrics()

    init(routes: Routes, keyRing: KeyRing, accessLog: @escaping AccessLog) {
        self.routes = routes
        self.keyRing = keyRing
        self.accessLog = accessLog
    }

    func respond(to head: HTTPRequestHead, _ body: RequestBody) async -> Response {
        let start = ContinuousClock.now
        let requestID = RequestID.accepted(from: head.headers, keyRing: keyRing) ?? RequestID.make()
        let match = routes.match(head.uri)
        let request = Request(
            id: requestID, method: head.method, headers: head.headers, query: Routes.query(of: head.uri), body: body,
            parameter: match?.parameter ?? "")
        var response: Response
        var cause: String?
        do throws(APIError) {
            guard let match else { throw .notFound }
            guard let handler = match.resource.handler(of: head.method) else {
                throw .methodNotAllowed(allow: match.resource.allow)
            }
            response = try await handler(request)
            cause = request.record.cause
        } catch {
            cause = error.cause
            response = error.answer.response(requestID: requestID)
            if case .methodNotAllowed(let allow) = error { response.headers.add(name: "allow", value: allow) }
        }
        response.requestID = requestID

        let duration = ContinuousClock.now - start
        let status = Int(response.status.code)
        let route = match?.resource.path ?? "-"
        accessLog(
            AccessLogEntry(
                method: head.method.rawValue, route: route, status: status, duration: duration, requestID: requestID,
                manufacturer: request.record.manufacturerID?.number, cause: cause))
        metrics.record(route: route, method: head.method.rawValue, status: status, duration: duration)
        return response
    }
}

/// Counters and timers for whatever metrics backend is bootstrapped; none is by default.
private final class RequestMetrics: Sendable {
    private struct Key: Hashable {
        let route: String
        let method: String
        let status: Int
    }

    private let timers = Mutex<[Key: Metrics.Timer]>([:])

    func record(route: String, method: String, status: Int, duration: Duration) {
        let timer = timers.withLock { timers in
            let key = Key(route: route, method: method, status: status)
            if let known = timers[key] { return known }
            let timer = Metrics.Timer(
                label: "http_server_request_duration",
                dimensions: [("route", route), ("method", method), ("status", "\(status)")])
            timers[key] = timer
            return timer
        }
        timer.record(duration: duration)
    }
}
