internal import HTTPFront
internal import HTTPServer
internal import Logging
internal import NIOHTTP1
internal import PrometheusMetrics

extension HTTPServer {
    /// The listener for whoever runs the service: metrics and health. It has connection places of its own, so that
    /// nobody who floods the public one keeps an operator out, and stops after it.
    static func management(
        host: String, port: Int, metrics: MetricsRegistry, collect: @escaping @Sendable () -> Void,
        readiness: Readiness, logger: Logger
    ) -> HTTPServer {
        var routes = Routes()
        routes.addHealth(readiness)
        routes.add(
            "/metrics", .free,
            .get { request in
                collect()
                let format: MetricsFormat =
                    request.prefers("application/openmetrics-text", to: "text/plain") ? .openMetrics : .prometheus
                return Response(
                    status: .ok, headers: ["content-type": format.contentType, "cache-control": "no-store"],
                    body: metrics.text(format))
            })
        return HTTPServer(
            .init(host: host, port: port, maximumConnections: 64), routes: routes, isSecret: { _ in false },
            isMeasured: false, logger: logger, accessLog: { _ in },
            onListening: { port in
                logger.notice(
                    "serving metrics", metadata: ["host": "\(host)", "port": .stringConvertible(port)])
            })
    }
}
