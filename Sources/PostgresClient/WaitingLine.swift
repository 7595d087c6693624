// The one line in which every query waits for a connection.

internal import DequeModule
internal import Synchronization

/// A bounded line of callers, from which the connections' threads take work when they are connected and idle.
///
/// Each grouped query has a lane of its own, all others share one; the line's order is that of arrival across lanes.
final class WaitingLine: Sendable {
    struct Batch {
        let lane: Int
        let waiters: [any Waiter]
    }

    enum Next {
        case batch(Batch)
        /// Nothing to do: the worker is marked idle and will be woken.
        case idle
        case stop
    }

    /// What the line needs to know of a lane.
    struct LaneKey: Hashable {
        let name: String
        let callers: Int
        let executions: Int

        static let single = LaneKey(name: "", callers: 1, executions: .max)
    }

    private struct Lane {
        let key: LaneKey
        var waiters: Deque<(arrival: UInt64, waiter: any Waiter)> = []
        var underWay = 0

        var firstArrival: UInt64? { underWay < key.executions ? waiters.first?.arrival : nil }
    }

    private struct State {
        var lanes: [Lane] = []
        var laneIndex: [LaneKey: Int] = [:]
        var idleWorkers: [Int] = []
        var waiting = 0
        var arrivals: UInt64 = 0
        var isStopped = false

        /// The lane whose first caller has waited longest, among those that may start another execution.
        var nextLane: Int? {
            var best: (lane: Int, arrival: UInt64)?
            for index in lanes.indices {
                guard let arrival = lanes[index].firstArrival, arrival < best?.arrival ?? .max else { continue }
                best = (index, arrival)
            }
            return best?.lane
        }

        mutating func workerToWake() -> Int? {
            nextLane == nil ? nil : idleWorkers.popLast()
        }
    }

    private let limit: Int
    private let wakeups: [Wakeup]
    private let state = Mutex(State())

    init(limit: Int, wakeups: [Wakeup]) {
        self.limit = limit
        self.wakeups = wakeups
    }

    /// Puts a caller at the end of the line, or fails it at once.
    func enqueue(_ waiter: any Waiter, in key: LaneKey) {
        let (refusal, worker) = state.withLock { state -> (Unavailability?, Int?) in
            guard !state.isStopped else { return (.shuttingDown, nil) }
            guard state.waiting < limit else { return (.overloaded, nil) }
            let lane: Int
            if let known = state.laneIndex[key] {
                lane = known
            } else {
                lane = state.lanes.count
                state.lanes.append(Lane(key: key))
                state.laneIndex[key] = lane
            }
            state.arrivals += 1
            state.waiting += 1
            state.lanes[lane].waiters.append((state.arrivals, waiter))
            return (nil, state.workerToWake())
        }
        if let refusal { waiter.fail(.unavailable(refusal)) }
        if let worker { wakeups[worker].signal() }
    }

    /// Work for a connected worker.
    func next(for worker: Int) -> Next {
        let (next, other) = state.withLock { state -> (Next, Int?) in
            state.idleWorkers.removeAll { $0 == worker }
            guard !state.isStopped else { return (.stop, nil) }
            guard let lane = state.nextLane else {
                state.idleWorkers.append(worker)
                return (.idle, nil)
            }
            let count = min(state.lanes[lane].key.callers, state.lanes[lane].waiters.count)
            let waiters = state.lanes[lane].waiters.prefix(count).map(\.waiter)
            state.lanes[lane].waiters.removeFirst(count)
            state.lanes[lane].underWay += 1
            state.waiting -= count
            return (.batch(Batch(lane: lane, waiters: waiters)), state.workerToWake())
        }
        if let other { wakeups[other].signal() }
        return next
    }

    /// Ends an execution; those still unanswered go back to the front, in their order.
    func finish(_ batch: Batch, again unanswered: [any Waiter] = []) {
        let (refused, worker) = state.withLock { state -> ([any Waiter], Int?) in
            state.lanes[batch.lane].underWay -= 1
            guard !state.isStopped else { return (unanswered, nil) }
            for waiter in unanswered.reversed() {
                state.lanes[batch.lane].waiters.prepend((0, waiter))
            }
            state.waiting += unanswered.count
            // The worker that calls takes work itself next, unless its connection is gone.
            return ([], unanswered.isEmpty ? nil : state.workerToWake())
        }
        for waiter in refused { waiter.fail(.unavailable(.shuttingDown)) }
        if let worker { wakeups[worker].signal() }
    }

    /// A worker whose connection is gone takes no work. If it was just chosen to be woken, another takes its place.
    func leave(_ worker: Int) {
        let other = state.withLock { state -> Int? in
            state.idleWorkers.removeAll { $0 == worker }
            return state.workerToWake()
        }
        if let other { wakeups[other].signal() }
    }

    /// Takes a caller out of the line that has not been taken by a worker yet.
    func cancel(id: UInt64) {
        let waiter = state.withLock { state -> (any Waiter)? in
            for lane in state.lanes.indices {
                guard let index = state.lanes[lane].waiters.firstIndex(where: { $0.waiter.id == id }) else { continue }
                state.waiting -= 1
                return state.lanes[lane].waiters.remove(at: index).waiter
            }
            return nil
        }
        waiter?.fail(.cancelled)
    }

    /// Answers those whose time is up, wherever they stand.
    func failExpired() {
        let expired = state.withLock { state -> [any Waiter] in
            var expired: [any Waiter] = []
            for lane in state.lanes.indices {
                state.lanes[lane].waiters.removeAll { _, waiter in
                    guard waiter.deadline.hasPassed else { return false }
                    expired.append(waiter)
                    return true
                }
            }
            state.waiting -= expired.count
            return expired
        }
        for waiter in expired { waiter.fail(.unavailable(.timedOut)) }
    }

    var isStopped: Bool { state.withLock { $0.isStopped } }

    /// Fails all who wait, and every later caller; the workers end when they are done with what they have.
    func stop() {
        let waiters = state.withLock { state -> [any Waiter] in
            state.isStopped = true
            state.waiting = 0
            var waiters: [any Waiter] = []
            for lane in state.lanes.indices {
                waiters += state.lanes[lane].waiters.map(\.waiter)
                state.lanes[lane].waiters = []
            }
            return waiters
        }
        for waiter in waiters { waiter.fail(.unavailable(.shuttingDown)) }
        for wakeup in wakeups { wakeup.signal() }
    }
}
