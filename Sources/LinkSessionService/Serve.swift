// link-session-service serve: wires the parts together and runs them until a signal.

internal import APIKeyAuth
internal import ArgumentParser
internal import AuthenticatorUI
internal import HTTPFront
internal import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import Logging
internal import NIOCore
internal import PostgresClient
internal import ReturnLinks
internal import ServiceLifecycle
internal import TokenGenerator
internal import UnixSignals
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs the service (the default).",
        discussion: """
            Refuses to start on a database whose schema is behind or edited. A database out of reach is no reason: the \
            service starts, says 503, and serves as soon as it is there.

            SIGTERM and SIGINT: GET /health/ready says 503 and all else goes on for SHUTDOWN_DELAY_SECONDS; then no \
            new connection is accepted, what has begun is answered, and the program ends with 0, at the latest after \
            SHUTDOWN_GRACE_SECONDS. A second signal ends it at once.
            """)

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        try await reportingFailures { try await serve(try await Settings(options.values)) }
    }

    private func serve(_ settings: Settings) async throws {
        // All are read before anything starts, so that a wrong one stops the start.
        let address = try settings.database
        let connections = try settings.databaseConnections
        let digests = try settings.authenticatorDigests
        let signingKeys = try settings.returnSigningKeys
        let sandboxKey = try settings.sandboxSigningKey
        let codeSecrets = try settings.returnCodeSecrets
        let retentionDays = try settings.retentionDays
        let delay = try settings.shutdownDelay
        let grace = try settings.shutdownGrace
        let port = try settings.httpPort
        let host = try settings.httpHost
        let publicBaseURL = try settings.publicBaseURL
        let schema = try MigrationHistory.all(Array(try settings.migrationDirectories.prefix(1)))[0]
        let output = LogOutput()
        let (level, format) = (try settings.logLevel, try settings.logFormat)
        LoggingSystem.bootstrap { _ in LogLineHandler(level: level, format: format, output: output) }
        let logger = Logger(label: "link-session-service")
        defer { output.flush() }

        ignoreBrokenPipes()
        let descriptors = raiseDescriptorLimit()
        do throws(MigrationError) {
            try await checkSchema(schema, at: address, logger)
        } catch {
            output.flush()
            throw error
        }

        let database = try DatabaseClient(
            address: address, applicationName: "link-session-service", connections: connections, waitingLimit: 4096,
            logger: logger)
        // Keys and health must not wait behind requests.
        let backgroundDatabase = try DatabaseClient(
            address: address, applicationName: "link-session-service background", connections: 1, waitingLimit: 64,
            logger: logger)
        // Deleting old rows and recording the use of keys may wait for locks: keys and health must not.
        let maintenanceDatabase = try DatabaseClient(
            address: address, applicationName: "link-session-service maintenance", connections: 1, waitingLimit: 64,
            logger: logger)
        let apiKeyUsage = APIKeyUsageRecorder(
            repository: APIKeyRepository(database: maintenanceDatabase), logger: logger)
        let apiKeys = APIKeyCache(
            repository: APIKeyRepository(database: backgroundDatabase), environment: settings.keyEnvironment,
            authenticatorDigests: digests, uses: apiKeyUsage, logger: logger)
        let readiness = Readiness {
            await databaseChecks(schema: schema, database: backgroundDatabase)
        } ownChecks: {
            [
                apiKeys.isFresh
                    ? HealthCheck(name: "api_keys", state: "ok")
                    : HealthCheck(name: "api_keys", state: "unavailable", cause: "not confirmed within a second")
            ]
        }
        let returnLinks = try ReturnLinks(
            issuer: publicBaseURL, signingKey: signingKeys.first, furtherKeys: signingKeys.further,
            sandboxKey: sandboxKey, codeSecret: codeSecrets.first, furtherCodeSecrets: codeSecrets.further)
        let sessions = LinkSessionRepository(database: database)
        let signIns = SignInRepository(database: database)
        let suppliers = SupplierRepository(database: database, hasSandbox: sandboxKey != nil)
        let pages = try AuthenticatorUI(
            publicBaseURL: publicBaseURL, sessions: sessions, signIns: signIns,
            suppliers: suppliers, returnLinks: returnLinks, tokenGenerator: TokenGenerator(),
            clientSecret: environmentVariable)
        let front = HTTPFront(
            publicBaseURL: publicBaseURL, apiKeys: apiKeys, sessions: sessions, signIns: signIns, suppliers: suppliers,
            returnLinks: returnLinks, tokenGenerator: TokenGenerator(), readiness: readiness)
        var routes = Routes()
        front.add(to: &routes)
        pages.add(to: &routes)
        let server = HTTPServer(
            .init(host: host, port: port, maximumConnections: max(64, min(10_000, descriptors - 1024))), routes: routes,
            isSecret: { APIKey.isMentioned(in: $0) || apiKeys.isUsable(key: $0) }, logger: logger,
            accessLog: { entry in output.write(entry, level: level, format: format) },
            // Without the keys the first requests would get a 503; a database that is down delays nothing for long.
            beforeListening: { await apiKeys.waitUntilFresh(for: .milliseconds(500)) },
            onListening: { port in
                logger.notice("listening", metadata: ["host": "\(host)", "port": .stringConvertible(port)])
            })

        let watch = Task { await watchSignals(grace: grace, logger, output) }
        defer { watch.cancel() }
        // Stopped from the last to the first, each before the next.
        let group = ServiceGroup(
            configuration: .init(
                services: [
                    .init(service: maintenanceDatabase), .init(service: backgroundDatabase), .init(service: database),
                    .init(service: apiKeyUsage), .init(service: apiKeys),
                    .init(
                        service: Retention(
                            days: retentionDays, repository: RetentionRepository(database: maintenanceDatabase),
                            logger: logger)),
                    .init(service: server), .init(service: Drain(readiness: readiness, delay: delay, logger: logger)),
                ], gracefulShutdownSignals: [.sigterm, .sigint], logger: Logger(label: "lifecycle", factory: quiet)))
        do {
            try await group.run()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            output.flush()
            throw fail("HTTP_PORT expects a free port: \(port) on \(host) is in use")
        } catch let error as IOError where error.errnoCode == EACCES {
            output.flush()
            throw fail("HTTP_PORT expects a port that this user may listen on: \(port) needs more rights")
        } catch let error
            where error is IOError || error is SocketAddressError || error is SocketAddressError.UnknownHost
        {
            output.flush()
            throw fail("HTTP_HOST expects an address of this machine to listen on")
        } catch {
            logger.critical("stopped by an error", metadata: ["cause": "\(type(of: error))"])
            output.flush()
            throw ExitCode(1)
        }
        logger.notice("stopped")
    }
}

/// What the database has to say, within the deadline.
private func databaseChecks(schema: MigrationHistory, database: DatabaseClient) async -> [HealthCheck] {
    var checks: [HealthCheck] = []
    do throws(DatabaseError) {
        let status = try await Migrator.status(of: schema, in: database, until: .now + .milliseconds(900))
        checks.append(HealthCheck(name: "database", state: "ok"))
        checks.append(HealthCheck(status))
    } catch {
        checks.append(HealthCheck(name: "database", state: "unavailable", cause: error.description))
        checks.append(HealthCheck(name: "migrations", state: "unknown", cause: "the database did not tell"))
    }
    return checks
}

extension HealthCheck {
    init(_ status: MigrationStatus) {
        if let problem = status.problems.first {
            self.init(name: "migrations", state: "edited", cause: problem)
        } else if let pending = status.pending.first {
            self.init(name: "migrations", state: "behind", cause: "\(pending) is not applied: run migrate")
        } else if let ahead = status.ahead.last {
            self.init(name: "migrations", state: "ahead", cause: "\(ahead) is later than this build")
        } else {
            self.init(name: "migrations", state: "ok")
        }
    }
}

private func checkSchema(
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

/// Between SIGTERM and the end of listening: a load balancer needs time to notice.
private struct Drain: Service {
    let readiness: Readiness
    let delay: Int
    let logger: Logger

    func run() async throws {
        try? await gracefulShutdown()
        readiness.beginShutdown()
        logger.notice("shutting down", metadata: ["delay_seconds": .stringConvertible(delay)])
        try? await Task.sleep(for: .seconds(delay))
    }
}

/// A service group waits for its services for as long as they take, and for one signal only.
private func watchSignals(grace: Int, _ logger: Logger, _ output: LogOutput) async {
    var isStopping = false
    for await signal in await UnixSignalsSequence(trapping: .sigterm, .sigint) {
        guard !isStopping else { _exit(128 + (signal == .sigint ? SIGINT : SIGTERM)) }
        isStopping = true
        Task {
            try? await Task.sleep(for: .seconds(grace))
            logger.warning(
                "grace is over: closing what is left", metadata: ["grace_seconds": .stringConvertible(grace)])
            output.flush()
            exit(0)
        }
    }
}

/// The lifecycle library's own lines would name every service at debug level.
@Sendable func quiet(_: String) -> any LogHandler { SwiftLogNoOpLogHandler() }
