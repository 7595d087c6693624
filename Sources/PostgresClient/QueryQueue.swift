internal import DequeModule
internal import Synchronization

/// The bounded queue in which every query waits for a connection, and from which the connections' threads ("workers")
/// take batches when they are connected and idle.
///
/// Each class of service waits apart, with a bound of its own, so that none starves another: under pressure they take
/// turns, and while one has nothing to do the other has all. Within a class each grouped query has a subqueue of its own,
/// all others share one; the order is that of arrival across them.
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
        let serviceClass: ServiceClass
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
        var subqueueIndex: [SubqueueID: Int] = [:]
        var idleWorkers: [Int] = []
        /// How many wait, and what each class has had: the one that had least is next.
        var counts = [Int](repeating: 0, count: ServiceClass.allCases.count)
        var served = [UInt64](repeating: 0, count: ServiceClass.allCases.count)
        /// For want of room, and for want of time.
        var refused = [Int](repeating: 0, count: ServiceClass.allCases.count)
        var expired = [Int](repeating: 0, count: ServiceClass.allCases.count)
        var arrivals: UInt64 = 0
        var isStopped = false

        /// Among the subqueues that may start another batch, of the class that had least the one whose first query has
        /// waited longest.
        var nextSubqueue: Int? {
            var best: (subqueue: Int, served: UInt64, arrival: UInt64)?
            for index in subqueues.indices {
                guard let arrival = subqueues[index].firstArrival else { continue }
                let served = served[subqueues[index].serviceClass.rawValue]
                if let best, (best.served, best.arrival) <= (served, arrival) { continue }
                best = (index, served, arrival)
            }
            return best?.subqueue
        }

        /// A class that had nothing to do has saved nothing up.
        mutating func noteArrival(in serviceClass: ServiceClass) {
            if counts[serviceClass.rawValue] == 0 {
                let others = counts.indices.filter { counts[$0] > 0 }.map { served[$0] }
                served[serviceClass.rawValue] = max(served[serviceClass.rawValue], others.min() ?? 0)
            }
            counts[serviceClass.rawValue] += 1
        }

        mutating func workerToWake() -> Int? {
            nextSubqueue == nil ? nil : idleWorkers.popLast()
        }
    }

    /// Of each class.
    private let limit: Int
    private let wakeups: [Wakeup]
    private let state = Mutex(State())

    init(limit: Int, wakeups: [Wakeup]) {
        self.limit = limit
        self.wakeups = wakeups
    }

    /// Appends a query to its subqueue, or fails it at once.
    func enqueue(_ query: any PendingQuery, in key: SubqueueKey, of serviceClass: ServiceClass) {
        let id = SubqueueID(serviceClass: serviceClass, key: key)
        let (refusal, worker) = state.withLock { state -> (Unavailability?, Int?) in
            guard !state.isStopped else { return (.shuttingDown, nil) }
            guard state.counts[serviceClass.rawValue] < limit else {
                state.refused[serviceClass.rawValue] += 1
                return (.overloaded, nil)
            }
            let subqueue: Int
            if let known = state.subqueueIndex[id] {
                subqueue = known
            } else {
                subqueue = state.subqueues.count
                state.subqueues.append(Subqueue(serviceClass: serviceClass, key: key))
                state.subqueueIndex[id] = subqueue
            }
            state.arrivals += 1
            state.noteArrival(in: serviceClass)
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
            let serviceClass = state.subqueues[subqueue].serviceClass
            state.counts[serviceClass.rawValue] -= count
            state.served[serviceClass.rawValue] += serviceClass.costOfTurn
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
            state.counts[state.subqueues[batch.subqueue].serviceClass.rawValue] += unanswered.count
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
                state.counts[state.subqueues[subqueue].serviceClass.rawValue] -= 1
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
                let before = state.subqueues[subqueue].queries.count
                state.subqueues[subqueue].queries.removeAll { _, query in
                    guard query.deadline.hasPassed else { return false }
                    expired.append(query)
                    return true
                }
                let removed = before - state.subqueues[subqueue].queries.count
                state.counts[state.subqueues[subqueue].serviceClass.rawValue] -= removed
                state.expired[state.subqueues[subqueue].serviceClass.rawValue] += removed
            }
            return expired
        }
        for query in expired { query.fail(.unavailable(.timedOut)) }
    }

    var statistics: [QueueStatistics] {
        state.withLock { state in
            ServiceClass.allCases.map { serviceClass in
                QueueStatistics(
                    serviceClass: serviceClass, waiting: state.counts[serviceClass.rawValue],
                    oldest: state.subqueues.filter { $0.serviceClass == serviceClass }
                        .compactMap { $0.queries.first?.query.enqueuedAt }.min(),
                    refused: state.refused[serviceClass.rawValue], expired: state.expired[serviceClass.rawValue])
            }
        }
    }

    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Fails all queries that wait, and every later one; the workers end when they are done with what they have.
    func stop() {
        let queries = state.withLock { state -> [any PendingQuery] in
            state.isStopped = true
            state.counts = state.counts.map { _ in 0 }
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

/// Callers of two kinds, who wait apart: under pressure the first have four turns for each of the second.
package enum ServiceClass: Int, CaseIterable, Sendable {
    case first, second

    fileprivate var costOfTurn: UInt64 { self == .first ? 1 : 4 }
}

private struct SubqueueID: Hashable {
    let serviceClass: ServiceClass
    let key: SubqueueKey
}

/// Which subqueue a query belongs to, and how much of it may be executed at a time.
package struct SubqueueKey: Hashable, Sendable {
    let name: String
    let maxBatchSize: Int
    let maxConcurrentBatches: Int

    /// Of all queries that are not grouped.
    static let single = SubqueueKey(name: "", maxBatchSize: 1, maxConcurrentBatches: .max)
}
