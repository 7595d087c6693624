internal import IPAddresses
internal import Logging
internal import NIOCore
internal import NIOHTTP1

/// One client's connection, the last handler of the pipeline, behind the HTTP decoder: performs what its state decides.
///
/// A request is answered in a task that begins on the event loop with its head; the body may come later.
/// Answers are written in one piece, in the order of the requests. What the decoder refuses gets an answer, too.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    private let responder: Responder
    private let executor: EventLoopTaskExecutor
    private let limits: ConnectionLimits
    private let place: ConnectionPlaces.Place
    private let logger: Logger
    private var peer = Client(nil)
    /// Unchecked, as some others here, because all runs on the event loop, and nothing is called while one is accessed;
    /// the checks would be a hundredth of a create.
    @exclusivity(unchecked) private var state: ConnectionState
    @exclusivity(unchecked) private var context: ChannelHandlerContext?
    /// Bytes that wait until the state wants to have them parsed.
    @exclusivity(unchecked) private(set) var unparsed = ByteBuffer()
    @exclusivity(unchecked) private var inputHasEnded = false
    private var isClosed = false
    @exclusivity(unchecked) private var isParsing = false
    /// Requests start in a loop: one that is answered at once must not start the next from within its own start.
    @exclusivity(unchecked) private var isStarting = false
    @exclusivity(unchecked) private var readIsHeld = false
    @exclusivity(unchecked) private var timer: (deadline: NIODeadline, scheduled: Scheduled<Void>)?
    /// Passes bytes on to the decoder.
    @exclusivity(unchecked) var parse: ((ByteBuffer) -> Void)?

    init(
        responder: Responder, executor: EventLoopTaskExecutor, limits: ConnectionLimits, place: ConnectionPlaces.Place,
        logger: Logger
    ) {
        self.responder = responder
        self.executor = executor
        self.limits = limits
        self.place = place
        self.logger = logger
        state = ConnectionState(limits: limits, isRefused: place.isTooMany, now: executor.eventLoop.now)
    }

    /// Adds the handlers to a new connection's pipeline.
    func add(to channel: any Channel) throws {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = 16 * 1024
        limits.maxHeaderListSize = 32 * 1024
        limits.maxHeaderFieldCount = 100
        let pipeline = channel.pipeline.syncOperations
        // The decoder parses all that it gets at once, so that what it gets has to be decided before it.
        try pipeline.addHandler(InputGate(owner: self))
        try pipeline.addHandler(
            ByteToMessageHandler(
                HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)))
        try pipeline.addHandler(self)
    }

    private var now: NIODeadline { executor.eventLoop.now }

    private func makeRoom() {
        if place.isHeldBack { state.close() } else { state.makeRoom(now: now) }
        perform()
        if !isClosed { place.stay() }
    }

    // MARK: Reading

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        peer = Client(context.remoteAddress?.ipAddress.flatMap { IPAddress($0) })
        let connection = NIOLoopBound(self, eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        place.occupy {
            eventLoop.execute { connection.value.makeRoom() }
        }
        context.channel.closeFuture.whenComplete { [place] _ in place.leave() }
        armTimer()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        timer?.scheduled.cancel()
        timer = nil
        parse = nil
        self.context = nil
    }

    func channelInactive(context: ChannelHandlerContext) {
        state.close()
        perform()
        context.fireChannelInactive()
    }

    /// Bytes have come from the client.
    func receive(_ bytes: ByteBuffer) {
        guard !isClosed else { return }
        if unparsed.readableBytes == 0 {
            unparsed = bytes
        } else {
            unparsed.writeImmutableBuffer(bytes)
            guard unparsed.readableBytes <= ConnectionLimits.unparsedBytes else {
                unparsed = ByteBuffer()
                state.close()
                return perform()
            }
        }
        parseWhatIsWanted()
    }

    func endInput() {
        inputHasEnded = true
        place.disconnect()
        parseWhatIsWanted()
    }

    private func parseWhatIsWanted() {
        guard !isParsing, inputHasEnded || unparsed.readableBytes > 0 else { return }
        isParsing = true
        var rest = unparsed
        unparsed = ByteBuffer()
        while let bytes = rest.readSlice(length: min(rest.readableBytes, state.bytesWanted)), bytes.readableBytes > 0 {
            guard state.received(bytes.readableBytes, now: now) else { continue }
            if place.hold(state.heldBytes, now: now) {
                parse?(bytes)
            } else {
                state.refuseInTurn(.overloaded, now: now)
            }
        }
        isParsing = false
        if rest.readableBytes > 0 {
            unparsed = rest
        } else if inputHasEnded {
            inputHasEnded = false
            state.inputClosed()
        }
        perform()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): state.receivedHead(head, now: now)
        case .body(let buffer): state.receivedBody(buffer.readableBytes)?.append(buffer)
        case .end: state.receivedEnd()?.end()
        }
    }

    /// Whole requests have usually come by now, so that their handlers find the body there.
    func channelReadComplete(context: ChannelHandlerContext) {
        startWaiting()
        context.fireChannelReadComplete()
    }

    /// A client that sends faster than it is answered, or more than a handler takes, is not read from meanwhile.
    func read(context: ChannelHandlerContext) {
        readIsHeld = state.bytesWanted == 0 || unparsed.readableBytes > 0
        if !readIsHeld { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            state.drain(now: now)
            perform()
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case HTTPParserError.headerOverflow: state.refuseInTurn(.headersTooLarge, now: now)
        case is ChannelError, is IOError: state.close()
        default: state.refuseInTurn(.malformedHTTP, now: now)
        }
        if !isParsing { perform() }
    }

    // MARK: Answering

    private func startWaiting() {
        guard !isStarting else { return }
        isStarting = true
        var turns = limits.requestsInATurn
        while turns > 0 {
            parseWhatIsWanted()
            guard let next = state.startNext() else { break }
            start(next)
            state.started()
            perform()
            turns -= 1
        }
        isStarting = false
        if turns == 0, let context {
            context.eventLoop.assumeIsolated().execute { self.startWaiting() }
        } else if readIsHeld, let context {
            read(context: context)
        }
    }

    private func start(_ exchange: Exchange) {
        respond(to: responder.begin(exchange.head, exchange.body, from: peer, at: place))
    }

    private func respond(to begun: Responder.Begun, after hold: Response.Hold? = nil) {
        let eventLoop = executor.eventLoop
        let connection = NIOLoopBound(self, eventLoop: eventLoop)
        let responder = responder
        // Begins here and now; where it has to wait, it goes on on the same event loop.
        Task.immediate(executorPreference: executor) {
            let response = await responder.respond(to: begun, after: hold)
            guard let hold = response.hold else {
                return connection.value.write(response, withBody: begun.head.method != .HEAD)
            }
            hold.onWake {
                eventLoop.execute { connection.value.respond(to: begun, after: hold) }
            }
        }
    }

    private func write(_ response: Response, withBody: Bool) {
        guard let isLast = state.answered(now: now) else { return }
        armTimer()
        write(response.serialized(withBody: withBody, closes: isLast), withBody ? response.sharedBody?.bytes : nil)
        // Not taken by the client's system yet.
        if case .writing = state.output { notePlace() }
    }

    private func notePlace() {
        place.note(waitsForClientSince: state.waitsForClientSince, hasReceivedRequest: state.hasReceivedRequest)
    }

    private func write(_ message: [UInt8], _ sharedBody: ByteBuffer? = nil) {
        guard let context else { return }
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.assumeIsolated().whenSuccess {
            self.state.written(now: self.now)
            self.perform()
            self.startWaiting()
        }
        if let sharedBody {
            context.write(wrapOutboundOut(ByteBuffer(bytes: message)), promise: nil)
            context.writeAndFlush(wrapOutboundOut(sharedBody), promise: written)
        } else {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: message)), promise: written)
        }
    }

    // MARK: Performing

    /// What has come of the latest change of the state.
    private func perform() {
        let actions = state.takeActions()
        notePlace()
        place.hold(state.heldBytes, now: now)
        armTimer()
        actions.brokenOff?.breakOff()
        if actions.writesContinue, let context {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")), promise: nil)
        }
        if let refusal = actions.refusal {
            responder.metrics.recordRefusal(refusal)
            let requestID = RequestID.make()
            logger.info(
                "connection refused",
                metadata: ["status": .stringConvertible(refusal.answer.status.code), "request_id": "\(requestID)"])
            write(Response(refusal.answer, requestID: requestID).serialized(withBody: true, closes: true))
        }
        if actions.closesOutput { context?.close(mode: .output, promise: nil) }
        if actions.closes {
            isClosed = true
            context?.close(promise: nil)
        }
    }

    /// Deadlines move with every request, nearly always to a later time: the timer stays as it is until it fires.
    private func armTimer() {
        guard let context, let next = state.deadline else { return }
        if let armed = timer?.deadline {
            guard next < armed else { return }
            timer?.scheduled.cancel()
        }
        let scheduled = context.eventLoop.assumeIsolated().scheduleTask(deadline: next) {
            self.timer = nil
            self.state.timeout(now: self.now)
            self.perform()
        }
        timer = (next, scheduled)
    }
}
