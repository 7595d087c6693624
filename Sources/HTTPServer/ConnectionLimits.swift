internal import NIOCore

/// How long a client may take, and how much it may send that nobody reads.
struct ConnectionLimits: Sendable {
    /// From the opening of a connection to its first byte.
    var firstByte = TimeAmount.seconds(10)
    /// The same for a connection that is one too many: for its `503`.
    var firstByteOfRefused = TimeAmount.seconds(1)
    /// From a head's first byte to its end, and from there to the end of the body.
    var head = TimeAmount.seconds(10)
    var body = TimeAmount.seconds(10)
    /// Between an answer and the next request. Longer than the usual load balancer's own limit (60 s), which would
    /// otherwise send a request into a closing connection.
    var idle = TimeAmount.seconds(75)
    /// The same while the server drains: long enough for a request that is on its way.
    var idleWhileDraining = TimeAmount.seconds(1)
    /// From the beginning of an answer or a refusal until the client's system has taken all of it.
    var unreadAnswer = TimeAmount.seconds(30)
    /// After the last answer, for what the client was still sending: closed at once, it would lose the answer
    /// (RFC 9112, section 9.6).
    var lingering = TimeAmount.seconds(2)
    var discardedBytes = 64 * 1024
    /// Requests that were sent before the one in front of them was answered; then nothing is read.
    var waitingRequests = 64
    /// The same in bytes.
    var waitingBytes = 8 * 1024
    /// More is never kept of a request: a head's 32 KiB with what is around its fields, and a body.
    var largestRequest = 64 * 1024
    /// How long a client may hold up a request or an answer while others need its connection's place.
    var patience = TimeAmount.seconds(1)
    /// Those that are answered in one turn; then the event loop's other tasks have theirs.
    var requestsInATurn = 16

    /// No request is shorter: `GET / HTTP/1.1` and a `Host`.
    static let shortestRequest = 16
    /// How much is taken from the system at once. What it holds of small requests is all answered before the event loop
    /// looks at any other connection.
    static let longestRead = 4 * 1024
    /// What may wait to be parsed: nothing is read meanwhile, except by the system's last reads before a client's end.
    static let unparsedBytes = 64 * 1024
}
