// Protects the service from slow, broken and too many clients, a connection at a time.

internal import HTTPTypes
internal import Hummingbird
internal import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOHTTPTypes
internal import NIOHTTPTypesHTTP1
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
    private var readDeadline: NIODeadline?
    private var writeDeadline: NIODeadline?
    private var timer: (deadline: NIODeadline, scheduled: Scheduled<Void>)?
    private var byteContext: ChannelHandlerContext?
    /// Told before its answer is written: the client of an HTTP/1.0 request waits for the end of the connection.
    private var mustClose = false
    /// A request in the line waits for its 100 (Continue), which must not overtake the answers before it.
    private var owesContinue = false
    /// What broke the connection while answers to earlier requests were still under way.
    private var refusalAfterAnswers: ErrorAnswer?

    init(count: ConnectionCount, logger: Logger) {
        self.count = count
        self.logger = logger
    }

    func handlerAdded(context: ChannelHandlerContext) {
        isRefused = !count.add()
        context.channel.closeFuture.whenComplete { [count] _ in count.remove() }
        let watcher = ByteWatcher(owner: self)
        // The HTTP decoder passes on whole heads only, so the bytes have to be seen before it.
        let pipeline = context.pipeline.syncOperations
        try? pipeline.addHandler(watcher, position: .first)
        // The codec behind the decoder drops the version.
        if let codec = try? pipeline.handler(type: HTTP1ToHTTPServerCodec.self) {
            try? pipeline.addHandler(HeadWatcher(owner: self), position: .before(codec))
        }
        setReadDeadline(context, ConnectionLimits.idle)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.scheduled.cancel()
        byteContext = nil
    }

    fileprivate func attach(_ context: ChannelHandlerContext) { byteContext = context }

    /// False where the bytes are not to be passed on.
    fileprivate func bytesArrived(_ context: ChannelHandlerContext) -> Bool {
        guard !isClosing, refusalAfterAnswers == nil else { return false }
        guard !isRefused else {
            refuse(.overloaded)
            return false
        }
        if reading == .nothing {
            reading = .head
            setReadDeadline(context, ConnectionLimits.head)
        }
        return true
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            reading = .body
            unanswered += 1
            setReadDeadline(context, ConnectionLimits.body)
            owesContinue = head.headerFields[.expect]?.lowercased() == "100-continue"
            writeContinueIfDue(context)
        case .body(let buffer):
            if let unread = unreadBody {
                unreadBody = unread + buffer.readableBytes
                if unread + buffer.readableBytes > ConnectionLimits.unreadBody { close(context) }
                // Hummingbird would read it only to throw it away.
                return
            }
        case .end:
            reading = .nothing
            readDeadline = nil
            owesContinue = false
            if unreadBody != nil { close(context) } else { becomeIdleIfAnswered(context) }
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(var head) where isDraining || mustClose || refusalAfterAnswers != nil || reading == .body:
            // RFC 9112, section 9.6: the connection ends after this answer.
            head.headerFields[.connection] = "close"
            context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .end:
            let written = promise ?? context.eventLoop.makePromise()
            writeDeadline = .now() + ConnectionLimits.unreadAnswer
            arm(context)
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
        unanswered -= 1
        if unanswered == 0 { writeDeadline = nil }
        writeContinueIfDue(context)
        if unanswered == 0, let refusalAfterAnswers {
            refuse(refusalAfterAnswers)
        } else if unanswered == 0, reading == .body {
            unreadBody = 0
            setReadDeadline(context, ConnectionLimits.lingering)
        } else if unanswered == 0, isDraining || mustClose, reading == .nothing {
            close(context)
        } else {
            becomeIdleIfAnswered(context)
        }
    }

    /// RFC 9110, section 10.1.1: without it some clients wait a second before they send the body.
    private func writeContinueIfDue(_ context: ChannelHandlerContext) {
        guard owesContinue, unanswered == 1 else { return }
        owesContinue = false
        context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
    }

    private func becomeIdleIfAnswered(_ context: ChannelHandlerContext) {
        guard unanswered == 0, reading == .nothing else { return }
        setReadDeadline(context, isDraining ? ConnectionLimits.idleWhileDraining : ConnectionLimits.idle)
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
        case HTTPParserError.headerOverflow: refuseInTurn(.headersTooLarge)
        case is ChannelError, is IOError: close(context)
        default: refuseInTurn(.malformedHTTP)
        }
    }

    /// A head of HTTP/1.1 names one host (RFC 9112, section 3.2). False where it is refused.
    fileprivate func headArrived(_ head: HTTPRequestHead) -> Bool {
        guard head.version != .http1_0 else {
            mustClose = true
            return true
        }
        guard head.headers[canonicalForm: "host"].count == 1 else {
            refuseInTurn(.malformedHTTP)
            return false
        }
        return true
    }

    /// Refuses what cannot be read, after the answers to the requests before it.
    private func refuseInTurn(_ answer: ErrorAnswer) {
        // A body that broke off is part of a request that was under way: it gets no other answer.
        guard unanswered > 0, reading != .body else { return refuse(answer) }
        refusalAfterAnswers = refusalAfterAnswers ?? answer
        readDeadline = nil
    }

    private func setReadDeadline(_ context: ChannelHandlerContext, _ time: TimeAmount) {
        readDeadline = .now() + time
        arm(context)
    }

    /// Deadlines move with every request, nearly always to a later time: the timer stays as it is until it fires.
    private func arm(_ context: ChannelHandlerContext) {
        guard let next = [readDeadline, writeDeadline].compactMap({ $0 }).min() else { return }
        if let timer {
            guard next < timer.deadline else { return }
            timer.scheduled.cancel()
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let scheduled = context.eventLoop.scheduleTask(deadline: next) {
            let (guardian, context) = bound.value
            guardian.timerFired(context)
        }
        timer = (next, scheduled)
    }

    private func timerFired(_ context: ChannelHandlerContext) {
        timer = nil
        let now = NIODeadline.now()
        if let writeDeadline, writeDeadline <= now {
            close(context)
        } else if let deadline = readDeadline, deadline <= now {
            readDeadline = nil
            readTimeIsUp(context)
        } else {
            arm(context)
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
        readDeadline = nil
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

/// Between decoder and codec, where a head still has its version.
private final class HeadWatcher: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart

    private let owner: ConnectionGuard
    private var isRefused = false

    init(owner: ConnectionGuard) { self.owner = owner }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head(let head) = unwrapInboundIn(data), !owner.headArrived(head) { isRefused = true }
        if !isRefused { context.fireChannelRead(data) }
    }
}
