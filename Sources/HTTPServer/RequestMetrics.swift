internal import Metrics
internal import Synchronization

/// Counters and timers for whatever metrics backend is bootstrapped; none is by default.
final class RequestMetrics: Sendable {
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
