// Around every request: its id, its time, its log line, its count, and the answer to its errors.

internal import APIKeyAuth
internal import LinkSessions
internal import Logging
internal import Metrics
internal import NIOHTTP1
internal import Synchronization

final class Responder: Sendable {
    private let routes: Routes
    private let keyRing: KeyRing
    private let logger: Logger
    private let metrics = RequestMetrics()

    init(routes: Routes, keyRing: KeyRing, logger: Logger) {
        self.routes = routes
        self.keyRing = keyRing
        self.logger = logger
    }

    func respond(to head: HTTPRequestHead, _ body: RequestBody) async -> Response {
        let start = ContinuousClock.now
        let requestID = RequestID.accepted(from: head.headers, keyRing: keyRing) ?? RequestID.make()
        let match = routes.match(head.uri)
        let request = Request(id: requestID, headers: head.headers, body: body, parameter: match?.parameter ?? "")
        var response: Response
        var cause: String?
        do throws(APIError) {
            guard let match else { throw .notFound }
            guard let handler = match.resource.handler(of: head.method) else {
                throw .methodNotAllowed(allow: match.resource.allow)
            }
            response = try await handler(request)
        } catch {
            cause = error.cause
            response = error.answer.response(requestID: requestID)
            if case .methodNotAllowed(let allow) = error { response.headers.add(name: "allow", value: allow) }
        }
        response.requestID = requestID

        let duration = ContinuousClock.now - start
        let status = Int(response.status.code)
        let route = match?.resource.path ?? "-"
        var metadata: Logger.Metadata = [
            "method": .string(head.method.rawValue), "route": .string(route), "status": .stringConvertible(status),
            "ms": .stringConvertible(duration.milliseconds), "request_id": .string(requestID),
        ]
        if let manufacturer = request.record.manufacturerID {
            metadata["manufacturer"] = .stringConvertible(manufacturer.number)
        }
        if let cause { metadata["cause"] = "\(cause)" }
        logger.log(level: status == 500 ? .error : .info, "request", metadata: metadata)
        metrics.record(route: route, method: head.method.rawValue, status: status, duration: duration)
        return response
    }
}

extension Duration {
    /// Rounded to thousandths.
    var milliseconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) * 1000 + Double(attoseconds / 1_000_000_000_000) / 1000
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
