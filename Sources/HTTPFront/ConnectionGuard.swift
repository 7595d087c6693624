// Protects the service from slow, broken and too many clients, a connection at a time.

internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import Synchronization

/// How long a client may take, and how much it may send that nobody reads.
enum ConnectionLimits {
    /// From a head's first byte to its end, and from there to the end of the body.
    static let head = TimeAmount.seconds(10)
    static let body = TimeAmount.seconds(10)
    /// Longer than the usual load balancer's (60 s), which would otherwise send a request into a closing connection.
    static let idle = TimeAmount.seconds(75)
    static let unreadAnswer = TimeAmount.seconds(30)
    /// While draining: long enough for a request that is on its way.
    static let idleWhileDraining = TimeAmount.seconds(1)
    /// Of a body whose answer is already given.
    static let unreadBody = 64 * 1024
    static let lingering = TimeAmount.seconds(2)
}

/// Counts the open connections; those above the bound are refused with a `503` of their own.
final class ConnectionCount: Sendable {
    private let open = Atomic<Int>(0)
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// False where the connection is one too many. Either way it counts until ``remove()``.
    func add() -> Bool { open.add(1, ordering: .relaxed).newValue <= limit }

    func remove() { open.subtract(1, ordering: .relaxed) }
}

/// Sees whole HTTP parts, and through ``ByteWatcher`` the bytes before they are parts.
///
/// Deadlines start and end here; an answer that the HTTP library would refuse without a body gets one.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private enum Reading {
        /// Nothing of the next request has arrived.
        case nothing
        case head
        case body
    }

    private let count: ConnectionCount
    private let logger: Logger
    private var isRefused = false
    private var reading = Reading.nothing
    /// Requests whose head has arrived and whose answer is not wholly written.
    private var unanswered = 0
    private var isDraining = false
    private var isClosing = false
    /// Bytes of a body that came after its answer was written, where the answer came early.
    private var unreadBody: Int?
    private var readTimer: Scheduled<Void>?
    private var writeTimer: Scheduled<Void>?
    private var byteContext: ChannelHandlerContext?

    init(count: ConnectionCount, logger: Logger) {
        self.count = count
        self.logger = logger
    }

    func handlerAdded(context: ChannelHandlerContext) {
        isRefused = !count.add()
        context.channel.closeFuture.whenComplete { [count] _ in count.remove() }
        let watcher = ByteWatcher(owner: self)
        // The HTTP decoder passes on whole heads only, so the bytes have to be seen before it.
        try? context.pipeline.syncOperations.addHandler(watcher, position: .first)
        startReadTimer(context, ConnectionLimits.idle)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        readTimer?.cancel()
        writeTimer?.cancel()
        byteContext = nil
    }

    fileprivate func attach(_ context: ChannelHandlerContext) { byteContext = context }

    /// False where the bytes are not to be passed on.
    fileprivate func bytesArrived(_ context: ChannelHandlerContext) -> Bool {
        guard !isClosing else { return false }
        guard !isRefused else {
            refuse(.overloaded)
            return false
        }
        if reading == .nothing {
            reading = .head
            startReadTimer(context, ConnectionLimits.head)
        }
        return true
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            reading = .body
            unanswered += 1
            startReadTimer(context, ConnectionLimits.body)
            if head.headerFields[.expect]?.lowercased() == "100-continue" {
                // RFC 9110, section 10.1.1: without it some clients wait a second before they send the body.
                context.writeAndFlush(
                    wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
            }
        case .body(let buffer):
            if let unread = unreadBody {
                unreadBody = unread + buffer.readableBytes
                if unread + buffer.readableBytes > ConnectionLimits.unreadBody { close(context) }
                // Hummingbird would read it only to throw it away.
                return
            }
        case .end:
            reading = .nothing
            readTimer?.cancel()
            if unreadBody != nil { close(context) } else { becomeIdleIfAnswered(context) }
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(var head) where isDraining || reading == .body:
            // RFC 9112, section 9.6: the connection ends after this answer.
            head.headerFields[.connection] = "close"
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .end:
            let written = promise ?? context.eventLoop.makePromise()
            startWriteTimer(context)
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            written.futureResult.whenSuccess {
                let (guardian, context) = bound.value
                guardian.answerWritten(context)
            }
            context.write(data, promise: written)
        case .head, .body:
            context.write(data, promise: promise)
        }
    }

    private func answerWritten(_ context: ChannelHandlerContext) {
        writeTimer?.cancel()
        unanswered -= 1
        if unanswered == 0, reading == .body {
            unreadBody = 0
            startReadTimer(context, ConnectionLimits.lingering)
        } else if unanswered == 0, isDraining, reading == .nothing {
            close(context)
        } else {
            becomeIdleIfAnswered(context)
        }
    }

    private func becomeIdleIfAnswered(_ context: ChannelHandlerContext) {
        guard unanswered == 0, reading == .nothing else { return }
        startReadTimer(context, isDraining ? ConnectionLimits.idleWhileDraining : ConnectionLimits.idle)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is ChannelShouldQuiesceEvent else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        // Hummingbird closes idle connections on this event, also one on which a request is just arriving.
        isDraining = true
        becomeIdleIfAnswered(context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case HTTPParserError.headerOverflow: refuse(.headersTooLarge)
        case is ChannelError, is IOError: close(context)
        default: refuse(.malformedHTTP)
        }
    }

    private func startReadTimer(_ context: ChannelHandlerContext, _ time: TimeAmount) {
        readTimer?.cancel()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        readTimer = context.eventLoop.scheduleTask(in: time) {
            let (guardian, context) = bound.value
            guardian.readTimeIsUp(context)
        }
    }

    private func startWriteTimer(_ context: ChannelHandlerContext) {
        writeTimer?.cancel()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        writeTimer = context.eventLoop.scheduleTask(in: ConnectionLimits.unreadAnswer) {
            let (guardian, context) = bound.value
            guardian.close(context)
        }
    }

    private func readTimeIsUp(_ context: ChannelHandlerContext) {
        switch reading {
        case .nothing: if unanswered == 0 { close(context) }
        case .head: if unanswered == 0 { refuse(.requestTimeout) } else { close(context) }
        case .body: if unreadBody == nil { refuse(.requestTimeout) } else { close(context) }
        }
    }

    /// Answers in place of the HTTP library and closes. Written past the encoder, which may be in any state.
    private func refuse(_ answer: ErrorAnswer) {
        guard !isClosing, let context = byteContext else { return }
        isClosing = true
        readTimer?.cancel()
        let requestID = RequestID.make()
        let body = answer.body(requestID: requestID)
        var head = "HTTP/1.1 \(answer.status.code) \(answer.status.reasonPhrase)\r\n"
        head += "content-type: application/json\r\ncache-control: no-store\r\ncontent-length: \(body.readableBytes)\r\n"
        if answer.status == .serviceUnavailable { head += "retry-after: 1\r\n" }
        head += "x-request-id: \(requestID)\r\nconnection: close\r\n\r\n"
        var buffer = ByteBuffer(string: head)
        buffer.writeImmutableBuffer(body)
        logger.info(
            "connection refused",
            metadata: ["status": .stringConvertible(answer.status.code), "request_id": "\(requestID)"])
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(NIOAny(buffer)).whenComplete { _ in bound.value.close(promise: nil) }
    }

    private func close(_ context: ChannelHandlerContext) {
        isClosing = true
        context.close(promise: nil)
    }
}

/// The first handler of the pipeline: tells its owner that bytes have come.
private final class ByteWatcher: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer

    private let owner: ConnectionGuard

    init(owner: ConnectionGuard) { self.owner = owner }

    func handlerAdded(context: ChannelHandlerContext) { owner.attach(context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if owner.bytesArrived(context) { context.fireChannelRead(data) }
    }
}
