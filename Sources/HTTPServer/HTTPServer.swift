package import IPAddresses
package import Logging
internal import NIOCore
internal import NIOExtras
internal import NIOPosix
internal import ServiceLifecycle

/// The HTTP server (HTTP/1.1, RFC 9112): accepts connections up to a bound, and drains them at the end.
package struct HTTPServer: Service {
    package struct Configuration: Sendable {
        package let host: String
        /// 0: any free port.
        package let port: Int
        /// Further ones take the places of idle ones; while all are at work they are answered `503`.
        package let maximumConnections: Int
        /// How long a connection is kept between an answer and the next request.
        package let idleTimeout: Duration

        package init(host: String, port: Int, maximumConnections: Int, idleTimeout: Duration = .seconds(75)) {
            self.host = host
            self.port = port
            self.maximumConnections = maximumConnections
            self.idleTimeout = idleTimeout
        }
    }

    private let configuration: Configuration
    private let responder: Responder
    private let places: ConnectionPlaces
    private let makeConnection: @Sendable (EventLoopTaskExecutor) -> ConnectionHandler
    private let beforeListening: @Sendable () async -> Void
    private let onListening: @Sendable (Int) async -> Void

    /// - Parameters:
    ///   - isSecret: whether a text that a caller chose for its request's id must not be logged or repeated.
    ///   - trustedProxies: tell of the clients behind them.
    ///   - anonymous: holds back whoever asks for too much without a key; `nil`: nobody is.
    ///   - errorPage: what a browser gets in place of an error's JSON.
    ///   - isMeasured: whether its requests are counted in metrics.
    ///   - beforeListening: what the first request needs; must end by itself soon.
    ///   - onListening: called with the port once the server accepts connections.
    package init(
        _ configuration: Configuration, routes: Routes, isSecret: @escaping @Sendable (String) -> Bool,
        trustedProxies: [IPNetwork] = [], limits anonymous: AnonymousLimits? = nil,
        errorPage: @escaping ErrorPage = { _, _ in nil }, isMeasured: Bool = true, logger: Logger,
        accessLog: @escaping AccessLog, beforeListening: @escaping @Sendable () async -> Void = {},
        onListening: @escaping @Sendable (Int) async -> Void = { _ in }
    ) {
        let responder = Responder(
            routes: routes, isSecret: isSecret, trustedProxies: TrustedProxies(networks: trustedProxies),
            limits: anonymous, errorPage: errorPage, isMeasured: isMeasured, accessLog: accessLog)
        let places = ConnectionPlaces(limit: configuration.maximumConnections)
        var limits = ConnectionLimits()
        limits.idle = TimeAmount(configuration.idleTimeout)
        self.configuration = configuration
        self.responder = responder
        self.places = places
        makeConnection = { [limits] executor in
            ConnectionHandler(
                responder: responder, executor: executor, limits: limits, place: places.take(now: .now()),
                logger: logger)
        }
        self.beforeListening = beforeListening
        self.onListening = onListening
    }

    package var statistics: HTTPServerStatistics {
        let taken = places.taken
        return HTTPServerStatistics(
            activeRequests: responder.activeRequests, connections: taken.connections, placesTaken: taken.places,
            places: places.limit)
    }

    /// So many connections above the bound, or as many as that, get their `503`; the rest wait in the kernel's queue for
    /// their turn.
    private static let connectionsToRefuse = 512

    /// Serves until graceful shutdown or cancellation, then until every connection is closed. Throws where it cannot
    /// listen.
    package func run() async throws {
        await beforeListening()
        let group = MultiThreadedEventLoopGroup.singleton
        let executors = Dictionary(
            uniqueKeysWithValues: group.makeIterator().map { (ObjectIdentifier($0), EventLoopTaskExecutor($0)) })
        let quiescing = ServerQuiescingHelper(group: group)
        let listener = try await ServerBootstrap(group: group)
            // Many clients may come at once, after a failover of their load balancer, say: without a long queue the
            // kernel drops their first packets, and they come again a second later.
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.maxMessagesPerRead, value: 64)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { [maximumConnections = configuration.maximumConnections] channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(
                        AcceptLimit(maximumConnections + min(maximumConnections, Self.connectionsToRefuse)))
                    try pipeline.addHandler(quiescing.makeServerChannelHandler(channel: channel))
                }
            }
            // A client may have sent all it wants to send and still wait for the answer.
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            // One at a time, so that a client is held back before more has come than may wait.
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: 1024, initial: 2048, maximum: ConnectionLimits.longestRead)
            )
            .childChannelInitializer { [makeConnection] channel in
                channel.eventLoop.makeCompletedFuture {
                    let eventLoop = channel.eventLoop
                    let executor = executors[ObjectIdentifier(eventLoop)] ?? EventLoopTaskExecutor(eventLoop)
                    try makeConnection(executor).add(to: channel)
                }
            }
            .bind(host: configuration.host, port: configuration.port).get()
        let allClosed = listener.eventLoop.makePromise(of: Void.self)
        try await withTaskCancellationOrGracefulShutdownHandler {
            await onListening(listener.localAddress?.port ?? configuration.port)
            try await allClosed.futureResult.get()
        } onCancelOrGracefulShutdown: {
            quiescing.initiateShutdown(promise: allClosed)
        }
    }
}

/// Accepts no further connection while there are too many.
private final class AcceptLimit: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel
    typealias OutboundIn = Never

    private let limit: Int
    private var open = 0
    private var isHeld = false

    init(_ limit: Int) { self.limit = limit }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        open += 1
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        unwrapInboundIn(data).closeFuture.hop(to: context.eventLoop).whenComplete { _ in
            let (handler, context) = bound.value
            handler.open -= 1
            if handler.isHeld { handler.read(context: context) }
        }
        context.fireChannelRead(data)
    }

    func read(context: ChannelHandlerContext) {
        isHeld = open >= limit
        if !isHeld { context.read() }
    }
}
