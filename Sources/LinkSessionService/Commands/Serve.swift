internal import ArgumentParser
internal import Logging
internal import Metrics
internal import PrometheusMetrics

struct Serve: Command {
    static let configuration = CommandConfiguration(
        abstract: "Run the service (the default).",
        discussion: """
            Refuses to start on a database whose schema is behind or edited. A database out of reach is no reason: the \
            service starts, says 503, and serves as soon as it is there.

            SIGTERM and SIGINT: GET /health/ready says 503 and all else goes on for SHUTDOWN_DELAY_SECONDS; then no \
            new connection is accepted, what has begun is answered, and the program ends with 0, at the latest after \
            SHUTDOWN_GRACE_SECONDS. A second signal ends it at once.
            """)

    @OptionGroup var options: ServiceOptions

    func perform() async throws {
        // A production that was taken for a developer's machine would accept test keys.
        let settings = try await Settings(options, environment: nil)
        let log = LogOutput(level: try settings.logLevel, format: try settings.logFormat)
        LoggingSystem.bootstrap { _ in LogLineHandler(output: log) }
        let metrics = MetricsRegistry(MetricList.all)
        MetricsSystem.bootstrap(metrics)
        defer { log.flush() }
        ignoreBrokenPipes()
        let logger = Logger(label: "link-session-service")
        try refuseProxy(settings, logger)
        try await Application(settings, metrics: metrics, log: log, logger: logger).run()
        logger.notice("stopped")
    }

    /// Whom a proxy connects to cannot be judged, and so suppliers are asked without one. `NO_PROXY=*` is how an
    /// environment says that none is meant for this program.
    private func refuseProxy(_ settings: Settings, _ logger: Logger) throws(CommandError) {
        guard !["NO_PROXY", "no_proxy"].contains(where: { environmentVariable($0) == "*" }) else { return }
        for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] where environmentVariable(name) != nil {
            guard settings.isProduction else {
                logger.warning("\(name) is not used: suppliers are asked without a proxy")
                continue
            }
            throw .setting(name, expects: "to be unset, or NO_PROXY=*: suppliers are asked without a proxy")
        }
    }
}
