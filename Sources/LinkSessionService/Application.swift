// What serve runs: the only place that wires the parts together.

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

struct Application {
    private let configuration: ApplicationConfiguration
    private let logger: Logger
    private let services: [any Service]

    init(_ configuration: ApplicationConfiguration, log: LogOutput, logger: Logger) throws {
        func database(_ name: String, connections: Int, waitingLimit: Int) throws -> DatabaseClient {
            try DatabaseClient(
                address: configuration.database, applicationName: name, connections: connections,
                waitingLimit: waitingLimit, logger: logger)
        }
        let requests = try database(
            "link-session-service", connections: configuration.databaseConnections, waitingLimit: 4096)
        // Keys and health must not wait behind requests.
        let background = try database("link-session-service background", connections: 1, waitingLimit: 64)
        // Deleting old rows and recording the use of keys may wait for locks: keys and health must not.
        let maintenance = try database("link-session-service maintenance", connections: 1, waitingLimit: 64)

        let apiKeyUsage = APIKeyUsageRecorder(repository: APIKeyRepository(database: maintenance), logger: logger)
        let apiKeys = APIKeyCache(
            repository: APIKeyRepository(database: background), environment: configuration.keyEnvironment,
            authenticatorDigests: configuration.authenticatorDigests, uses: apiKeyUsage, logger: logger)
        let readiness = Readiness {
            await HealthCheck.ofDatabase(background, schema: configuration.schema)
        } ownChecks: {
            [HealthCheck.ofAPIKeys(apiKeys)]
        }

        let suppliers = SupplierRepository(database: requests, hasSandbox: configuration.sandboxKey != nil)
        let sessions = LinkSessionRepository(database: requests, suppliers: suppliers)
        let returnLinks = try ReturnLinks(
            issuer: configuration.publicBaseURL, signingKey: configuration.signingKeys.first,
            furtherKeys: configuration.signingKeys.further, sandboxKey: configuration.sandboxKey,
            codeSecret: configuration.codeSecrets.first, furtherCodeSecrets: configuration.codeSecrets.further)

        var routes = Routes()
        HTTPFront(
            publicBaseURL: configuration.publicBaseURL, apiKeys: apiKeys, sessions: sessions,
            returnLinks: returnLinks, tokenGenerator: TokenGenerator(), readiness: readiness
        ).add(to: &routes)
        try AuthenticatorUI(
            publicBaseURL: configuration.publicBaseURL, sessions: sessions,
            signIns: SignInRepository(database: requests), suppliers: suppliers, returnLinks: returnLinks,
            tokenGenerator: TokenGenerator(), clientSecret: environmentVariable
        ).add(to: &routes)
        let host = configuration.host
        let server = HTTPServer(
            .init(
                host: host, port: configuration.port, maximumConnections: configuration.maximumConnections,
                idleTimeout: configuration.idleTimeout),
            routes: routes, isSecret: { APIKey.isMentioned(in: $0) || apiKeys.isUsable(key: $0) }, logger: logger,
            accessLog: { log.write($0) },
            // Without the keys the first requests would get a 503; a database that is down delays nothing for long.
            beforeListening: { await apiKeys.waitUntilFresh(for: .milliseconds(500)) },
            onListening: { port in
                logger.notice("listening", metadata: ["host": "\(host)", "port": .stringConvertible(port)])
            })

        // Stopped from the last to the first, each before the next.
        services = [
            maintenance, background, requests, apiKeyUsage, apiKeys,
            Retention(
                days: configuration.retentionDays, repository: RetentionRepository(database: maintenance),
                logger: logger),
            server, ShutdownDelay(readiness: readiness, seconds: configuration.shutdownDelay, logger: logger),
        ]
        self.configuration = configuration
        self.logger = logger
    }

    /// Serves until SIGTERM or SIGINT.
    func run() async throws {
        let group = ServiceGroup(
            configuration: .init(
                services: services.map { .init(service: $0) }, gracefulShutdownSignals: [.sigterm, .sigint],
                logger: Logger(label: "lifecycle", factory: noLog)))
        do {
            try await group.run()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw SettingError(
                "HTTP_PORT", expects: "a free port: \(configuration.port) on \(configuration.host) is in use")
        } catch let error as IOError where error.errnoCode == EACCES {
            throw SettingError(
                "HTTP_PORT",
                expects: "a port that this user may listen on: \(configuration.port) needs more rights")
        } catch let error
            where error is IOError || error is SocketAddressError || error is SocketAddressError.UnknownHost
        {
            throw SettingError("HTTP_HOST", expects: "an address of this machine to listen on")
        } catch {
            logger.critical("stopped by an error", metadata: ["cause": "\(type(of: error))"])
            throw ExitCode(1)
        }
    }
}
