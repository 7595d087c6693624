// Puts the routes and the server together: the one way in, for the program and for its tests.

package import APIKeyAuth
package import LinkSessionRepository
package import Logging
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

    private let server: HTTPServer
    private let keyRing: KeyRing
    private let onListening: @Sendable (Int) async -> Void

    /// - Parameters:
    ///   - addPages: adds what browsers ask for.
    ///   - onListening: called with the port once the server accepts connections.
    package init(
        configuration: Configuration, keyRing: KeyRing, repository: LinkSessionRepository,
        signIns: SignInRepository, suppliers: SupplierRepository, returnLinks: ReturnLinks,
        tokenGenerator: TokenGenerator,
        readiness: Readiness, logger: Logger, accessLog: @escaping AccessLog, addPages: (inout Routes) -> Void,
        onListening: @escaping @Sendable (Int) async -> Void = { _ in }
    ) {
        var routes = Routes()
        ManufacturerLinkSessions(
            keyRing: keyRing, repository: repository, tokenGenerator: tokenGenerator,
            publicBaseURL: configuration.publicBaseURL, returnLinks: returnLinks
        ).add(to: &routes)
        AuthenticatorLinkSessions(
            keyRing: keyRing, repository: repository, signIns: signIns, suppliers: suppliers, returnLinks: returnLinks
        ).add(to: &routes)
        KeySet(returnLinks: returnLinks).add(to: &routes)
        Health(readiness: readiness).add(to: &routes)
        OpenAPI().add(to: &routes)
        addPages(&routes)
        let responder = Responder(routes: routes, keyRing: keyRing, accessLog: accessLog)
        let count = ConnectionCount(limit: configuration.maximumConnections)
        server = HTTPServer(
            host: configuration.host, port: configuration.port,
            maximumConnections: configuration.maximumConnections + Self.connectionsToRefuse
        ) { executor in
            HTTPConnection(responder: responder, executor: executor, count: count, logger: logger)
        }
        self.keyRing = keyRing
        self.onListening = onListening
    }

    /// So many connections above the bound get their `503`; the rest wait in the kernel's queue for their turn.
    private static let connectionsToRefuse = 512

    /// Serves until graceful shutdown, then answers what has begun. Throws where it cannot listen.
    package func run() async throws {
        // Who finds the port open should not find the keys missing; a database that is down delays nothing for long.
        await keyRing.waitUntilFresh(for: .milliseconds(500))
        try await server.run(onListening: onListening)
    }
}
