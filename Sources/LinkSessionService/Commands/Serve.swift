// link-session-service serve

internal import ArgumentParser
internal import Logging
internal import PostgresClient

struct Serve: AsyncParsableCommand {
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

    func run() async throws {
        try await reportingFailures {
            let settings = try await Settings(options.values)
            let configuration = try ApplicationConfiguration(settings, descriptors: raiseDescriptorLimit())
            let log = LogOutput(level: try settings.read(\.logLevel), format: try settings.read(\.logFormat))
            LoggingSystem.bootstrap { _ in LogLineHandler(output: log) }
            defer { log.flush() }
            ignoreBrokenPipes()
            let logger = Logger(label: "link-session-service")
            try await requireSchema(configuration.schema, at: configuration.database, logger)
            let application = try Application(configuration, log: log, logger: logger)
            let shutdown = Task { await enforceShutdown(grace: configuration.shutdownGrace, logger, log) }
            defer { shutdown.cancel() }
            try await application.run()
            logger.notice("stopped")
        }
    }
}

/// A database out of reach is no reason to refuse the start.
private func requireSchema(
    _ schema: MigrationHistory, at address: DatabaseAddress, _ logger: Logger
) async throws(MigrationError) {
    let statuses: [MigrationStatus]
    do throws(MigrationError) {
        statuses = try await Migrator(address: address, histories: [schema]).status()
    } catch {
        logger.warning(
            "starting without a database", metadata: ["cause": "\(error.lines.joined(separator: "; "))"])
        return
    }
    try requireUpToDate(statuses)
}
