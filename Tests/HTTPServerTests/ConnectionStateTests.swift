// What a connection decides, with a clock that is passed in: no socket, no waiting.

import NIOCore
import NIOHTTP1
import Testing

@testable import HTTPServer

@Suite struct ConnectionStateTests {
    // MARK: Limits of time

    @Test func `a connection that sends nothing ends ten seconds after it was opened`() {
        let connection = TestConnectionState()
        connection.wait(.milliseconds(9_999))
        #expect(!connection.isClosed)
        connection.wait(.milliseconds(1))
        #expect(connection.isClosed)
    }

    @Test func `a connection above the bound ends a second after it was opened, or with a 503 for its first bytes`() {
        let silent = TestConnectionState(isRefused: true)
        silent.wait(.milliseconds(999))
        #expect(!silent.isClosed)
        silent.wait(.milliseconds(1))
        #expect(silent.isClosed)

        let speaking = TestConnectionState(isRefused: true)
        #expect(!speaking.receive(10), "its bytes are not parsed")
        #expect(speaking.refusals == ["overloaded"])
        speaking.written()
        #expect(speaking.outputIsClosed && !speaking.isClosed, "the client may still be sending")
        speaking.wait(.seconds(2))
        #expect(speaking.isClosed)
    }

    @Test func `a head has ten seconds from its first byte, and is refused then`() {
        let connection = TestConnectionState()
        connection.wait(.seconds(9))
        #expect(connection.receive(1))
        connection.wait(.seconds(9))
        connection.receive(1)
        connection.wait(.milliseconds(999))
        #expect(connection.refusals == [], "later bytes win no time")
        connection.wait(.milliseconds(1))
        #expect(connection.refusals == ["request_timeout"])
    }

    @Test func `a body has ten seconds from its head, and its request is refused then`() {
        let connection = TestConnectionState()
        connection.wait(.seconds(5))
        connection.request(end: false)
        connection.start()
        connection.wait(.seconds(9))
        connection.body(1)
        connection.wait(.milliseconds(999))
        #expect(connection.refusals == [])
        connection.wait(.milliseconds(1))
        #expect(connection.refusals == ["request_timeout"])
        #expect(connection.brokenOff == 1)
        #expect(connection.answer() == nil, "the request has had its answer")
    }

    @Test func `an idle connection ends 75 seconds after its last answer`() {
        let connection = TestConnectionState()
        connection.exchange()
        connection.wait(.milliseconds(74_999))
        #expect(!connection.isClosed)
        connection.exchange()
        connection.wait(.milliseconds(74_999))
        #expect(!connection.isClosed)
        connection.wait(.milliseconds(1))
        #expect(connection.isClosed)
        #expect(connection.refusals == [])
    }

    @Test func `an answer that takes long is waited for without a limit of the connection's`() {
        let connection = TestConnectionState()
        connection.request()
        connection.start()
        #expect(connection.deadline == nil)
        connection.wait(.hours(1))
        #expect(connection.answer() == false)
    }

    @Test func `an answer that is not read ends its connection after 30 seconds`() {
        let connection = TestConnectionState()
        connection.request()
        connection.start()
        connection.answer()
        connection.wait(.milliseconds(29_999))
        #expect(!connection.isClosed)
        connection.wait(.milliseconds(1))
        #expect(connection.isClosed)
    }

    @Test func `a refusal that is not read ends its connection after 30 seconds, too`() {
        let connection = TestConnectionState()
        connection.receive(4)
        connection.fail()
        #expect(connection.refusals == ["bad_request"])
        connection.wait(.milliseconds(29_999))
        #expect(!connection.isClosed)
        connection.wait(.milliseconds(1))
        #expect(connection.isClosed)
    }

    @Test func `an answer that is written within its time leaves no limit behind`() {
        let connection = TestConnectionState()
        connection.exchange()
        connection.wait(.seconds(31))
        #expect(!connection.isClosed)
    }

    @Test func `a client is not punished for the time in which nothing was read from it`() {
        let connection = TestConnectionState()
        for _ in 0..<64 { connection.request() }
        connection.start()
        connection.request()
        #expect(connection.receive(4))
        #expect(connection.bytesWanted == 0)
        connection.wait(.seconds(60))
        #expect(connection.refusals == [] && !connection.isClosed)
        #expect(connection.answer() == false)
        connection.written()
        connection.start()
        #expect(connection.receive(1), "the rest of the head is still parsed")

        let sending = TestConnectionState()
        for _ in 0..<64 { sending.request() }
        sending.start()
        sending.request(end: false)
        #expect(sending.bytesWanted == 0)
        sending.wait(.seconds(60))
        sending.answer()
        sending.written()
        sending.start()
        #expect(sending.receive(1), "and of the body")
    }

    // MARK: Limits of size

    @Test func `64 requests may wait, and no byte is parsed beyond them until one is answered`() {
        let connection = TestConnectionState()
        for count in 0..<64 {
            #expect(connection.bytesWanted == (64 - count) * 16)
            connection.request()
        }
        #expect(connection.bytesWanted == 0)
        connection.start()
        #expect(connection.bytesWanted == 16)
    }

    @Test func `of a body that is too large nothing more is read, until its request is answered`() {
        let connection = TestConnectionState()
        connection.request(end: false)
        connection.start()
        connection.body(16 * 1024)
        #expect(connection.bytesWanted > 0)
        connection.body(1)
        #expect(connection.bytesWanted == 0)
        #expect(connection.answer() == true, "it is the last: the rest of its body is still on its way")
        connection.written()
        #expect(connection.outputIsClosed && connection.bytesWanted > 0)
    }

    @Test func `of a body that was answered early 64 KiB are read and thrown away, then the connection ends`() {
        let connection = TestConnectionState()
        connection.request(end: false)
        connection.start()
        connection.answer()
        connection.written()
        #expect(connection.outputIsClosed && !connection.isClosed)
        #expect(!connection.receive(60 * 1024))
        #expect(!connection.isClosed)
        #expect(!connection.receive(4 * 1024 - 1))
        #expect(!connection.isClosed)
        #expect(!connection.receive(1))
        #expect(connection.isClosed)
    }

    @Test func `a client that goes on sending after its last answer has two seconds`() {
        let connection = TestConnectionState()
        connection.request(end: false)
        connection.start()
        connection.answer()
        connection.written()
        connection.wait(.milliseconds(1_999))
        connection.receive(1)
        #expect(!connection.isClosed)
        connection.wait(.milliseconds(1))
        #expect(connection.isClosed)
    }

    @Test func `what follows a connection's last request is not parsed, and read only to a bound`() {
        let connection = TestConnectionState()
        connection.request(headers: [("connection", "close")])
        for _ in 0..<8 { #expect(!connection.receive(8 * 1024)) }
        #expect(connection.bytesWanted == 1)
        #expect(!connection.receive(1))
        #expect(connection.bytesWanted == 0, "its answer is still owed, but nothing is read")
        connection.start()
        #expect(connection.answer() == true)
        connection.written()
        #expect(connection.isClosed)

        let underWay = TestConnectionState()
        underWay.request(headers: [("connection", "close")], end: false)
        underWay.start()
        underWay.end()
        #expect(!underWay.receive(1), "its body ended while it was being answered")
    }

    @Test func `no more is read while 8 KiB of requests wait for their turn`() {
        let connection = TestConnectionState()
        connection.request()
        connection.start()
        #expect(connection.receive(32 * 1024))
        #expect(connection.bytesWanted > 0, "one request may be larger")
        connection.request(isInTheSameBytes: true)
        #expect(connection.bytesWanted == 0)
        connection.answer()
        connection.written()
        connection.start()
        #expect(connection.bytesWanted > 0)
        #expect(connection.receive(8 * 1024 - 1))
        connection.request(isInTheSameBytes: true, end: false)
        #expect(connection.bytesWanted == 0, "32 KiB of the request under way count too")
    }

    @Test func `what a connection holds is let go with its answers`() {
        let connection = TestConnectionState()
        connection.request()
        connection.request()
        #expect(connection.heldBytes == 40)
        connection.start()
        #expect(connection.heldBytes == 40)
        connection.answer()
        #expect(connection.heldBytes == 20)
        connection.written()
        connection.start()
        connection.answer()
        connection.written()
        #expect(connection.heldBytes == 0)
        connection.receive(1024 * 1024)
        #expect(connection.heldBytes == 64 * 1024, "blank lines are received and not kept")
        connection.fail()
        #expect(connection.heldBytes == 0)
    }

    @Test func `a request that was refused, and all of a closed connection, are held no more`() {
        let connection = TestConnectionState()
        connection.request()
        connection.start()
        connection.request(end: false)
        connection.fail()
        #expect(connection.heldBytes == 20)
        connection.request()
        connection.close()
        #expect(connection.heldBytes == 0)
    }

    // MARK: Order

    @Test func `requests are answered one after the other, in their order`() {
        let connection = TestConnectionState()
        connection.request("/1")
        connection.request("/2", isInTheSameBytes: true)
        #expect(connection.start() == "/1")
        #expect(connection.start() == nil)
        #expect(connection.answer() == false)
        #expect(connection.start() == nil, "not before the answer is written")
        connection.written()
        #expect(connection.start() == "/2")
    }

    @Test func `what cannot be parsed is refused after the requests before it were answered`() {
        let connection = TestConnectionState()
        connection.request("/1")
        connection.request("/2")
        connection.receive(4)
        connection.fail()
        connection.start()
        #expect(connection.answer() == false, "the refusal still follows")
        connection.written()
        #expect(connection.refusals == [])
        #expect(connection.start() == "/2")
        #expect(connection.answer() == false)
        connection.written()
        #expect(connection.refusals == ["bad_request"])
        connection.written()
        #expect(connection.outputIsClosed)
    }

    @Test func `a pipelined request whose body breaks is refused after those before it, and is not carried out`() {
        let connection = TestConnectionState()
        connection.request("/1")
        connection.start()
        connection.request("/2", end: false)
        connection.body(3)
        connection.fail()
        #expect(connection.refusals == [])
        #expect(connection.answer() == false)
        connection.written()
        #expect(connection.refusals == ["bad_request"])
        #expect(connection.start() == nil)
    }

    @Test func `a pipelined request whose body does not come is refused after those before it`() {
        let connection = TestConnectionState()
        connection.request("/1")
        connection.start()
        connection.request("/2", end: false)
        connection.wait(.seconds(10))
        #expect(connection.refusals == [] && !connection.isClosed)
        connection.answer()
        connection.written()
        #expect(connection.refusals == ["request_timeout"])
    }

    @Test func `100 Continue is written when it is its request's turn, and once`() {
        let connection = TestConnectionState()
        connection.request("/1")
        connection.start()
        connection.request("/2", headers: [("expect", "100-Continue"), ("content-length", "3")], end: false)
        #expect(connection.continues == 0)
        connection.answer()
        connection.written()
        #expect(connection.start() == "/2")
        #expect(connection.continues == 1)

        let alone = TestConnectionState()
        alone.request(headers: [("expect", "100-continue"), ("transfer-encoding", "chunked")], end: false)
        alone.start()
        #expect(alone.continues == 1)
        alone.begun()
        #expect(alone.continues == 1)
    }

    @Test func `a client that has the whole body sent already is not told to go on`() {
        let connection = TestConnectionState()
        connection.request("/1")
        connection.start()
        connection.request("/2", headers: [("expect", "100-continue"), ("content-length", "3")])
        connection.answer()
        connection.written()
        connection.start()
        #expect(connection.continues == 0)
    }

    @Test func `nobody is told to go on who has nothing to send, or speaks HTTP/1.0`() {
        let expectation = ("expect", "100-continue")
        for (version, headers) in [
            (HTTPVersion.http1_1, [expectation]), (.http1_1, [expectation, ("content-length", "0")]),
            (.http1_0, [expectation, ("content-length", "3")]),
        ] {
            let connection = TestConnectionState()
            connection.request(version: version, headers: headers, end: false)
            connection.start()
            #expect(connection.continues == 0)
        }
    }

    // MARK: The last request

    @Test(arguments: [
        ("connection: close", HTTPMethod.GET, HTTPVersion.http1_1, ("connection", "close")),
        ("HTTP/1.0", .GET, .http1_0, ("x", "y")),
        ("HTTP/1.0 with keep-alive", .GET, .http1_0, ("connection", "keep-alive")),
        ("an upgrade", .GET, .http1_1, ("upgrade", "h2c")),
        ("an upgrade of a POST", .POST, .http1_1, ("upgrade", "websocket")),
        ("CONNECT", .CONNECT, .http1_1, ("x", "y")),
    ])
    func `ends the connection with its answer`(
        what: String, method: HTTPMethod, version: HTTPVersion, header: (String, String)
    ) {
        let connection = TestConnectionState()
        connection.request(method: method, version: version, headers: [header])
        connection.start()
        #expect(connection.answer() == true, "\(what)")
        connection.written()
        #expect(connection.isClosed, "\(what)")
    }

    @Test(arguments: [
        [], ["a", "b"], [""], ["a,b"], ["a b"], ["u@a"], ["a/b"], ["a\\b"], ["a?b"], ["a#b"], ["\u{e9}"], ["a\u{7f}"],
    ])
    func `a head without exactly one host is refused`(
        hosts: [String]
    ) {
        let connection = TestConnectionState()
        connection.request(hosts: hosts, end: false)
        #expect(connection.refusals == ["bad_request"])
        #expect(connection.start() == nil)
    }

    @Test(arguments: ["a", "a.b:80", "[::1]:8080", "xn--a", "a_b"]) func `any one host is taken`(host: String) {
        let connection = TestConnectionState()
        connection.request(hosts: [host])
        #expect(connection.start() == "/")
    }

    @Test(arguments: [["gzip, chunked"], ["gzip", "chunked"], [""], ["identity"], ["chunked", ""]])
    func `a head with any other transfer coding than chunked is refused`(codings: [String]) {
        for version in [HTTPVersion.http1_1, .http1_0] {
            let connection = TestConnectionState()
            connection.request(version: version, headers: codings.map { ("Transfer-Encoding", $0) }, end: false)
            #expect(connection.refusals == ["bad_request"])
            #expect(connection.start() == nil)
        }
        let connection = TestConnectionState()
        connection.request(headers: [("transfer-encoding", "Chunked")])
        #expect(connection.start() == "/")
    }

    @Test func `a client that has closed its side still gets what it asked for`() {
        let connection = TestConnectionState()
        connection.request("/1")
        connection.request("/2")
        connection.closeInput()
        #expect(!connection.isClosed)
        connection.start()
        connection.answer()
        connection.written()
        #expect(!connection.isClosed)
        connection.start()
        connection.answer()
        connection.written()
        #expect(connection.isClosed)
    }

    @Test func `a client that closes its side in the middle of a body breaks that off`() {
        let connection = TestConnectionState()
        connection.request(end: false)
        connection.start()
        connection.closeInput()
        #expect(connection.brokenOff == 1)
        connection.answer()
        connection.written()
        #expect(connection.isClosed)
    }

    @Test func `a client that closes its side and waits for nothing is gone`() {
        let connection = TestConnectionState()
        connection.closeInput()
        #expect(connection.isClosed)
    }

    @Test func `a body that was on its way when the connection ended is broken off`() {
        let connection = TestConnectionState()
        connection.request(end: false)
        connection.start()
        connection.close()
        #expect(connection.brokenOff == 1)
    }

    @Test func `what still comes out of the decoder after a refusal is no request`() {
        let connection = TestConnectionState()
        connection.receive(4)
        connection.fail()
        connection.request("/late", isInTheSameBytes: true)
        connection.written()
        #expect(connection.start() == nil)
    }

    @Test func `after the end nothing changes anything`() {
        let connection = TestConnectionState()
        connection.request("/1")
        connection.start()
        connection.request("/2")
        connection.close()
        #expect(connection.answer() == nil)
        connection.written()
        #expect(connection.start() == nil)
        #expect(!connection.receive(10))
        connection.fail()
        #expect(connection.refusals == [] && connection.deadline == nil)
    }

    // MARK: Draining and making room

    @Test func `a server that drains ends an idle connection after a second`() {
        let connection = TestConnectionState()
        connection.exchange()
        connection.drain()
        connection.wait(.milliseconds(999))
        #expect(!connection.isClosed)
        connection.wait(.milliseconds(1))
        #expect(connection.isClosed)
    }

    @Test func `a server that drains while an answer is written ends the connection a second later`() {
        let connection = TestConnectionState()
        connection.request()
        connection.start()
        #expect(connection.answer() == false)
        connection.drain()
        connection.written()
        connection.wait(.milliseconds(999))
        #expect(!connection.isClosed)
        connection.wait(.milliseconds(1))
        #expect(connection.isClosed)
    }

    @Test func `a server that drains leaves a first head its time`() {
        let connection = TestConnectionState()
        connection.receive(5)
        connection.drain()
        connection.wait(.seconds(9))
        #expect(connection.refusals == [] && !connection.isClosed)
    }

    @Test func `a server that drains says so with the last answer`() {
        let connection = TestConnectionState()
        connection.request("/1")
        connection.request("/2")
        connection.drain()
        connection.start()
        #expect(connection.answer() == false, "another request waits")
        connection.written()
        connection.start()
        #expect(connection.answer() == true)
        connection.written()
        #expect(connection.isClosed)
    }

    @Test func `a server that drains answers a request whose head is arriving`() {
        let connection = TestConnectionState()
        connection.request("/1")
        connection.start()
        connection.receive(5)
        connection.drain()
        #expect(connection.answer() == false)
        connection.written()
        connection.wait(.seconds(2))
        #expect(!connection.isClosed)
    }

    @Test func `a connection makes room while it is idle, and not while it is at work`() {
        let idle = TestConnectionState()
        #expect(idle.isIdle)
        idle.makeRoom()
        #expect(idle.isClosed)

        let reading = TestConnectionState()
        reading.exchange()
        reading.receive(1)
        let (answering, writing) = (TestConnectionState(), TestConnectionState())
        for connection in [answering, writing] {
            connection.request()
            connection.start()
        }
        writing.answer()
        for busy in [reading, answering, writing] {
            #expect(!busy.isIdle)
            busy.makeRoom()
            #expect(!busy.isClosed)
        }
        writing.written()
        #expect(writing.isIdle)
    }

    /// Whether the connection makes room when it is asked to after such a time.
    private func makesRoom(after time: TimeAmount, _ prepare: @escaping (TestConnectionState) -> Void) -> Bool {
        let connection = TestConnectionState()
        prepare(connection)
        connection.wait(time)
        connection.makeRoom()
        return connection.isClosed
    }

    private func expectMoment(_ what: String, _ prepare: @escaping (TestConnectionState) -> Void) {
        #expect(!makesRoom(after: .milliseconds(999), prepare), "\(what)")
        #expect(makesRoom(after: .milliseconds(1000), prepare), "\(what)")
    }

    @Test func `who holds up a request or an answer for a second makes room`() {
        expectMoment("a later head") { connection in
            connection.exchange()
            connection.wait(.seconds(5))
            connection.receive(1)
        }
        expectMoment("a body that is waited for") { connection in
            connection.request(end: false)
            connection.start()
        }
        expectMoment("a body whose turn has not come") { $0.request(end: false) }
        expectMoment("an answer") { connection in
            connection.request()
            connection.start()
            connection.answer()
        }
        expectMoment("a refusal") { connection in
            connection.receive(1)
            connection.fail()
        }
        #expect(makesRoom(after: .zero) { $0.receive(1) }, "the first head, which anybody can begin")
        #expect(
            makesRoom(after: .zero) { connection in
                connection.receive(1)
                connection.fail()
                connection.written()
            }, "what comes after the last answer is not waited for")
    }

    @Test func `a request that has come whole keeps its place however long it takes`() {
        #expect(
            !makesRoom(after: .hours(1)) { connection in
                connection.request()
                connection.start()
            })
        #expect(
            !makesRoom(after: .hours(1)) { connection in
                connection.request()
                connection.start()
                connection.receive(1)
            })
        #expect(!makesRoom(after: .hours(1)) { $0.request() })
        #expect(
            !makesRoom(after: .seconds(5)) { connection in
                connection.request()
                connection.start()
                connection.request(end: false)
            }, "though the body of the next one is waited for")
        #expect(
            !makesRoom(after: .seconds(5)) { connection in
                connection.request()
                connection.request(end: false)
            })
    }
}

/// A state with what came of it, and a clock.
private final class TestConnectionState {
    private var state: ConnectionState
    private(set) var now = NIODeadline.uptimeNanoseconds(1)
    private(set) var refusals: [String] = []
    private(set) var continues = 0
    private(set) var brokenOff = 0
    private(set) var outputIsClosed = false
    private(set) var isClosed = false

    init(isRefused: Bool = false) {
        state = ConnectionState(limits: ConnectionLimits(), isRefused: isRefused, now: now)
    }

    var isIdle: Bool { state.isIdle }
    var bytesWanted: Int { state.bytesWanted }
    var heldBytes: Int { state.heldBytes }
    var deadline: NIODeadline? { state.deadline }

    private func perform() {
        let actions = state.takeActions()
        if let refusal = actions.refusal { refusals.append(refusal.answer.code) }
        if actions.writesContinue { continues += 1 }
        if actions.brokenOff != nil { brokenOff += 1 }
        if actions.closesOutput { outputIsClosed = true }
        if actions.closes { isClosed = true }
    }

    private func change<Value>(_ body: (inout ConnectionState) -> Value) -> Value {
        defer { perform() }
        return body(&state)
    }

    /// Lets the time pass, and the timer fire where it is due.
    func wait(_ time: TimeAmount) {
        now = now + time
        guard let deadline, deadline <= now else { return }
        change { $0.timeout(now: now) }
    }

    @discardableResult func receive(_ count: Int) -> Bool { change { $0.received(count, now: now) } }

    func request(
        _ target: String = "/", method: HTTPMethod = .GET, version: HTTPVersion = .http1_1,
        headers: [(String, String)] = [], hosts: [String] = ["a"], isInTheSameBytes: Bool = false, end: Bool = true
    ) {
        if !isInTheSameBytes { receive(20) }
        let fields = HTTPHeaders(hosts.map { ("host", $0) } + headers)
        change {
            $0.receivedHead(
                HTTPRequestHead(version: version, method: method, uri: target, headers: fields), now: now)
            if end { _ = $0.receivedEnd() }
        }
    }

    func end() { change { _ = $0.receivedEnd() } }

    func body(_ count: Int) { change { _ = $0.receivedBody(count) } }
    func fail() { change { $0.refuseInTurn(.malformedHTTP, now: now) } }

    /// The target of the request that starts.
    @discardableResult func start() -> String? {
        let target = change { $0.startNext()?.head.uri }
        if target != nil { begun() }
        return target
    }

    func begun() { change { $0.started() } }
    @discardableResult func answer() -> Bool? { change { $0.answered(now: now) } }
    func written() { change { $0.written(now: now) } }

    /// A request and its answer.
    func exchange() {
        request()
        start()
        answer()
        written()
    }

    func closeInput() { change { $0.inputClosed() } }
    func close() { change { $0.close() } }
    func makeRoom() { change { $0.makeRoom(now: now) } }
    func drain() { change { $0.drain(now: now) } }
}
