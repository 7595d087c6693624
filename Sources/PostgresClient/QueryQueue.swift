internal import DequeModule
internal import Synchronization

/// The bounded queue in which every query waits for a connection, and from which the connections' threads ("workers")
/// take batches when they are connected and idle.
///
/// Each grouped query has a subqueue of its own, all others share one; the order is that of arrival across subqueues.
final class QueryQueue: Sendable {
    struct Batch {
        let subqueue: Int
        let queries: [any PendingQuery]
    }

    enum Work {
        case batch(Batch)
        /// Nothing to do: the worker is marked idle and will be woken.
        case idle
        case stop
    }

    private struct Subqueue {
        let key: SubqueueKey
        var queries: Deque<(arrival: UInt64, query: any PendingQuery)> = []
        var batchesUnderWay = 0

        /// When the first query came; `nil` where none may be taken now.
        var firstArrival: UInt64? {
            batchesUnderWay < key.maxConcurrentBatches ? queries.first?.arrival : nil
        }
    }

    private struct State {
        var subqueues: [Subqueue] = []
        var subqueueIndex: [SubqueueKey: Int] = [:]
        var idleWorkers: [Int] = []
        var count = 0
        var arrivals: UInt64 = 0
        var isStopped = false

        /// The subqueue whose first query has waited longest, among those that may start another batch.
        var nextSubqueue: Int? {
            var best: (subqueue: Int, arrival: UInt64)?
            for index in subqueues.indices {
                guard let arrival = subqueues[index].firstArrival, arrival < best?.arrival ?? .max else { continue }
                best = (index, arrival)
            }
            return best?.subqueue
        }

        mutating func workerToWake() -> Int? {
            nextSubqueue == nil ? nil : idleWorkers.popLast()
        }
    }

    private let limit: Int
    private let wakeups: [Wakeup]
    private let state = Mutex(State())

    init(limit: Int, wakeups: [Wakeup]) {
        self.limit = limit
        self.wakeups = wakeups
    }

    /// Appends a query to its subqueue, or fails it at once.
    func enqueue(_ query: any PendingQuery, in key: SubqueueKey) {
        let (refusal, worker) = state.withLock { state -> (Unavailability?, Int?) in
            guard !state.isStopped else { return (.shuttingDown, nil) }
            guard state.count < limit else { return (.overloaded, nil) }
            let subqueue: Int
            if let known = state.subqueueIndex[key] {
                subqueue = known
            } else {
                subqueue = state.subqueues.count
                state.subqueues.append(Subqueue(key: key))
                state.subqueueIndex[key] = subqueue
            }
            state.arrivals += 1
            state.count += 1
            state.subqueues[subqueue].queries.append((state.arrivals, query))
            return (nil, state.workerToWake())
        }
        if let refusal { query.fail(.unavailable(refusal)) }
        if let worker { wakeups[worker].signal() }
    }

    /// Work for a connected worker.
    func dequeue(for worker: Int) -> Work {
        let (work, other) = state.withLock { state -> (Work, Int?) in
            state.idleWorkers.removeAll { $0 == worker }
            guard !state.isStopped else { return (.stop, nil) }
            guard let subqueue = state.nextSubqueue else {
                state.idleWorkers.append(worker)
                return (.idle, nil)
            }
            let waiting = state.subqueues[subqueue].queries.prefix(state.subqueues[subqueue].key.maxBatchSize)
            let key = waiting.first?.query.batchKey
            let queries = waiting.prefix { $0.query.batchKey == key }.map(\.query)
            let count = queries.count
            state.subqueues[subqueue].queries.removeFirst(count)
            state.subqueues[subqueue].batchesUnderWay += 1
            state.count -= count
            return (.batch(Batch(subqueue: subqueue, queries: queries)), state.workerToWake())
        }
        if let other { wakeups[other].signal() }
        return work
    }

    /// Ends a batch; what is still unanswered goes back to the front, in its order.
    func finish(_ batch: Batch, requeue unanswered: [any PendingQuery] = []) {
        let (refused, worker) = state.withLock { state -> ([any PendingQuery], Int?) in
            state.subqueues[batch.subqueue].batchesUnderWay -= 1
            guard !state.isStopped else { return (unanswered, nil) }
            for query in unanswered.reversed() {
                state.subqueues[batch.subqueue].queries.prepend((0, query))
            }
            state.count += unanswered.count
            // The worker that calls takes work itself next, unless its connection is gone.
            return ([], unanswered.isEmpty ? nil : state.workerToWake())
        }
        for query in refused { query.fail(.unavailable(.shuttingDown)) }
        if let worker { wakeups[worker].signal() }
    }

    /// A worker whose connection is gone takes no work. If it was just chosen to be woken, another takes its place.
    func workerDisconnected(_ worker: Int) {
        let other = state.withLock { state -> Int? in
            state.idleWorkers.removeAll { $0 == worker }
            return state.workerToWake()
        }
        if let other { wakeups[other].signal() }
    }

    /// Removes a query that no worker has taken yet.
    func cancel(id: UInt64) {
        let query = state.withLock { state -> (any PendingQuery)? in
            for subqueue in state.subqueues.indices {
                guard let index = state.subqueues[subqueue].queries.firstIndex(where: { $0.query.id == id }) else {
                    continue
                }
                state.count -= 1
                return state.subqueues[subqueue].queries.remove(at: index).query
            }
            return nil
        }
        query?.fail(.cancelled)
    }

    /// Removes and fails the queries whose deadline has passed, wherever they stand.
    func failExpired() {
        let expired = state.withLock { state -> [any PendingQuery] in
            var expired: [any PendingQuery] = []
            for subqueue in state.subqueues.indices {
                state.subqueues[subqueue].queries.removeAll { _, query in
                    guard query.deadline.hasPassed else { return false }
                    expired.append(query)
                    return true
                }
            }
            state.count -= expired.count
            return expired
        }
        for query in expired { query.fail(.unavailable(.timedOut)) }
    }

    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Fails all queries that wait, and every later one; the workers end when they are done with what they have.
    func stop() {
        let queries = state.withLock { state -> [any PendingQuery] in
            state.isStopped = true
            state.count = 0
            var queries: [any PendingQuery] = []
            for subqueue in state.subqueues.indices {
                queries += state.subqueues[subqueue].queries.map(\.query)
                state.subqueues[subqueue].queries = []
            }
            return queries
        }
        for query in queries { query.fail(.unavailable(.shuttingDown)) }
        for wakeup in wakeups { wakeup.signal() }
    }
}

/// Which subqueue a query belongs to, and how much of it may be executed at a time.
package struct SubqueueKey: Hashable, Sendable {
    let name: String
    let maxBatchSize: Int
    let maxConcurrentBatches: Int

    /// Of all queries that are not grouped.
    static let single = SubqueueKey(name: "", maxBatchSize: 1, maxConcurrentBatches: .max)
}
