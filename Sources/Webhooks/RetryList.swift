internal import LinkSessionRepository
internal import LinkSessions

/// Events that an endpoint did not take, and those that others overtook: each is sent again by itself. Knows which of
/// them changed since they were saved.
struct RetryList {
    struct Retry {
        let session: LinkSessionID
        var attempts: Int
        var firstFailed: ContinuousClock.Instant
        /// `nil`: not before an operator resumes the endpoint.
        var due: ContinuousClock.Instant?
    }

    private var retries: [FeedPosition: Retry]
    private var changed: Set<FeedPosition> = []
    /// Events of which the database has rows, or may have.
    private var stored: Set<FeedPosition>

    init(_ loaded: [WebhookRetry], now: ContinuousClock.Instant) {
        stored = Set(loaded.map(\.position))
        retries = Dictionary(
            loaded.map { retry in
                let due = retry.dueIn.map { now + $0 }
                return (
                    retry.position,
                    Retry(
                        session: retry.session, attempts: retry.attempts, firstFailed: now - retry.failingFor, due: due)
                )
            }
        ) { $1 }
    }

    subscript(position: FeedPosition) -> Retry? { retries[position] }

    /// Those that are sent again some time.
    var due: [FeedPosition] { retries.compactMap { position, retry in retry.due.map { _ in position } } }

    var hasRoom: Bool { retries.count < WebhookRepository.mostRetries }

    var hasChanges: Bool { !changed.isEmpty }

    mutating func keep(
        _ position: FeedPosition, _ session: LinkSessionID, attempts: Int, due: ContinuousClock.Instant,
        now: ContinuousClock.Instant
    ) {
        let first = retries[position]?.firstFailed ?? now
        retries[position] = Retry(session: session, attempts: attempts, firstFailed: first, due: due)
        changed.insert(position)
    }

    mutating func forget(_ position: FeedPosition) {
        retries[position] = nil
        if stored.contains(position) { changed.insert(position) } else { changed.remove(position) }
    }

    mutating func giveUp(_ position: FeedPosition) { retries[position]?.due = nil }

    /// All are due within so long.
    mutating func hurry(within time: Duration, now: ContinuousClock.Instant) {
        for (position, retry) in retries {
            retries[position]?.due = retry.due.map { min($0, now + time * Double.random(in: 0...1)) }
        }
    }

    /// The one that has been due for longest.
    func due(
        at now: ContinuousClock.Instant, except isUnderWay: (FeedPosition) -> Bool
    ) -> (position: FeedPosition, retry: Retry)? {
        var next: (position: FeedPosition, retry: Retry, due: ContinuousClock.Instant)?
        for (position, retry) in retries where !isUnderWay(position) {
            guard let due = retry.due, due <= now else { continue }
            if let next, (next.due, next.position) <= (due, position) { continue }
            next = (position, retry, due)
        }
        return next.map { ($0.position, $0.retry) }
    }

    /// When the next one is due.
    func nextDue(except isUnderWay: (FeedPosition) -> Bool) -> ContinuousClock.Instant? {
        retries.filter { !isUnderWay($0.key) }.compactMap(\.value.due).min()
    }

    /// What is to be saved, which is taken for saved then.
    mutating func takeChanges(now: ContinuousClock.Instant) -> (retries: [WebhookRetry], done: [FeedPosition]) {
        defer { changed = [] }
        var (kept, done): ([WebhookRetry], [FeedPosition]) = ([], [])
        for position in changed {
            guard let retry = retries[position] else {
                done.append(position)
                continue
            }
            stored.insert(position)
            kept.append(
                WebhookRetry(
                    position: position, session: retry.session, attempts: retry.attempts,
                    failingFor: now - retry.firstFailed, dueIn: retry.due.map { max(.zero, $0 - now) }))
        }
        return (kept, done)
    }

    mutating func saved(_ done: [FeedPosition]) { stored.subtract(done.filter { retries[$0] == nil }) }

    mutating func notSaved(_ positions: [FeedPosition]) { changed.formUnion(positions) }
}
