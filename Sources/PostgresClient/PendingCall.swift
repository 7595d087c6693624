internal import Synchronization

/// What a ``DatabaseClient`` runs: a ``Query`` or a ``GroupedQuery``.
package protocol DatabaseQuery<Input, Output>: AnyObject, Sendable {
    associatedtype Input: Sendable
    associatedtype Output: Sendable

    var subqueue: SubqueueKey { get }

    /// Only inputs with the same one go together in one execution.
    func batchKey(of input: Input) -> UInt8

    /// Answers a whole batch from this query's subqueue.
    func execute(
        _ first: PendingCall<Input, Output>, of batch: [any PendingQuery], on connection: inout Connection
    ) -> BatchOutcome
}

/// What the queue and the workers know of a query that waits for its answer, whatever its input and output.
package protocol PendingQuery: AnyObject, Sendable {
    var id: UInt64 { get }
    var deadline: Deadline { get }
    var enqueuedAt: ContinuousClock.Instant { get }
    var batchKey: UInt8 { get }

    func fail(_ error: DatabaseError)

    /// Answers the whole batch, of which `self` is the first.
    func execute(_ batch: [any PendingQuery], on connection: inout Connection) -> BatchOutcome
}

package enum BatchOutcome {
    case answered
    /// The connection broke or is in the middle of a query; these are still to be answered.
    case connectionLost(unanswered: [any PendingQuery])
}

/// A query in the queue, with the caller who waits for its answer. Whoever takes it out of the queue answers it, once.
package final class PendingCall<Input: Sendable, Output: Sendable>: PendingQuery {
    package let id: UInt64
    package let deadline: Deadline
    package let enqueuedAt = ContinuousClock.now
    package let batchKey: UInt8
    private let query: any DatabaseQuery<Input, Output>
    let mayHaveBeenSent = Atomic<Bool>(false)
    let input: Input
    /// Fails with a ``DatabaseError``; one of a `Result` would cost a look-up of that type at each use.
    let continuation: CheckedContinuation<Output, any Error>

    init(
        id: UInt64, query: any DatabaseQuery<Input, Output>, input: Input, deadline: Deadline,
        continuation: CheckedContinuation<Output, any Error>
    ) {
        self.id = id
        self.deadline = deadline
        self.query = query
        batchKey = query.batchKey(of: input)
        self.input = input
        self.continuation = continuation
    }

    package func fail(_ error: DatabaseError) { continuation.resume(throwing: error) }

    package func execute(_ batch: [any PendingQuery], on connection: inout Connection) -> BatchOutcome {
        query.execute(self, of: batch, on: &connection)
    }

    /// The batch's calls, `self` among them.
    func calls(in batch: [any PendingQuery]) -> [PendingCall] {
        var calls: [PendingCall] = []
        calls.reserveCapacity(batch.count)
        for pending in batch {
            // `Self` is at hand; spelled out, the type would be looked up for every caller.
            if let call = pending as? Self {
                calls.append(call)
            } else {
                // Two queries of different types have the same statement name.
                pending.fail(.undecodable(statement: query.subqueue.name, column: "type"))
            }
        }
        return calls
    }
}
