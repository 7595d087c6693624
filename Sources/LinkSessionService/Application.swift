internal import APIKeyAuth
internal import ArgumentParser
internal import AuthenticatorUI
internal import Foundation
internal import HTTPFront
internal import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import Logging
internal import OutboundHTTP
internal import PostgresClient
internal import PrometheusMetrics
internal import RateLimits
internal import ReturnLinks
internal import ServiceLifecycle
internal import TokenGenerator
internal import UnixSignals
internal import Webhooks

/// What serve runs: the only place that wires the parts together.
struct Application {
    private let settings: Settings
    private let log: LogOutput
    private let logger: Logger
    private let schema: MigrationHistory
    private let services: [any Service]

    init(_ settings: Settings, metrics: MetricsRegistry, log: LogOutput, logger: Logger) throws {
        let address = try settings.database
        let schema = try MigrationHistory.schema(of: try settings.migrationDirectories)
        func database(_ name: String, connections: Int, waitingLimit: Int) throws -> DatabaseClient {
            try DatabaseClient(
                address: address, applicationName: name, connections: connections, waitingLimit: waitingLimit,
                logger: logger)
        }
        let requests = try database(
            "link-session-service", connections: try settings.databaseConnections, waitingLimit: 4096)
        // Keys wait behind nobody: without them nothing is answered.
        let keys = try database("link-session-service keys", connections: 1, waitingLimit: 64)
        let health = try database("link-session-service health", connections: 1, waitingLimit: 64)
        // Deleting old rows and recording the use of keys may wait for locks: health must not.
        let maintenance = try database("link-session-service maintenance", connections: 1, waitingLimit: 64)
        // What tells of events waits neither for the longest of these, nor behind requests.
        let feedDatabase = try database("link-session-service events", connections: 1, waitingLimit: 64)

        let webhookDatabase = try database("link-session-service webhooks", connections: 4, waitingLimit: 4096)

        let authenticatorKeys = try settings.authenticatorKeys
        let (signingKeys, sandboxKey) = (try settings.returnSigningKeys, try settings.sandboxSigningKey)
        let clientSecrets = try supplierSecrets(in: ProcessInfo.processInfo.environment)
        let supplierHealth = SupplierHealth(
            repository: SupplierOutcomeRepository(database: maintenance), logger: logger)
        let controlPlane = ControlPlaneCache(
            repository: ControlPlaneRepository(database: keys), hasSandbox: sandboxKey != nil,
            isFailing: supplierHealth.isFailing, logger: logger)
        let apiKeyUsage = APIKeyUsageRecorder(
            repository: ControlPlaneRepository(database: maintenance), logger: logger)
        let refusalDelay = RefusalDelay()
        let replica = withUnsafeBytes(of: UUID().uuid) { Array($0) }
        let manufacturerLimits = ManufacturerLimits(
            limit: try settings.createLimit, delay: refusalDelay,
            repository: RateDemandRepository(database: health, replica: replica),
            logger: logger)
        let apiKeys = APIKeyAuthenticator(
            controlPlane: controlPlane, environment: settings.keyEnvironment,
            authenticatorKeys: authenticatorKeys, uses: apiKeyUsage,
            limits: manufacturerLimits)
        let readiness = Readiness {
            await HealthCheck.ofDatabase(health, schema: schema)
        } onChange: { [logger] checks in
            let causes = checks.filter { !$0.isInOrder }.map { "\($0.name) \($0.state): \($0.cause ?? "")" }
            if causes.isEmpty {
                logger.notice("ready")
            } else {
                logger.warning("not ready", metadata: ["cause": "\(causes.joined(separator: "; "))"])
            }
        } ownChecks: {
            [
                controlPlane.isFresh
                    ? HealthCheck(name: "control_plane", state: "ok")
                    : HealthCheck(name: "control_plane", state: "unavailable", cause: "not confirmed within a second")
            ]
        }

        let publicBaseURL = try settings.publicBaseURL
        let codeSecrets = try settings.returnCodeSecrets
        let webhookKeys = try settings.webhookSigningKeys
        let returnLinks = try ReturnLinks(
            issuer: publicBaseURL, signingKey: signingKeys[0], furtherKeys: signingKeys.dropFirst(),
            sandboxKey: sandboxKey, webhookKeys: webhookKeys, codeSecret: codeSecrets[0],
            furtherCodeSecrets: codeSecrets.dropFirst())
        let sessions = LinkSessionRepository(database: requests, controlPlane: controlPlane)
        let watcher = EventFeedWatcher(
            repository: EventFeedRepository(database: feedDatabase, controlPlane: controlPlane), logger: logger)

        let pages = try AuthenticatorUI(
            publicBaseURL: publicBaseURL,
            sessions: LinkSessionRepository(database: requests, as: .second, controlPlane: controlPlane),
            signIns: SignInRepository(database: requests, as: .second, controlPlane: controlPlane),
            logos: LogoRepository(database: requests, as: .second), controlPlane: controlPlane,
            supplierHealth: supplierHealth,
            returnLinks: returnLinks, tokenGenerator: TokenGenerator(), clientSecret: { clientSecrets[$0] },
            providersAt: settings.isProduction ? .only : .orAny)
        var routes = Routes()
        routes.addAPI(
            publicBaseURL: publicBaseURL, apiKeys: apiKeys, sessions: sessions, suppliers: pages.usableSuppliers,
            feed: EventFeedRepository(database: requests, controlPlane: controlPlane), watcher: watcher,
            returnLinks: returnLinks, tokenGenerator: TokenGenerator(),
            idempotencySecrets: try settings.idempotencySecrets, readiness: readiness)
        pages.add(to: &routes)
        if settings.isProduction, try settings.addressLimit != nil, try settings.trustedProxies.isEmpty {
            logger.warning("TRUSTED_PROXIES is not set: all clients behind a load balancer have one rate limit")
        }
        let (host, port) = (try settings.httpHost, try settings.httpPort)
        let server = HTTPServer(
            .init(
                host: host, port: port, maximumConnections: try Self.maximumConnections(logger),
                idleTimeout: .seconds(try settings.httpIdleSeconds)),
            routes: routes, isSecret: { APIKey.isMentioned(in: $0) || apiKeys.isUsable(key: $0) },
            trustedProxies: try settings.trustedProxies,
            limits: try settings.addressLimit.map { AnonymousLimits($0, delay: refusalDelay) },
            errorPage: pages.page(for:_:), logger: logger,
            accessLog: { log.write($0) },
            // Without the keys the first requests would get a 503; a database that is down delays nothing for long.
            beforeListening: {
                await controlPlane.waitUntilFresh(for: .milliseconds(500))
                for (slug, setting) in pages.suppliersWithoutSecret() {
                    logger.warning(
                        "a supplier is not offered: its client secret is not set",
                        metadata: ["supplier": "\(slug)", "setting": "\(setting)"])
                }
            },
            onListening: { port in
                logger.notice("listening", metadata: ["host": "\(host)", "port": .stringConvertible(port)])
            })

        let webhooks = WebhookDeliverer(
            webhooks: WebhookRepository(database: webhookDatabase, replica: replica),
            feed: EventFeedRepository(database: webhookDatabase, controlPlane: controlPlane),
            http: try OutboundHTTPClient(
                to: settings.isProduction ? .only : .orAny, places: WebhookDeliverer.places),
            signer: WebhookSigner(key: webhookKeys[0], secrets: try settings.webhookSecrets), logger: logger
        ) { event in
            controlPlane.latest?.manufacturers[event.session.manufacturer].map { event.json(of: $0.manufacturer) }
        }

        let collector = MetricsCollector(
            registry: metrics, server: server,
            databases: [requests, keys, health, maintenance, feedDatabase, webhookDatabase],
            controlPlane: controlPlane, supplierHealth: supplierHealth, watcher: watcher, webhooks: webhooks,
            readiness: readiness,
            state: OperationalStateRepository(database: health, replicaName: "link-session-service keys"),
            schema: schema, logger: logger)
        let (managementHost, managementPort) = (try settings.httpManagementHost, try settings.httpManagementPort)
        let management = HTTPServer.management(
            host: managementHost, port: managementPort, metrics: metrics, collect: collector.collect,
            readiness: readiness, logger: logger)

        // Stopped from the last to the first, each before the next.
        services = [
            Listener(server: management, settings: "HTTP_MANAGEMENT", host: managementHost, port: managementPort),
            maintenance, feedDatabase, webhookDatabase, health, keys, requests, apiKeyUsage, manufacturerLimits,
            supplierHealth,
            controlPlane,
            Retention(
                days: try settings.retentionDays, repository: RetentionRepository(database: maintenance),
                logger: logger),
            EventSequencer(
                repository: EventFeedRepository(database: feedDatabase, controlPlane: controlPlane), watcher: watcher,
                logger: logger),
            webhooks, collector, Listener(server: server, settings: "HTTP", host: host, port: port), watcher,
            ShutdownDelay(readiness: readiness, seconds: try settings.shutdownDelay, logger: logger),
        ]
        self.settings = settings
        self.log = log
        self.logger = logger
        self.schema = schema
    }

    /// Ten thousand requests may wait for events, and the others have their places beside them.
    private static let mostConnections = 16_000

    /// How many connections the descriptors are enough for.
    private static func maximumConnections(_ logger: Logger) throws(CommandError) -> Int {
        let descriptors = raiseDescriptorLimit()
        guard descriptors >= 256 else {
            throw CommandError("the process may open \(descriptors) files, and needs 256 at least: raise ulimit -n")
        }
        // The other descriptors are for refused connections, the database, the log and the suppliers.
        let connections = max(64, min(mostConnections, descriptors - 1024))
        if connections < mostConnections {
            logger.warning(
                "fewer than \(mostConnections) connections: raise the limit of open files (ulimit -n)",
                metadata: [
                    "connections": .stringConvertible(connections), "descriptors": .stringConvertible(descriptors),
                ])
        }
        return connections
    }

    /// Serves until SIGTERM or SIGINT. By then every setting was read, so that a wrong one stops the start.
    func run() async throws {
        let grace = try settings.shutdownGrace
        try await requireSchema()
        let shutdown = Task { await enforceShutdown(grace: grace, logger, log) }
        defer { shutdown.cancel() }
        let group = ServiceGroup(
            configuration: .init(
                services: services.map { .init(service: $0) }, gracefulShutdownSignals: [.sigterm, .sigint],
                // Its own lines would name every service at debug level.
                logger: Logger(label: "lifecycle", factory: SwiftLogNoOpLogHandler.init)))
        do {
            try await group.run()
        } catch let error as CommandError {
            throw error
        } catch {
            logger.critical("stopped by an error", metadata: ["cause": "\(type(of: error))"])
            throw ExitCode(1)
        }
    }

    /// A database out of reach is no reason to refuse the start.
    private func requireSchema() async throws {
        let migrator = Migrator(address: try settings.database, histories: [schema])
        let statuses: [MigrationStatus]
        do throws(MigrationError) {
            statuses = try await migrator.status()
        } catch {
            logger.warning(
                "starting without a database", metadata: ["cause": "\(error.lines.joined(separator: "; "))"])
            return
        }
        try requireUpToDate(statuses)
    }
}

/// Between SIGTERM and the end of listening: a load balancer needs time to notice.
private struct ShutdownDelay: Service {
    let readiness: Readiness
    let seconds: Int
    let logger: Logger

    func run() async throws {
        try? await gracefulShutdown()
        readiness.beginShutdown()
        logger.notice("shutting down", metadata: ["delay_seconds": .stringConvertible(seconds)])
        try? await Task.sleep(for: .seconds(seconds))
    }
}

/// Ends the process when the grace is over, or at a second signal: a service group waits for its services for as long as
/// they take, and for one signal only.
private func enforceShutdown(grace: Int, _ logger: Logger, _ log: LogOutput) async {
    var isStopping = false
    for await signal in await UnixSignalsSequence(trapping: .sigterm, .sigint) {
        guard !isStopping else { _exit(128 + (signal == .sigint ? SIGINT : SIGTERM)) }
        isStopping = true
        Task {
            try? await Task.sleep(for: .seconds(grace))
            logger.warning(
                "grace is over: closing what is left", metadata: ["grace_seconds": .stringConvertible(grace)])
            log.flush()
            exit(0)
        }
    }
}
