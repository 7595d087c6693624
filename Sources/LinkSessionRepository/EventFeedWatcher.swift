package import LinkSessions
package import Logging
internal import ServiceLifecycle
internal import Synchronization

/// Lets requests wait for events: of a manufacturer, or for a session's end. However many wait, the database is looked at
/// once every 250 ms, and not at all while nobody waits. ``run()`` must be running.
package final class EventFeedWatcher: Service {
    package struct TooManyWaitingError: Error {}

    /// What is waited for.
    package enum Subject: Sendable {
        /// An event of any session.
        case events
        case end(LinkSessionID)
    }

    /// One that waits. Begun before the look at the database that finds nothing, so that nothing falls in between; what
    /// wakes it meanwhile has it look again.
    package final class Wait: Sendable {
        private struct State {
            var isOver = false
            /// Woken while it looked.
            var looksAgain = false
            var waiter: CheckedContinuation<Void, Never>?
        }

        fileprivate let subject: Subject
        fileprivate let manufacturer: Manufacturer.ID
        fileprivate let deadline: ContinuousClock.Instant
        private let state = Mutex(State())

        fileprivate init(
            _ subject: Subject, of manufacturer: Manufacturer.ID, until deadline: ContinuousClock.Instant
        ) {
            (self.subject, self.manufacturer, self.deadline) = (subject, manufacturer, deadline)
        }

        /// Returns when something may have happened, or ``finish()`` was called.
        package func next() async {
            await withCheckedContinuation { waiter in
                let goesOn = state.withLock { state in
                    let goesOn = state.isOver || state.looksAgain
                    state.looksAgain = false
                    if !goesOn { state.waiter = waiter }
                    return goesOn
                }
                if goesOn { waiter.resume() }
            }
        }

        /// Its time is over, or its client gone.
        package var isFinished: Bool { state.withLock { $0.isOver } }

        /// Ends the wait, such as where its client is gone.
        package func finish() { wake(finishing: true) }

        fileprivate func wake(finishing: Bool = false) {
            let waiter = state.withLock { state in
                if finishing { state.isOver = true }
                state.looksAgain = state.waiter == nil
                return state.waiter.take()
            }
            waiter?.resume()
        }
    }

    private struct State {
        var waits: [Manufacturer.ID: [ObjectIdentifier: Wait]] = [:]
        var isDraining = false
    }

    /// How many requests of a manufacturer wait at once.
    package static let most = 200
    private static let interval = Duration.milliseconds(250)
    private static let queryTime = Duration.milliseconds(700)
    /// Beyond so many events of a manufacturer within an interval all that wait for it look for themselves.
    private static let mostChanges = 5000

    private let repository: EventFeedRepository
    private let logger: Logger
    private let state = Mutex(State())

    package init(repository: EventFeedRepository, logger: Logger) {
        self.repository = repository
        self.logger = logger
    }

    /// Begins to wait, until ``end(_:)``.
    package func begin(
        _ subject: Subject, of manufacturer: Manufacturer.ID, until deadline: ContinuousClock.Instant
    ) throws(TooManyWaitingError) -> Wait {
        let wait = Wait(subject, of: manufacturer, until: deadline)
        let isDraining = try state.withLock { (state) throws(TooManyWaitingError) in
            guard state.waits[manufacturer, default: [:]].count < Self.most else { throw TooManyWaitingError() }
            state.waits[manufacturer, default: [:]][ObjectIdentifier(wait)] = wait
            return state.isDraining
        }
        if isDraining { wait.finish() }
        return wait
    }

    package func end(_ wait: Wait) {
        state.withLock { state in
            state.waits[wait.manufacturer]?[ObjectIdentifier(wait)] = nil
            if state.waits[wait.manufacturer]?.isEmpty == true { state.waits[wait.manufacturer] = nil }
        }
    }

    /// Watches until graceful shutdown or cancellation; by then all that wait are answered.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            var seen: FeedPosition?
            while !Task.isCancelled {
                try? await Task.sleep(for: Self.interval)
                finish { $0.deadline <= .now }
                do throws(RepositoryError) {
                    seen = try await look(since: seen)
                } catch {
                    logger.debug("events not looked at", metadata: ["cause": "\(error)"])
                }
            }
        }
        state.withLock { $0.isDraining = true }
        finish { _ in true }
    }

    private func finish(where isOver: (Wait) -> Bool) {
        for wait in all() where isOver(wait) { wait.finish() }
    }

    private func all() -> [Wait] { state.withLock { $0.waits.values.flatMap(\.values) } }

    /// - Returns: until where the feed was looked at; `nil` while nobody waits.
    private func look(since seen: FeedPosition?) async throws(RepositoryError) -> FeedPosition? {
        let manufacturers = state.withLock { Array($0.waits.keys) }
        guard !manufacturers.isEmpty else { return nil }
        let deadline = ContinuousClock.now + Self.queryTime
        let feed = try await repository.state(after: seen ?? .start, until: deadline)
        guard let seen else {
            // What happened since they looked is not known.
            for wait in all() { wait.wake() }
            return feed.last
        }
        guard feed.last > seen else { return seen }
        let changes = try await repository.changes(
            of: manufacturers, after: seen, feed, most: Self.mostChanges, until: deadline)
        let byManufacturer = Dictionary(grouping: changes, by: \.manufacturer)
        for (manufacturer, changes) in byManufacturer {
            let ended = Set(changes.filter(\.isEnd).map(\.session))
            let isAll = changes.count >= Self.mostChanges
            for wait in state.withLock({ Array(($0.waits[manufacturer] ?? [:]).values) }) {
                switch wait.subject {
                case .events: wait.wake()
                case .end(let id): if isAll || ended.contains(id) { wait.wake() }
                }
            }
        }
        return feed.last
    }
}
