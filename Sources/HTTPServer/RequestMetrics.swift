internal import Metrics
internal import Synchronization

/// What is counted of requests, in whatever metrics backend is bootstrapped.
///
/// There is a place for every route, method and status that an answer can have, so that counting takes no lock and
/// nothing that a client sends adds a label. The timer of a place is made when it is first needed.
final class RequestMetrics: Sendable {
    private final class Place: Sendable {
        let timer = AtomicLazyReference<Metrics.Timer>()
    }

    private enum Method: String, CaseIterable {
        case get = "GET"
        case head = "HEAD"
        case post = "POST"
        case other = "OTHER"

        init(_ name: String) { self = Self(rawValue: name) ?? .other }

        var index: Int {
            switch self {
            case .get: 0
            case .head: 1
            case .post: 2
            case .other: 3
            }
        }
    }

    /// Those that answers have; a further one is counted as `other`, with the first index.
    private static let statuses = [
        0, 200, 201, 204, 303, 304, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 422, 424, 429, 431, 500, 502, 503,
    ]
    private static let indexOfStatus: [Int] = (0..<600).map { statuses.firstIndex(of: $0) ?? 0 }

    private let routes: [String]
    private let places: [Place]
    private let refusals: [Refusal: Counter]
    private let rateLimited: Counter

    /// - Parameter isOn: false: nothing is counted.
    init(_ routes: Routes, isOn: Bool) {
        self.routes = isOn ? ["-"] + routes.resources.map(\.path) : []
        let count = self.routes.count * Method.allCases.count * Self.statuses.count
        places = (0..<count).map { _ in Place() }
        refusals = Dictionary(
            uniqueKeysWithValues: (isOn ? Refusal.allCases : []).map { refusal in
                (
                    refusal,
                    Counter(
                        label: "http_server_refused_connections_total", dimensions: [("reason", refusal.answer.code)])
                )
            })
        rateLimited = Counter(label: "http_server_rate_limited_requests_total", dimensions: [("limit", "address")])
    }

    /// - Parameter route: its index among the routes; `nil` for a path that there is not.
    func record(route: Int?, method: String, status: Int, duration: Duration) {
        guard !places.isEmpty else { return }
        let (method, route) = (Method(method), route.map { $0 + 1 } ?? 0)
        let statusIndex = Self.indexOfStatus.indices.contains(status) ? Self.indexOfStatus[status] : 0
        let place = places[
            (route * Method.allCases.count + method.index) * Self.statuses.count + statusIndex]
        let timer = place.timer.load() ?? makeTimer(routes[route], method, Self.statuses[statusIndex], place)
        let (seconds, attoseconds) = duration.components
        timer.recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }

    private func makeTimer(_ route: String, _ method: Method, _ status: Int, _ place: Place) -> Metrics.Timer {
        place.timer.storeIfNil(
            Metrics.Timer(
                label: "http_server_request_duration_seconds",
                dimensions: [
                    ("route", route), ("method", method.rawValue), ("status", status == 0 ? "other" : String(status)),
                ]))
    }

    func recordRefusal(_ refusal: Refusal) { refusals[refusal]?.increment() }

    /// A client address was beyond its limit.
    func recordRateLimited() { rateLimited.increment() }
}
