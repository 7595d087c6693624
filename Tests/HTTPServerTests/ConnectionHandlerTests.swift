// What a connection's handlers do with a client's bytes, on a channel without a socket and with a clock of its own.

import Logging
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Synchronization
import Testing

@testable import HTTPServer

@Suite struct ConnectionHandlerTests {
    private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    @Test func `a request is answered with the length of its body, and the connection stays`() {
        let connection = TestHandledConnection()
        connection.send(Self.get)
        #expect(connection.statuses == [200])
        #expect(connection.written.last?.contains("content-length: 2\r\n") == true)
        #expect(connection.written.last?.hasSuffix("\r\n\r\n{}") == true)
        #expect(connection.isRead && !connection.isClosed)
    }

    @Test func `an answer with a shared body is its head and the shared bytes, and to HEAD the head alone`() {
        let connection = TestHandledConnection()
        connection.send("GET /shared HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(connection.written.count == 2)
        #expect(connection.written.first?.contains("content-length: 6\r\n") == true)
        #expect(connection.written.first?.hasSuffix("\r\n\r\n") == true)
        #expect(connection.written.last == "shared")
        connection.send("HEAD /shared HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(connection.written.count == 3)
        #expect(connection.written.last?.contains("content-length: 6\r\n") == true)
        connection.send(Self.get)
        #expect(connection.statuses == [200, 200, 200])
    }

    @Test(arguments: [
        (16 * 1024, 1, 200), (16 * 1024 + 1, 1, 431), (8 * 1024, 4, 431), (8 * 1024 - 20, 4, 200), (1, 99, 200),
        (1, 100, 431),
    ])
    func `a field has 16 KiB, a head 32 KiB and 100 fields`(length: Int, count: Int, status: Int) {
        let connection = TestHandledConnection()
        let field = "f: \(String(repeating: "x", count: length))\r\n"
        connection.send("GET / HTTP/1.1\r\nHost: a\r\n\(String(repeating: field, count: count))\r\n")
        #expect(connection.statuses == [status])
    }

    @Test func `sixteen requests are answered in a turn, then other connections have theirs`() {
        let connection = TestHandledConnection()
        connection.send(String(repeating: Self.get, count: 20), runs: false)
        #expect(connection.statuses.count == 16)
        connection.run()
        #expect(connection.statuses.count == 20)
    }

    /// All requests in a read are answered before the event loop reads from another connection.
    @Test func `a read is small enough that others soon have their turn`() {
        #expect(ConnectionLimits.longestRead == 4096)
    }

    @Test func `while requests wait nothing is read, and the last bytes before a client's end have a bound`() {
        let connection = TestHandledConnection()
        connection.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n" + String(repeating: Self.get, count: 400))
        #expect(!connection.isRead)
        let kept = connection.unparsed
        #expect(kept > 0)
        connection.send(String(repeating: "x", count: 64 * 1024 - kept))
        #expect(!connection.isClosed)
        connection.send("x")
        #expect(connection.isClosed)
        connection.send("x")
        #expect(connection.unparsed == 0, "and nothing is kept from then on")
    }

    @Test func `reading goes on once what waits is answered, and not before`() {
        let connection = TestHandledConnection()
        connection.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(connection.isRead)
        connection.send("GET / HTTP/1.1\r\nHost: a\r\nf: \(String(repeating: "x", count: 9000))\r\n\r\n")
        #expect(connection.unparsed == 0 && !connection.isRead, "8 KiB wait")
        connection.answer()
        #expect(connection.statuses == [200, 200])
        #expect(connection.isRead)
    }

    @Test func `a handler that waits for a body hears when it will not come`() {
        let half = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nab"
        let ended = TestHandledConnection()
        ended.send(half)
        ended.endInput()
        #expect(ended.statuses == [400] && ended.isClosed)

        let gone = TestHandledConnection()
        gone.send(half)
        #expect(gone.answered == 0)
        gone.disconnect()
        #expect(gone.answered == 1, "its request has ended, too")
    }

    @Test func `after a refusal our side is closed, and the client's two seconds later`() {
        let connection = TestHandledConnection()
        connection.send("BROKEN\r\n\r\n")
        #expect(connection.statuses == [400])
        #expect(connection.outputIsClosed && !connection.isClosed)
        connection.wait(.seconds(2))
        #expect(connection.isClosed)
    }

    @Test func `what was held back is read once its turn comes, and the client's end after it`() {
        let connection = TestHandledConnection()
        connection.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n" + String(repeating: Self.get, count: 400))
        connection.endInput()
        #expect(connection.statuses == [])
        connection.answer()
        #expect(connection.statuses == Array(repeating: 200, count: 401))
        #expect(connection.isClosed)
    }

    @Test func `a body of more than 16 KiB is not had`() {
        for length in ["16385", "18446744073709551615"] {
            let connection = TestHandledConnection()
            connection.send(
                "POST /body HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: \(length)\r\n\r\n")
            #expect(connection.statuses == [413], "before a byte of it has come")
        }
        let chunked = TestHandledConnection()
        chunked.send(
            "POST /body HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunked.send("4000\r\n\(String(repeating: "x", count: 0x4000))\r\n")
        #expect(chunked.statuses == [])
        chunked.send("1\r\nx")
        #expect(chunked.statuses == [413])
    }

    @Test func `a body of 16 KiB is had as a whole`() {
        let connection = TestHandledConnection()
        connection.send(
            "POST /body HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nContent-Length: 16384\r\n\r\n")
        for _ in 0..<16 { connection.send(String(repeating: "x", count: 1024)) }
        #expect(connection.statuses == [200])
        #expect(connection.written.last?.hasSuffix(String(repeating: "x", count: 16384)) == true)
    }

    @Test func `a client that awaits 100 Continue gets it where its body is wanted, else its answer at once`() {
        let fields =
            "HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        let connection = TestHandledConnection()
        connection.send("POST /body \(fields)")
        #expect(connection.statuses == [100])
        connection.send("abc")
        #expect(connection.statuses == [100, 200])
        connection.send("POST /nowhere \(fields)")
        #expect(connection.statuses == [100, 200, 404])
    }

    @Test func `a timer that was set for a later time moves to an earlier one`() {
        let connection = TestHandledConnection()
        connection.send(Self.get)
        connection.quiesce()
        connection.wait(.milliseconds(999))
        #expect(!connection.isClosed)
        connection.wait(.milliseconds(1))
        #expect(connection.isClosed)
    }

    @Test func `a connection that was reset is closed without an answer`() {
        let connection = TestHandledConnection()
        connection.send("GET ")
        connection.fail(IOError(errnoCode: 104, reason: "reset"))
        #expect(connection.isClosed && connection.written == [])
    }

    @Test func `a connection that was asked to make room and is at work stays`() {
        let busy = TestHandledConnection()
        busy.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
        busy.needPlace()
        #expect(!busy.isClosed)
        busy.answer()
        #expect(busy.statuses == [200])

        let woken = TestHandledConnection()
        woken.send(Self.get)
        woken.needPlace { woken.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n", runs: false) }
        #expect(!woken.isClosed, "it was idle when the place was needed, and is at work now")
        #expect(woken.isFull, "and counts")

        let idle = TestHandledConnection()
        idle.send(Self.get)
        idle.needPlace()
        #expect(idle.isClosed)
    }

    @Test func `a request that is too large for what is left is refused, and its places are free again`() {
        let places = ConnectionPlaces(limit: 10_000)
        let others = (1..<10_000).map { _ in places.take(now: .uptimeNanoseconds(1)) }
        for other in others { other.note(waitsForClientSince: nil, hasReceivedRequest: true) }
        let large = TestHandledConnection(in: places)
        large.send("GET / HTTP/1.1\r\nHost: a\r\nf: \(String(repeating: "x", count: 900))")
        #expect(large.statuses == [])
        large.send(String(repeating: "x", count: 900))
        #expect(large.statuses == [503])

        others[0].leave()
        let fits = TestHandledConnection(in: places)
        others[1].leave()
        fits.send("GET / HTTP/1.1\r\nHost: a\r\nf: \(String(repeating: "x", count: 1200))\r\n\r\n")
        #expect(fits.statuses == [200])
        #expect(!places.take(now: .uptimeNanoseconds(1)).isTooMany)
        fits.run()
        #expect(!fits.isClosed, "the second place was free again")
    }

    @Test func `the place of a connection that ended is free`() {
        let places = ConnectionPlaces(limit: 1)
        let connection = TestHandledConnection(in: places)
        connection.send("GET /later HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(places.take(now: .uptimeNanoseconds(2)).isTooMany)
        connection.disconnect()
        #expect(!places.take(now: .uptimeNanoseconds(2)).isTooMany)
    }
}

/// A connection's handlers over a wire that keeps what is written.
private final class TestHandledConnection {
    private let loop = EmbeddedEventLoop()
    private let channel: EmbeddedChannel
    private let handler: ConnectionHandler
    private let places: ConnectionPlaces
    private let wire = TestWire()
    private let later = Later()
    private let log = Log()

    init(in places: ConnectionPlaces = ConnectionPlaces(limit: 1)) {
        self.places = places
        // A connection that waits since 0 is at work.
        loop.advanceTime(by: .seconds(1))
        channel = EmbeddedChannel(loop: loop)
        handler = ConnectionHandler(
            responder: Responder(
                routes: later.routes, isSecret: { _ in false }, accessLog: { [log] _ in log.add() }),
            executor: EventLoopTaskExecutor(loop), limits: ConnectionLimits(), place: places.take(now: loop.now),
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
        try! channel.pipeline.syncOperations.addHandler(wire)
        try! handler.add(to: channel)
        channel.connect(to: try! SocketAddress(unixDomainSocketPath: "/x"), promise: nil)
        channel.read()
        run()
    }

    deinit { _ = try? channel.finish(acceptAlreadyClosed: true) }

    var written: [String] { wire.written }
    var isRead: Bool { wire.isRead }
    var outputIsClosed: Bool { wire.outputIsClosed }
    /// Requests that have ended, whether or not their answers could be written.
    var answered: Int { log.count }
    /// Whether another connection would be one too many.
    var isFull: Bool { places.take(now: .uptimeNanoseconds(1)).isTooMany }
    var isClosed: Bool { !channel.isActive }
    var unparsed: Int { handler.unparsed.readableBytes }
    var statuses: [Int] {
        written.filter { $0.hasPrefix("HTTP/1.1 ") }.compactMap { Int($0.dropFirst(9).prefix(3)) }
    }

    func run() { loop.run() }

    /// As NIO does: what a read brought, its end, and the next read.
    func send(_ text: String, runs: Bool = true) {
        wire.isRead = false
        channel.pipeline.fireChannelRead(ByteBuffer(string: text))
        channel.pipeline.fireChannelReadComplete()
        if !wire.isRead { channel.read() }
        if runs { run() }
    }

    func endInput() {
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        run()
    }

    func quiesce() {
        channel.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        run()
    }

    func fail(_ error: any Error) {
        channel.pipeline.fireErrorCaught(error)
        run()
    }

    func wait(_ time: TimeAmount) { loop.advanceTime(by: time) }

    /// - Parameter meanwhile: happens before the connection hears of it.
    func needPlace(meanwhile: () -> Void = {}) {
        places.take(now: loop.now).leave()
        meanwhile()
        run()
    }

    func disconnect() {
        channel.close(promise: nil)
        run()
    }

    func answer() {
        later.answer()
        run()
    }
}

private final class TestWire: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    var isRead = false
    private(set) var written: [String] = []

    private(set) var outputIsClosed = false

    func read(context: ChannelHandlerContext) { isRead = true }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        outputIsClosed = true
        if mode == .all { context.close(promise: promise) }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        written.append(String(buffer: unwrapOutboundIn(data)))
        promise?.succeed()
    }
}

private final class Log: Sendable {
    private let entries = Mutex(0)
    var count: Int { entries.withLock { $0 } }
    func add() { entries.withLock { $0 += 1 } }
}

/// Routes, one of which waits until it is told to answer.
private final class Later: Sendable {
    private let waiting = Mutex<CheckedContinuation<Void, Never>?>(nil)

    func answer() {
        waiting.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }?.resume()
    }

    var routes: Routes {
        var routes = Routes()
        routes.add("/", .get { _ in Response(json: Array("{}".utf8)) })
        routes.add("/shared", .get { _ in Response(headers: [:], body: SharedBody(Array("shared".utf8))) })
        routes.add(
            "/later",
            .get { _ in
                await withCheckedContinuation { continuation in self.waiting.withLock { $0 = continuation } }
                return Response(json: [])
            })
        routes.add(
            "/body",
            .post { request in
                do {
                    return Response(json: try await request.body(ofType: "text/plain"))
                } catch {
                    return Response(
                        json: [], status: error as? RequestBodyError == .tooLarge ? .payloadTooLarge : .badRequest)
                }
            })
        return routes
    }
}
