// A client's connection from its bytes to its end: what comes of it must hold for every client.

import NIOCore
import NIOEmbedded
import Logging

@testable import HTTPServer

/// The bytes of the input go to the connection as they are, but for what follows a byte 0xFE: that is a step.
func fuzzConnection(_ input: [UInt8]) {
    var input = input[...]
    guard let first = input.popFirst() else { return }
    let connection = FuzzedConnection(isRefused: first & 1 != 0, readsAnswers: first & 2 == 0)
    var bytes: [UInt8] = []
    while let byte = input.popFirst(), !connection.isClosed {
        guard byte == 0xFE else {
            bytes.append(byte)
            continue
        }
        let step = input.popFirst()
        if !bytes.isEmpty {
            connection.send(bytes)
            if step == UInt8(ascii: "R") {
                for _ in 0..<(input.popFirst() ?? 0) { connection.send(bytes) }
            }
            bytes = []
        }
        switch step {
        case UInt8(ascii: "h"): connection.endInput()
        case UInt8(ascii: "q"): connection.quiesce()
        case UInt8(ascii: "t"): connection.wait(.milliseconds(100 * Int64(input.popFirst() ?? 0)))
        case UInt8(ascii: "w"): connection.readAnswers()
        case UInt8(ascii: "a"): connection.answer()
        case UInt8(ascii: "m"): connection.makeRoom()
        case UInt8(ascii: "x"): connection.reset()
        default: break
        }
    }
    if !bytes.isEmpty { connection.send(bytes) }
    connection.finish()
}

/// What `precondition` does, but for saying so in a release build.
func expect(_ holds: @autoclosure () -> Bool, _ what: String = "what is written is well-formed") {
    if !holds() { fatalError("does not hold: \(what)") }
}

private let logger = Logger(label: "fuzz", factory: { _ in SwiftLogNoOpLogHandler() })

private final class FuzzedConnection {
    private let loop = EmbeddedEventLoop()
    private let channel: EmbeddedChannel
    private let places = ConnectionPlaces(limit: 1)
    private let handler: ConnectionHandler
    private let wire: Wire
    private let heads = Heads()
    private let requests = Requests()
    /// Has the only place, where this connection is one too many.
    private var other: ConnectionPlaces.Place?
    private var sent: [ByteBuffer] = []
    private var hasEndedInput = false

    init(isRefused: Bool, readsAnswers: Bool) {
        wire = Wire(readsAnswers: readsAnswers)
        // A connection that waits since 0 is at work.
        loop.advanceTime(by: .seconds(1))
        channel = EmbeddedChannel(loop: loop)
        if isRefused {
            let other = places.take(now: loop.now)
            other.note(waitsForClientSince: nil, hasReceivedRequest: true)
            self.other = other
        }
        handler = ConnectionHandler(
            responder: Responder(
                routes: requests.routes, isSecret: { _ in false }, accessLog: { [requests] _ in requests.answered() }),
            executor: EventLoopTaskExecutor(loop), limits: ConnectionLimits(), place: places.take(now: loop.now),
            logger: logger)
        let pipeline = channel.pipeline.syncOperations
        try! pipeline.addHandler(wire)
        try! handler.add(to: channel)
        try! pipeline.addHandler(heads, position: .before(handler))
        wire.heads = heads
        wire.requests = requests
        channel.connect(to: try! SocketAddress(unixDomainSocketPath: "/x"), promise: nil)
        loop.run()
        channel.read()
    }

    var isClosed: Bool { !channel.isActive }

    func send(_ bytes: [UInt8]) {
        guard !hasEndedInput, !isClosed else { return }
        sent.append(ByteBuffer(bytes: bytes))
        deliver()
    }

    /// As a socket does: one read at a time, and only when it is asked for.
    private func deliver(all: Bool = false) {
        while let next = sent.first, wire.isRead || all, !isClosed {
            sent.removeFirst()
            wire.isRead = false
            channel.pipeline.fireChannelRead(next)
            channel.pipeline.fireChannelReadComplete()
            if !wire.isRead { channel.read() }
            check()
        }
        loop.run()
        check()
        if wire.isRead, !sent.isEmpty, !isClosed { deliver() }
    }

    func endInput() {
        guard !hasEndedInput, !isClosed else { return }
        hasEndedInput = true
        deliver(all: true)
        guard !isClosed else { return }
        channel.pipeline.fireChannelReadComplete()
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        loop.run()
        check()
    }

    func quiesce() {
        channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        loop.run()
        check()
    }

    func wait(_ time: TimeAmount) {
        loop.advanceTime(by: time)
        deliver()
    }

    func readAnswers() {
        wire.completeWrites()
        deliver()
    }

    func answer() {
        requests.answerNext()
        deliver()
    }

    func makeRoom() {
        places.take(now: loop.now).leave()
        deliver()
    }

    func reset() {
        guard !isClosed else { return }
        channel.pipeline.fireErrorCaught(IOError(errnoCode: 104, reason: "reset"))
        deliver()
        expect(isClosed, "a connection that was reset is closed")
    }

    /// Whoever is answered and sends nothing more is let go.
    func finish() {
        for _ in 0..<200 where requests.isWaiting {
            answer()
            readAnswers()
        }
        readAnswers()
        for _ in 0..<4 { wait(.seconds(76)) }
        for _ in 0..<200 where requests.isWaiting { answer() }
        wait(.seconds(76))
        expect(isClosed, "every connection ends")
        expect(requests.underWay == 0, "every request that was begun is ended")
        loop.run()
        other?.leave()
        _ = try? channel.finish(acceptAlreadyClosed: true)
    }

    private func check() {
        expect(handler.unparsed.readableBytes <= 64 * 1024, "bytes pile up")
        expect(heads.methods.count - requests.answers <= 64 + 1, "requests pile up")
    }
}
