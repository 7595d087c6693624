package import Logging
internal import ServiceLifecycle
internal import Synchronization

/// libpq made async: a fixed number of connections to PostgreSQL, each owned by a thread that takes queries from one
/// queue.
///
/// A query is answered within its deadline whatever the database does: with its rows, or with
/// ``DatabaseError/unavailable(_:)``. Lost connections are made anew, and queries under way sent again, without the
/// caller noticing, as long as the deadline allows. ``run()`` must be running.
package final class DatabaseClient: Service {
    private let address: DatabaseAddress
    private let applicationName: String
    private let queue: QueryQueue
    private let wakeups: [Wakeup]
    private let lastID = Atomic<UInt64>(0)
    private let outage: Outage
    private let hasStarted = Atomic<Bool>(false)
    private let connected = Atomic<Int>(0)
    private let connects = Atomic<Int>(0)
    private let failedConnects = Atomic<Int>(0)

    /// - Parameters:
    ///   - connections: so many threads and server sessions.
    ///   - waitingLimit: further callers of a class are refused as ``Unavailability/overloaded``.
    package init(
        address: DatabaseAddress, applicationName: String, connections: Int, waitingLimit: Int, logger: Logger
    ) throws {
        self.address = address
        self.applicationName = applicationName
        wakeups = try (0..<connections).map { _ throws(DatabaseClientStartError) in try Wakeup() }
        queue = QueryQueue(limit: waitingLimit, wakeups: wakeups)
        outage = Outage(logger: logger)
    }

    package var statistics: DatabaseStatistics {
        DatabaseStatistics(
            name: applicationName, connections: wakeups.count, connected: connected.load(ordering: .relaxed),
            connects: connects.load(ordering: .relaxed), failedConnects: failedConnects.load(ordering: .relaxed),
            queues: queue.statistics)
    }

    /// Answers one input, within the deadline; a grouped query's in one execution with other callers' inputs.
    ///
    /// Cancelling the task removes a query that waits in the queue; one that is under way runs to its end or its
    /// deadline.
    package func run<Input: Sendable, Output: Sendable>(
        _ query: any DatabaseQuery<Input, Output>, _ input: Input, as serviceClass: ServiceClass = .first,
        until deadline: Deadline
    ) async throws(DatabaseError) -> Output {
        let id = lastID.add(1, ordering: .relaxed).newValue
        do {
            return try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { continuation in
                    queue.enqueue(
                        PendingCall(
                            id: id, query: query, input: input, deadline: deadline, continuation: continuation),
                        in: query.subqueue, of: serviceClass)
                    // The handler below may have come before the query was in the queue.
                    if Task.isCancelled { queue.cancel(id: id) }
                }
            } onCancel: {
                queue.cancel(id: id)
            }
        } catch {
            throw error as? DatabaseError ?? .cancelled
        }
    }

    /// Runs the connections until graceful shutdown or cancellation; then whoever still waits is refused.
    package func run() async throws {
        guard hasStarted.compareExchange(expected: false, desired: true, ordering: .relaxed).exchanged else {
            throw DatabaseClientStartError.startedBefore
        }
        for worker in wakeups.indices {
            guard startThread({ [self] in work(as: worker) }) else {
                queue.stop()
                throw DatabaseClientStartError.noThread
            }
        }
        await withTaskCancellationOrGracefulShutdownHandler {
            while !queue.isStopped {
                queue.failExpired()
                try? await Task.sleep(for: .milliseconds(50))
            }
        } onCancelOrGracefulShutdown: { [queue] in
            queue.stop()
        }
    }

    /// A thread's life: connect, take work until the connection is gone, connect again.
    private func work(as worker: Int) {
        var failures = 0
        while !queue.isStopped {
            do throws(ConnectionError) {
                var connection = try Connection.open(
                    to: address, applicationName: applicationName, settings: Self.sessionSettings)
                outage.connected()
                connects.add(1, ordering: .relaxed)
                connected.add(1, ordering: .relaxed)
                defer { connected.subtract(1, ordering: .relaxed) }
                if serve(&connection, as: worker) { failures = 0 }
            } catch {
                failedConnects.add(1, ordering: .relaxed)
                outage.failed(error.message)
            }
            queue.workerDisconnected(worker)
            // The first new attempt follows at once: after a cut the server is usually there.
            if failures > 0 {
                let longest = min(25 << min(failures, 4), 400)
                _ = wakeups[worker].wait(milliseconds: CInt.random(in: 25...CInt(longest)))
            }
            failures += 1
        }
    }

    /// True where the connection has answered anything before it was gone.
    private func serve(_ connection: inout Connection, as worker: Int) -> Bool {
        var hasAnswered = false
        while true {
            switch queue.dequeue(for: worker) {
            case .stop:
                return hasAnswered
            case .idle:
                if wakeups[worker].wait(socket: connection.socket), !connection.isAliveAfterReading() {
                    return hasAnswered
                }
            case .batch(let batch):
                guard let first = batch.queries.first else { continue }
                switch first.execute(batch.queries, on: &connection) {
                case .answered:
                    queue.finish(batch)
                    hasAnswered = true
                case .connectionLost(let unanswered):
                    queue.finish(batch, requeue: unanswered)
                    return hasAnswered
                }
            }
        }
    }

    /// The server ends by itself what nobody waits for any more. And it plans each statement once: over many partitions
    /// it would plan anew for the values of every execution, which takes longer than most executions. Citus needs the
    /// values to plan.
    private static let sessionSettings = """
        SELECT set_config('plan_cache_mode', 'force_generic_plan', false) WHERE to_regclass('pg_dist_partition') IS NULL; \
        SET statement_timeout = '2s'; SET lock_timeout = '1s'; SET client_connection_check_interval = '500ms'; \
        SET timezone = 'UTC'
        """
}

/// Logs that the database went out of reach and came back, not every attempt of every thread in between.
private final class Outage: Sendable {
    private let logger: Logger
    private let lastReport = Mutex<ContinuousClock.Instant?>(nil)

    init(logger: Logger) { self.logger = logger }

    func failed(_ message: String) {
        let isDue = lastReport.withLock { last in
            guard last.map({ ContinuousClock.now - $0 > .seconds(10) }) ?? true else { return false }
            last = .now
            return true
        }
        if isDue { logger.warning("database out of reach", metadata: ["cause": "\(message)"]) }
    }

    func connected() {
        let wasOut = lastReport.withLock { last in
            defer { last = nil }
            return last != nil
        }
        if wasOut { logger.notice("database in reach again") }
    }
}
