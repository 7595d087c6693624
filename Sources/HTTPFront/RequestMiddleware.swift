// Around every request: its id, its time, its log line, its count, and the answer to its errors.

internal import APIKeyAuth
internal import HTTPTypes
internal import Hummingbird
internal import LinkSessions
internal import Logging
internal import Metrics
internal import Synchronization

struct RequestMiddleware: RouterMiddleware {
    private let routes: Routes
    private let keyRing: KeyRing
    private let logger: Logger
    private let metrics = RequestMetrics()

    init(routes: Routes, keyRing: KeyRing, logger: Logger) {
        self.routes = routes
        self.keyRing = keyRing
        self.logger = logger
    }

    func handle(
        _ request: Request, context: ServiceRequestContext,
        next: (Request, ServiceRequestContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        let requestID = RequestID.accepted(from: request.headers, keyRing: keyRing) ?? RequestID.make()
        var context = context
        context.requestID = requestID
        var response: Response
        var cause: String?
        let route: String?
        do {
            response = try await next(request, context)
            route = context.endpointPath
        } catch {
            var apiError = Self.apiError(error)
            if case .notFound = apiError {
                // The router knows no such pair of path and method.
                let known = routes.allowed(at: request.uri.path)
                route = known?.template
                if let known { apiError = .methodNotAllowed(allow: known.allow) }
            } else {
                route = context.endpointPath
            }
            cause = apiError.cause
            response = apiError.answer.response(requestID: requestID)
            if case .methodNotAllowed(let allow) = apiError { response.headers[.allow] = allow }
        }
        response.headers[.requestID] = requestID
        // RFC 9110, section 9.3.2: whatever the answer is, HEAD gets no body.
        if request.method == .head { response = response.createHeadResponse() }

        let duration = ContinuousClock.now - start
        let status = response.status.code
        var metadata: Logger.Metadata = [
            "method": "\(request.method.rawValue)", "route": "\(route ?? "-")", "status": .stringConvertible(status),
            "ms": .stringConvertible(duration.milliseconds), "request_id": "\(requestID)",
        ]
        if let manufacturer = context.record.manufacturerID {
            metadata["manufacturer"] = .stringConvertible(manufacturer.number)
        }
        if let cause { metadata["cause"] = "\(cause)" }
        logger.log(level: status == 500 ? .error : .info, "request", metadata: metadata)
        metrics.record(route: route ?? "-", method: request.method.rawValue, status: status, duration: duration)
        return response
    }

    private static func apiError(_ error: any Error) -> APIError {
        if let error = error as? APIError { return error }
        if let error = error as? HTTPError, error.status == .notFound { return .notFound }
        // The type alone: a description could hold values.
        return .bug(cause: "\(type(of: error))")
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
