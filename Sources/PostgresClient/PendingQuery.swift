// What the queue and the workers know of a query that waits for its answer.

/// A query in the queue. Whoever takes it out of the queue answers it, once.
protocol PendingQuery: AnyObject, Sendable {
    var id: UInt64 { get }
    var deadline: ContinuousClock.Instant { get }

    func fail(_ error: DatabaseError)

    /// Answers the whole batch, of which `self` is the first.
    func execute(_ batch: [any PendingQuery], on connection: inout Connection) -> BatchOutcome
}

enum BatchOutcome {
    case answered
    /// All are answered, but the connection is in the middle of a query.
    case connectionUnusable
    /// The connection broke; these are still to be answered.
    case requeue([any PendingQuery])
}

/// Where a caller waits. Fails with a ``DatabaseError``; one of a `Result` would cost a look-up of that type at each use.
typealias AnswerContinuation<Output> = CheckedContinuation<Output, any Error>
