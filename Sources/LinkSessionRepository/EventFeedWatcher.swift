package import LinkSessions
package import Logging
package import PostgresClient
internal import ServiceLifecycle
internal import Synchronization

/// Lets requests wait for events: of a manufacturer, or for a session's end. However many wait, the database is looked at
/// once every 250 ms, at once and at most every 100 ms where this replica itself gave events their positions, and not at
/// all while nobody waits. ``run()`` must be running.
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
            var hasEnded = false
            /// Woken while it looked.
            var looksAgain = false
            var action: (@Sendable () -> Void)?
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

        /// - Parameter action: called once, when something may have happened since the wait began or was woken last, or
        ///   it is over.
        package func onWake(_ action: @escaping @Sendable () -> Void) {
            let isDue = state.withLock { state in
                let isDue = state.isOver || state.looksAgain
                state.looksAgain = false
                if !isDue { state.action = action }
                return isDue
            }
            if isDue { action() }
        }

        /// Its time is over, or its client gone.
        package var isFinished: Bool { state.withLock { $0.isOver } }

        fileprivate var isLooking: Bool { state.withLock { $0.action == nil && !$0.hasEnded } }

        fileprivate func end() { state.withLock { $0.hasEnded = true } }

        /// Ends the wait, such as where its client is gone.
        package func finish() { wake(finishing: true) }

        fileprivate func wake(finishing: Bool = false) {
            let action = state.withLock { state in
                if finishing { state.isOver = true }
                state.looksAgain = state.action == nil
                return state.action.take()
            }
            action?()
        }
    }

    private struct State {
        var waits: [Manufacturer.ID: [ObjectIdentifier: Wait]] = [:]
        var isDraining = false
        /// From when on a hint makes for another look.
        var hintDue = ContinuousClock.now
    }

    /// How many requests of a manufacturer wait at once.
    package static let most = 200
    private static let interval = Duration.milliseconds(250)
    private static let hintInterval = Duration.milliseconds(100)
    private static let queryTime = Duration.milliseconds(700)
    private static let mostAtOnce = 200

    private let repository: EventFeedRepository
    private let logger: Logger
    private let state = Mutex(State())
    private let looks = Atomic<Int>(0)
    private let pages = SharedFeedPages()
    private let (dueLooks, dueLook) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))

    package init(repository: EventFeedRepository, logger: Logger) {
        self.repository = repository
        self.logger = logger
    }

    /// There are new events: whoever waits for them needs not wait for the next look, too.
    package func hint() {
        let now = ContinuousClock.now
        let isDue = state.withLock { state in
            guard now >= state.hintDue, !state.waits.isEmpty else { return false }
            state.hintDue = now + Self.hintInterval
            return true
        }
        if isDue { dueLook.yield() }
    }

    /// How many requests wait.
    package var waiting: Int { state.withLock { $0.waits.values.reduce(0) { $0 + $1.count } } }

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

    /// A page for requests that wait. Those that want the same one since the same look at the feed get it by one query: an
    /// event that it misses is found by the next look, and wakes them.
    package func page(
        of manufacturer: Manufacturer.ID, after position: FeedPosition, _ kinds: Set<FeedEvent.Kind>?, limit: Int,
        until deadline: Deadline
    ) async throws(RepositoryError) -> FeedPage {
        let key = SharedFeedPages.Key(
            manufacturer: manufacturer, after: position, kinds: kinds, limit: limit,
            look: looks.load(ordering: .acquiring))
        let repository = repository
        return try await pages.page(key) { () async throws(RepositoryError) in
            try await repository.page(of: manufacturer, after: position, kinds, limit: limit, until: deadline)
        }
    }

    package func end(_ wait: Wait) {
        wait.end()
        state.withLock { state in
            state.waits[wait.manufacturer]?[ObjectIdentifier(wait)] = nil
            if state.waits[wait.manufacturer]?.isEmpty == true { state.waits[wait.manufacturer] = nil }
        }
    }

    /// Watches until graceful shutdown or cancellation; by then all that wait are answered.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            async let _ = lookFromTimeToTime()
            var seen: FeedPosition?
            for await _ in dueLooks {
                let now = ContinuousClock.now
                await wake(all { $0.deadline <= now }, finishing: true)
                do throws(RepositoryError) {
                    let (due, position) = try await look(since: seen)
                    seen = position
                    looks.add(1, ordering: .releasing)
                    await wake(due)
                } catch {
                    logger.debug("events not looked at", metadata: ["cause": "\(error)"])
                }
            }
        }
        state.withLock { $0.isDraining = true }
        await wake(all { _ in true }, finishing: true)
    }

    private func lookFromTimeToTime() async {
        while (try? await Task.sleep(for: Self.interval)) != nil { dueLook.yield() }
    }

    /// So many look at the database at a time: thousands at once would be more than it takes.
    private func wake(_ waits: [Wait], finishing: Bool = false) async {
        var looking: [Wait] = []
        for wait in waits {
            let patience = ContinuousClock.now + .seconds(1)
            while looking.count >= Self.mostAtOnce, ContinuousClock.now < patience {
                // Cancellation ends no wait.
                await Task.detached { try? await Task.sleep(for: .milliseconds(1)) }.value
                looking.removeAll { !$0.isLooking }
            }
            // They hang, and hold up the next ones no longer.
            if looking.count >= Self.mostAtOnce { looking.removeAll() }
            wait.wake(finishing: finishing)
            looking.append(wait)
        }
    }

    private func all(where isMeant: (Wait) -> Bool) -> [Wait] {
        state.withLock { $0.waits.values.flatMap { $0.values.filter(isMeant) } }
    }

    /// - Returns: those for which something may have happened, and until where the feed was looked at; `nil` while nobody
    ///   waits.
    private func look(since seen: FeedPosition?) async throws(RepositoryError) -> (due: [Wait], FeedPosition?) {
        let manufacturers = state.withLock { Array($0.waits.keys) }
        guard !manufacturers.isEmpty else { return ([], nil) }
        let deadline = ContinuousClock.now + Self.queryTime
        let feed = try await repository.state(after: seen ?? .start, until: deadline)
        // What happened since they looked is not known.
        guard let seen else { return (all { _ in true }, feed.last) }
        guard feed.last > seen else { return ([], seen) }
        let changes = try await repository.changes(of: manufacturers, after: seen, feed, until: deadline)
        guard let changes else { return (all { _ in true }, feed.last) }
        let ended = Set(changes.filter(\.isEnd).map(\.session))
        let changed = Set(changes.map(\.manufacturer))
        let due = all { wait in
            switch wait.subject {
            case .events: changed.contains(wait.manufacturer)
            case .end(let id): ended.contains(id)
            }
        }
        return (due, feed.last)
    }
}
