internal import NIOCore

// What a connection takes from the others.
extension ConnectionState {
    /// From when on the connection only waits for its client, and can make room for another; `nil` while it is at work.
    ///
    /// A client that holds a request or an answer up has a moment; one whose first head does not come has none.
    var waitsForClientSince: NIODeadline? {
        switch output {
        case .writing: return writeDeadline.map { $0 - limits.unreadAnswer + limits.patience }
        case .finished: return readDeadline.map { $0 - limits.lingering }
        case .answering:
            guard case .body = input, waiting.isEmpty else { return nil }
            return arrivingSince + limits.patience
        case .closed: return nil
        case .nothing: break
        }
        switch input {
        case .nothing where waiting.isEmpty: return idleSince
        case .head where waiting.isEmpty: return hasReceivedRequest ? arrivingSince + limits.patience : idleSince
        case .body where waiting.count == 1: return arrivingSince + limits.patience
        case .nothing, .head, .body, .discarded, .ended: return nil
        }
    }

    /// What the requests that are not answered yet take of memory, in bytes that were received.
    var heldBytes: Int {
        guard case .answering(let exchange) = output else { return waitingSize + newestSize }
        return exchange.size + waitingSize + newestSize
    }

    /// How many bytes may be parsed now: no more requests than may wait are in so many.
    var bytesWanted: Int {
        switch input {
        // What is too large is refused, once it is its turn, and not read until then.
        case .body(_, let size) where size > RequestBody.maximumSize: 0
        case .nothing, .head, .body:
            waiting.isEmpty || heldBytes < limits.waitingBytes
                ? max(0, limits.waitingRequests - waiting.count) * ConnectionLimits.shortestRequest : 0
        case .discarded(let count): max(0, limits.discardedBytes + 1 - count)
        case .ended: 0
        }
    }
}
