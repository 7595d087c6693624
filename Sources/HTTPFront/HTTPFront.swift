// Puts the routes and the server together: the one way in, for the program and for its tests.

package import APIKeyAuth
internal import HTTPTypes
internal import Hummingbird
internal import HummingbirdCore
package import LinkSessionRepository
package import Logging
internal import NIOCore
internal import ServiceLifecycle
package import TokenGenerator

/// The HTTP server of the service (HTTP/1.1, RFC 9112).
package struct HTTPFront: Service {
    package struct Configuration: Sendable {
        package let host: String
        /// 0: any free port.
        package let port: Int
        /// What every `link_url` starts with, without a slash at the end.
        package let publicBaseURL: String
        /// Further connections are answered `503`.
        package let maximumConnections: Int

        package init(host: String, port: Int, publicBaseURL: String, maximumConnections: Int) {
            self.host = host
            self.port = port
            self.publicBaseURL = publicBaseURL
            self.maximumConnections = maximumConnections
        }
    }

    private let application: Application<RouterResponder<ServiceRequestContext>>

    /// - Parameter onListening: called with the port once the server accepts connections.
    package init(
        configuration: Configuration, keyRing: KeyRing, repository: LinkSessionRepository,
        tokenGenerator: TokenGenerator, readiness: Readiness, logger: Logger,
        onListening: @escaping @Sendable (Int) async -> Void = { _ in }
    ) {
        var routes = Routes()
        ManufacturerLinkSessions(
            keyRing: keyRing, repository: repository, tokenGenerator: tokenGenerator,
            publicBaseURL: configuration.publicBaseURL
        ).add(to: &routes)
        AuthenticatorLinkSessions(keyRing: keyRing, repository: repository).add(to: &routes)
        Health(readiness: readiness).add(to: &routes)
        OpenAPI().add(to: &routes)
        let router = Router(context: ServiceRequestContext.self, options: .autoGenerateHeadEndpoints)
        router.add(middleware: RequestMiddleware(routes: routes, keyRing: keyRing, logger: logger))
        routes.register(on: router)

        let connections = ConnectionCount(limit: configuration.maximumConnections)
        let channelConfiguration = HTTP1Channel.Configuration(
            additionalChannelHandlers: [ConnectionGuard(count: connections, logger: logger)],
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: 16 * 1024, maxHeaderListSize: 32 * 1024, maxHeaderFieldCount: 100))
        // What the server says below that is said in our own lines.
        var serverLogger = logger
        serverLogger.logLevel = max(logger.logLevel, .notice)
        var application = Application(
            router: router,
            server: HTTPServerBuilder { responder in
                EventLoopHTTP1Channel(responder: responder, configuration: channelConfiguration)
            },
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port),
                availableConnectionsDelegate: .maximum(
                    configuration.maximumConnections + Self.connectionsToRefuse, logger: logger)),
            onServerRunning: { channel in await onListening(channel.localAddress?.port ?? configuration.port) },
            logger: serverLogger)
        // Who finds the port open should not find the keys missing; a database that is down delays nothing for long.
        application.beforeServerStarts { await keyRing.waitUntilFresh(for: .milliseconds(500)) }
        self.application = application
    }

    /// So many connections above the bound get their `503`; the rest wait in the kernel's queue for their turn.
    private static let connectionsToRefuse = 512

    /// Serves until graceful shutdown, then answers what has begun. Throws where it cannot listen.
    package func run() async throws {
        try await application.run()
    }
}
