internal import DequeModule
internal import NIOCore
internal import NIOHTTP1

/// What a connection has read and owes, and until when: every decision about it, without a socket and without a clock.
/// The handler tells it what happens, and performs the ``Actions`` that have come of that.
struct ConnectionState: ~Copyable {
    /// What is to be done, in this order.
    struct Actions {
        /// The body that was arriving does not arrive any more.
        var brokenOff: RequestBody?
        /// `100 Continue` is to be written.
        var writesContinue = false
        /// Is to be written; ``ConnectionState/written(now:)`` follows.
        var refusal: Refusal?
        /// Our side of the connection is closed; the client's goes on.
        var closesOutput = false
        var closes = false
    }

    enum Input {
        /// Nothing of the next request has arrived.
        case nothing
        case head
        case body(RequestBody, size: Int)
        /// Nothing that comes is looked at any more. So many bytes came.
        case discarded(Int)
        /// The client sends no more; what it has asked is still answered.
        case ended
    }

    enum Output {
        case nothing
        case answering(Exchange)
        /// An answer or a refusal.
        case writing(isLast: Bool)
        /// All is written, and our side is closed.
        case finished
        case closed
    }

    let limits: ConnectionLimits
    /// Above the server's bound: its only answer is a `503`.
    private let isRefused: Bool
    private(set) var input = Input.nothing
    private(set) var output = Output.nothing
    private(set) var waiting: Deque<Exchange> = []
    private var isDraining = false
    /// A request that waits for its 100 (Continue), which must not overtake the answers before it.
    private var owesContinue = false
    /// For what could not be read while earlier requests were not yet answered.
    private(set) var pendingRefusal: Refusal?
    private(set) var readDeadline: NIODeadline?
    private(set) var writeDeadline: NIODeadline?
    private var actions = Actions()
    private(set) var idleSince: NIODeadline
    /// When the request that is arriving began to.
    private(set) var arrivingSince: NIODeadline
    private(set) var hasReceivedRequest = false
    /// Bytes that were received since the head before.
    private(set) var newestSize = 0
    private(set) var waitingSize = 0

    init(limits: ConnectionLimits, isRefused: Bool, now: NIODeadline) {
        self.limits = limits
        self.isRefused = isRefused
        (idleSince, arrivingSince) = (now, now)
        readDeadline = now + (isRefused ? limits.firstByteOfRefused : limits.firstByte)
    }

    // MARK: What the handler asks

    /// When ``timeout(now:)`` is to be called, at the latest.
    var deadline: NIODeadline? { readDeadline.map { min($0, writeDeadline ?? $0) } ?? writeDeadline }

    /// Nothing is read, nothing is owed.
    var isIdle: Bool { if case .nothing = input { owesNothing } else { false } }

    private var owesNothing: Bool {
        if case .nothing = output { waiting.isEmpty && pendingRefusal == nil } else { false }
    }

    /// What came of all that happened since the last call.
    mutating func takeActions() -> Actions {
        defer { actions = Actions() }
        return actions
    }

    // MARK: Reading

    /// - Returns: whether the bytes are to be parsed.
    mutating func received(_ count: Int, now: NIODeadline) -> Bool {
        switch input {
        case .nothing where isRefused:
            input = .discarded(count)
            refuse(.overloaded, now)
            return false
        case .nothing:
            input = .head
            arrivingSince = now
            readDeadline = now + limits.head
            fallthrough
        case .head, .body:
            // Of blank lines before a head, and of what surrounds chunks, nothing is kept.
            newestSize = min(newestSize + count, limits.largestRequest)
            return true
        case .discarded(let before):
            input = .discarded(before + count)
            if before + count > limits.discardedBytes, case .finished = output { close() }
            return false
        case .ended:
            return false
        }
    }

    mutating func receivedHead(_ head: HTTPRequestHead, now: NIODeadline) {
        switch input {
        // Several heads may be in the bytes that came together.
        case .nothing: arrivingSince = now
        case .head: break
        case .body, .discarded, .ended: return
        }
        let framing = Framing(of: head)
        guard framing.isUnambiguous else { return refuseInTurn(.malformedHTTP, now: now) }
        let exchange = Exchange(head: head, isLast: framing.isLast, size: newestSize)
        (waitingSize, newestSize) = (waitingSize + newestSize, 0)
        input = .body(exchange.body, size: 0)
        readDeadline = now + limits.body
        waiting.append(exchange)
        owesContinue = framing.awaitsContinue
    }

    /// - Returns: the body that the bytes belong to.
    mutating func receivedBody(_ count: Int) -> RequestBody? {
        guard case .body(let body, let size) = input else { return nil }
        input = .body(body, size: size + count)
        return body
    }

    /// - Returns: the body that is whole now.
    mutating func receivedEnd() -> RequestBody? {
        guard case .body(let body, _) = input else { return nil }
        hasReceivedRequest = true
        readDeadline = nil
        // Its request waits, or is being answered.
        var isLast = waiting.last?.isLast ?? false
        if waiting.isEmpty, case .answering(let exchange) = output { isLast = exchange.isLast }
        input = isLast ? .discarded(0) : .nothing
        return body
    }

    /// The client has closed its side.
    mutating func inputClosed() {
        if case .body(let body, _) = input { actions.brokenOff = body }
        input = .ended
        readDeadline = nil
        if case .finished = output { close() } else if owesNothing { close() }
    }

    // MARK: Answering

    /// The next request to be answered, where there is one whose turn it is.
    mutating func startNext() -> Exchange? {
        guard case .nothing = output, let next = waiting.popFirst() else { return nil }
        waitingSize -= next.size
        output = .answering(next)
        return next
    }

    /// The request under way has begun. Where that did not answer it, it wants its body, which some clients hold back
    /// for a second unless they are told to go on (RFC 9110, section 10.1.1).
    mutating func started() {
        guard owesContinue, case .answering = output, waiting.isEmpty, case .body = input else { return }
        (owesContinue, actions.writesContinue) = (false, true)
    }

    /// The answer to the request under way is there.
    ///
    /// - Returns: whether it is the connection's last; `nil` where it is not to be written any more.
    mutating func answered(now: NIODeadline) -> Bool? {
        guard case .answering(let exchange) = output else { return nil }
        var isLast = exchange.isLast
        switch input {
        // Its own body is still on its way: it is answered early.
        case .body where waiting.isEmpty: isLast = true
        case .nothing where waiting.isEmpty: isLast = isLast || isDraining
        case .nothing, .head, .body, .discarded, .ended: break
        }
        output = .writing(isLast: isLast)
        writeDeadline = now + limits.unreadAnswer
        return isLast
    }

    /// The answer or the refusal has been handed to the system as a whole.
    mutating func written(now: NIODeadline) {
        writeDeadline = nil
        switch output {
        case .writing(isLast: true):
            finish(now)
        case .writing(isLast: false):
            output = .nothing
            guard waiting.isEmpty else { return }
            if let pendingRefusal { return refuse(pendingRefusal, now) }
            switch input {
            case .nothing:
                (newestSize, idleSince) = (0, now)
                readDeadline = now + (isDraining ? limits.idleWhileDraining : limits.idle)
            case .ended: close()
            case .head, .body, .discarded: break
            }
        case .nothing, .answering, .finished, .closed:
            break
        }
    }

    // MARK: Ending

    /// The server stops: no answer is broken off, and no further request waited for.
    mutating func drain(now: NIODeadline) {
        isDraining = true
        if isIdle { readDeadline = min(readDeadline ?? .distantFuture, now + limits.idleWhileDraining) }
    }

    /// Another connection needs the place.
    mutating func makeRoom(now: NIODeadline) {
        if let since = waitsForClientSince, since <= now { close() }
    }

    mutating func timeout(now: NIODeadline) {
        if let writeDeadline, writeDeadline <= now { return close() }
        guard let deadline = readDeadline, deadline <= now else { return }
        readDeadline = nil
        switch input {
        case .head where bytesWanted == 0: readDeadline = now + limits.head
        case .body where bytesWanted == 0: readDeadline = now + limits.body
        case .head, .body: refuseInTurn(.requestTimeout, now: now)
        case .nothing, .discarded, .ended: close()
        }
    }

    /// Ends the connection at once: whatever the handler is still told changes nothing.
    mutating func close() {
        if case .body(let body, _) = input { actions.brokenOff = body }
        input = .ended
        output = .closed
        waiting.removeAll()
        (waitingSize, newestSize) = (0, 0)
        readDeadline = nil
        writeDeadline = nil
        actions.closes = true
    }

    /// Refuses what came and cannot be read, after the answers to the requests before it.
    mutating func refuseInTurn(_ answer: Refusal, now: NIODeadline) {
        switch input {
        case .nothing, .head: break
        case .body(let body, _):
            // Of the request that it belongs to, which gets no other answer.
            actions.brokenOff = body
            if let refused = waiting.popLast() {
                waitingSize -= refused.size
            } else {
                guard case .answering = output else {
                    input = .discarded(1)
                    return
                }
                output = .nothing
            }
        case .discarded, .ended: return
        }
        input = .discarded(1)
        readDeadline = nil
        (owesContinue, newestSize) = (false, 0)
        if case .nothing = output, waiting.isEmpty {
            refuse(answer, now)
        } else {
            pendingRefusal = answer
        }
    }

    private mutating func refuse(_ answer: Refusal, _ now: NIODeadline) {
        pendingRefusal = nil
        output = .writing(isLast: true)
        readDeadline = nil
        writeDeadline = now + limits.unreadAnswer
        actions.refusal = answer
    }

    private mutating func finish(_ now: NIODeadline) {
        switch input {
        case .nothing, .discarded(0), .ended: return close()
        case .discarded(let count) where count > limits.discardedBytes: return close()
        case .head, .body: input = .discarded(1)
        case .discarded: break
        }
        output = .finished
        readDeadline = now + limits.lingering
        actions.closesOutput = true
    }
}
