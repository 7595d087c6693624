// One client's connection: reads its requests, has them answered one after the other, and protects the service from
// slow and broken clients.

internal import DequeModule
internal import Logging
internal import NIOCore
internal import NIOHTTP1
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
    /// Of those that a client sent together; then the event loop's other connections have their turn.
    static let requestsInATurn = 16
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

/// Behind the HTTP decoder, the last handler of the pipeline.
///
/// A request is answered in a task that begins on the event loop with its head; the body may come later.
/// Answers are written in one piece, in the order of the requests. What the decoder refuses gets an answer, too.
final class HTTPConnection: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    private struct Exchange {
        let head: HTTPRequestHead
        let body: RequestBody
        /// The client has said that it sends no further request, or speaks HTTP/1.0 and waits for the end.
        let isLast: Bool
    }

    private enum Reading {
        /// Nothing of the next request has arrived.
        case nothing
        case head
        case body
    }

    private let responder: Responder
    private let executor: EventLoopTaskExecutor
    private let count: ConnectionCount
    private let logger: Logger
    private var context: ChannelHandlerContext?
    private var isRefused = false
    private var reading = Reading.nothing
    /// Whose body is arriving.
    private var incoming: Exchange?
    private var waiting: Deque<Exchange> = []
    private var underWay: Exchange?
    /// Requests start in a loop: one that is answered at once must not start the next from within its own start.
    private var isStarting = false
    private var readIsHeld = false
    private var isDraining = false
    /// The client sends no more; what it has asked is still answered.
    private var hasEnded = false
    /// Whatever comes now is not looked at any more.
    private var ignoresInput = false
    private var isClosing = false
    /// Bytes of a body that came after its answer was written, where the answer came early.
    private var unreadBody: Int?
    private var readDeadline: NIODeadline?
    private var writeDeadline: NIODeadline?
    private var timer: (deadline: NIODeadline, scheduled: Scheduled<Void>)?
    /// A request in the line waits for its 100 (Continue), which must not overtake the answers before it.
    private var owesContinue = false
    /// What broke the connection while answers to earlier requests were still under way.
    private var refusalAfterAnswers: ErrorAnswer?

    init(responder: Responder, executor: EventLoopTaskExecutor, count: ConnectionCount, logger: Logger) {
        self.responder = responder
        self.executor = executor
        self.count = count
        self.logger = logger
    }

    /// Adds the handlers to a new connection's pipeline.
    func add(to channel: any Channel) throws {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = 16 * 1024
        limits.maxHeaderListSize = 32 * 1024
        limits.maxHeaderFieldCount = 100
        let pipeline = channel.pipeline.syncOperations
        // The decoder passes on whole heads only, so the bytes have to be seen before it.
        try pipeline.addHandler(ByteWatcher(owner: self))
        try pipeline.addHandler(
            ByteToMessageHandler(
                HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)))
        try pipeline.addHandler(self)
    }

    // MARK: Reading

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        isRefused = !count.add()
        context.channel.closeFuture.whenComplete { [count] _ in count.remove() }
        setReadDeadline(ConnectionLimits.idle)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.scheduled.cancel()
        timer = nil
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        isClosing = true
        waiting.removeAll()
        incoming?.body.breakOff()
        context.fireChannelInactive()
    }

    /// False where the bytes are not to be passed on.
    fileprivate func bytesArrived() -> Bool {
        guard !isClosing, !ignoresInput else { return false }
        guard !isRefused else {
            refuse(.overloaded)
            return false
        }
        if reading == .nothing {
            reading = .head
            setReadDeadline(ConnectionLimits.head)
        }
        return true
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing, !ignoresInput else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            let isOld = head.version == .http1_0
            guard isOld || head.namesOneHost else { return refuseInTurn(.malformedHTTP) }
            reading = .body
            setReadDeadline(ConnectionLimits.body)
            let exchange = Exchange(head: head, body: RequestBody(), isLast: isOld || !head.isKeepAlive)
            incoming = exchange
            waiting.append(exchange)
            owesContinue = head.headers.first(name: "expect")?.lowercased() == "100-continue"
            writeContinueIfDue()
        case .body(let buffer):
            if let unread = unreadBody {
                unreadBody = unread + buffer.readableBytes
                if unread + buffer.readableBytes > ConnectionLimits.unreadBody { close() }
            } else {
                incoming?.body.append(buffer)
            }
        case .end:
            reading = .nothing
            readDeadline = nil
            owesContinue = false
            guard unreadBody == nil else { return close() }
            incoming?.body.end()
            ignoresInput = incoming?.isLast ?? false
            incoming = nil
        }
    }

    /// Whole requests have usually come by now, so that their handlers find the body there.
    func channelReadComplete(context: ChannelHandlerContext) {
        startWaiting()
        context.fireChannelReadComplete()
    }

    /// A client that sends faster than it is answered, or more than a handler takes, is not read from meanwhile.
    func read(context: ChannelHandlerContext) {
        readIsHeld = !waiting.isEmpty || (unreadBody == nil && incoming?.body.isTooLarge == true)
        if !readIsHeld { context.read() }
    }

    private func readOn() {
        guard readIsHeld, let context else { return }
        read(context: context)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case is ChannelShouldQuiesceEvent:
            isDraining = true
            becomeIdleIfAnswered()
        case ChannelEvent.inputClosed:
            hasEnded = true
            incoming?.body.breakOff()
            if !isClosing, isIdle || unreadBody != nil { close() }
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case HTTPParserError.headerOverflow: refuseInTurn(.headersTooLarge)
        case is ChannelError, is IOError: close()
        default: refuseInTurn(.malformedHTTP)
        }
    }

    // MARK: Answering

    /// Requests whose head has arrived and whose answer is not wholly written.
    private var unanswered: Int { waiting.count + (underWay == nil ? 0 : 1) }
    private var isIdle: Bool { unanswered == 0 && reading == .nothing }

    private func startWaiting() {
        guard !isStarting else { return }
        isStarting = true
        for _ in 0..<ConnectionLimits.requestsInATurn {
            guard underWay == nil, !isClosing, let next = waiting.popFirst() else { break }
            start(next)
        }
        isStarting = false
        if underWay == nil, !isClosing, !waiting.isEmpty, let context {
            context.eventLoop.assumeIsolated().execute { self.startWaiting() }
        } else {
            readOn()
        }
    }

    private func start(_ exchange: Exchange) {
        guard let context else { return }
        underWay = exchange
        writeContinueIfDue()
        let connection = NIOLoopBound(self, eventLoop: context.eventLoop)
        let (responder, head, body) = (responder, exchange.head, exchange.body)
        // Begins here and now; where it has to wait, it goes on on the same event loop.
        Task.immediate(executorPreference: executor) {
            let response = await responder.respond(to: head, body)
            connection.value.write(response)
        }
    }

    private func write(_ response: Response) {
        guard let exchange = underWay, !isClosing, let context else { return }
        let isEarly = !exchange.body.hasEnded
        let isLast = exchange.isLast || isEarly || refusalAfterAnswers != nil || (isDraining && waiting.isEmpty)
        let message = response.serialized(withBody: exchange.head.method != .HEAD, closes: isLast)
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenSuccess { self.written(isEarly: isEarly, isLast: isLast) }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: message)), promise: written)
        if underWay != nil {
            writeDeadline = .now() + ConnectionLimits.unreadAnswer
            arm()
        }
    }

    private func written(isEarly: Bool, isLast: Bool) {
        underWay = nil
        writeDeadline = nil
        if isEarly, reading == .body {
            unreadBody = 0
            setReadDeadline(ConnectionLimits.lingering)
            readOn()
        } else if waiting.isEmpty, let refusalAfterAnswers {
            refuse(refusalAfterAnswers)
        } else if waiting.isEmpty, isLast || hasEnded, reading == .nothing {
            close()
        } else {
            becomeIdleIfAnswered()
            startWaiting()
        }
    }

    /// RFC 9110, section 10.1.1: without it some clients wait a second before they send the body.
    private func writeContinueIfDue() {
        guard owesContinue, unanswered == 1, let context else { return }
        owesContinue = false
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
    }

    private func becomeIdleIfAnswered() {
        guard isIdle else { return }
        setReadDeadline(isDraining ? ConnectionLimits.idleWhileDraining : ConnectionLimits.idle)
    }

    // MARK: Refusing and closing

    /// Refuses what cannot be read, after the answers to the requests before it.
    private func refuseInTurn(_ answer: ErrorAnswer) {
        guard !ignoresInput else { return }
        guard unreadBody == nil else { return close() }
        ignoresInput = true
        // A body that broke off is part of a request that was under way: it gets no other answer.
        guard unanswered > 0, reading != .body else { return refuse(answer) }
        refusalAfterAnswers = refusalAfterAnswers ?? answer
        readDeadline = nil
    }

    private func refuse(_ answer: ErrorAnswer) {
        guard !isClosing, let context else { return }
        isClosing = true
        readDeadline = nil
        let requestID = RequestID.make()
        let response = Response(answer, requestID: requestID)
        logger.info(
            "connection refused",
            metadata: ["status": .stringConvertible(answer.status.code), "request_id": "\(requestID)"])
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
        let message = response.serialized(withBody: true, closes: true)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: message)), promise: written)
        incoming?.body.breakOff()
    }

    private func close() {
        isClosing = true
        context?.close(promise: nil)
    }

    // MARK: Deadlines

    private func setReadDeadline(_ time: TimeAmount) {
        readDeadline = .now() + time
        arm()
    }

    /// Deadlines move with every request, nearly always to a later time: the timer stays as it is until it fires.
    private func arm() {
        guard let context, let next = readDeadline.map({ min($0, writeDeadline ?? $0) }) ?? writeDeadline else {
            return
        }
        if let armed = timer?.deadline {
            guard next < armed else { return }
            timer?.scheduled.cancel()
        }
        let scheduled = context.eventLoop.assumeIsolated().scheduleTask(deadline: next) { self.timerFired() }
        timer = (next, scheduled)
    }

    private func timerFired() {
        timer = nil
        let now = NIODeadline.now()
        if let writeDeadline, writeDeadline <= now {
            close()
        } else if let deadline = readDeadline, deadline <= now {
            readDeadline = nil
            readTimeIsUp()
        } else {
            arm()
        }
    }

    private func readTimeIsUp() {
        switch reading {
        case .nothing: if unanswered == 0 { close() }
        case .head: if unanswered == 0 { refuse(.requestTimeout) } else { close() }
        case .body: if unreadBody == nil { refuse(.requestTimeout) } else { close() }
        }
    }
}

extension HTTPRequestHead {
    /// As a head of HTTP/1.1 has to (RFC 9112, section 3.2).
    fileprivate var namesOneHost: Bool {
        let hosts = headers["host"]
        return hosts.count == 1 && !hosts[0].isEmpty && !hosts[0].utf8.contains(UInt8(ascii: ","))
    }
}

/// The first handler of the pipeline: tells its owner that bytes have come.
private final class ByteWatcher: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let owner: HTTPConnection

    init(owner: HTTPConnection) { self.owner = owner }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if owner.bytesArrived() { context.fireChannelRead(data) }
    }
}
