// Listens, accepts connections up to a bound, and drains them at the end.

internal import NIOCore
internal import NIOExtras
internal import NIOPosix
internal import ServiceLifecycle

struct HTTPServer: Sendable {
    let host: String
    /// 0: any free port.
    let port: Int
    /// Further ones wait in the kernel's queue for their turn.
    let maximumConnections: Int
    /// Makes the handler of a new connection, whose tasks run on the executor.
    let makeConnection: @Sendable (EventLoopTaskExecutor) -> HTTPConnection

    /// Serves until graceful shutdown or cancellation, then until every connection is closed.
    ///
    /// - Parameter onListening: called with the port once connections are accepted.
    func run(onListening: @Sendable (Int) async -> Void) async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let executors = Dictionary(
            uniqueKeysWithValues: group.makeIterator().map { ($0.hash, EventLoopTaskExecutor($0)) })
        let quiescing = ServerQuiescingHelper(group: group)
        let listener = try await ServerBootstrap(group: group)
            // Many clients may come at once, after a failover of their load balancer, say: without a long queue the
            // kernel drops their first packets, and they come again a second later.
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.maxMessagesPerRead, value: 64)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { [maximumConnections] channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(AcceptLimit(maximumConnections))
                    try pipeline.addHandler(quiescing.makeServerChannelHandler(channel: channel))
                }
            }
            // A client may have sent all it wants to send and still wait for the answer.
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { [makeConnection] channel in
                channel.eventLoop.makeCompletedFuture {
                    let eventLoop = channel.eventLoop
                    let executor = executors[eventLoop.hash] ?? EventLoopTaskExecutor(eventLoop)
                    try makeConnection(executor).add(to: channel)
                }
            }
            .bind(host: host, port: port).get()
        let allClosed = listener.eventLoop.makePromise(of: Void.self)
        try await withTaskCancellationOrGracefulShutdownHandler {
            await onListening(listener.localAddress?.port ?? port)
            try await allClosed.futureResult.get()
        } onCancelOrGracefulShutdown: {
            quiescing.initiateShutdown(promise: allClosed)
        }
    }
}

extension EventLoop {
    fileprivate var hash: ObjectIdentifier { ObjectIdentifier(self) }
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
