internal import LinkSessionRepository
internal import LinkSessions

/// What one replica knows of an endpoint while it has its lease, and what is to be done next. It does nothing by itself.
///
/// Events are sent in the order of the feed, several at a time. One that is not taken is kept as a retry, so that others
/// pass it; where many in a row are not taken, the endpoint is down, and one event at a time tries whether it is back.
struct EndpointState {
    enum Source: Sendable { case feed, resend }

    enum Action: Sendable {
        case loadRetries
        /// A page of the feed.
        case read(Source, after: FeedPosition)
        case send(FeedEvent, attempt: Int)
        /// An event that has to be found first.
        case find(FeedPosition, LinkSessionID, attempt: Int)
        case save(WebhookProgress)
        case gaveUp(FeedPosition)
        case paused
        case stopped
    }

    private struct UnderWay {
        let source: Source?
        let session: LinkSessionID
        let attempt: Int
    }

    private var leaseEnd = ContinuousClock.now
    private var most = 0
    private var feed: EventStretch
    private var resend: (id: Int64, stretch: EventStretch)?
    private var lastResend: Int64?
    private var underWay: [FeedPosition: UnderWay] = [:]
    private var retries: RetryList?
    private var isLoading = false

    private var failures: Int
    private var failingSince: ContinuousClock.Instant?
    private var nextProbe: ContinuousClock.Instant
    private var end: (end: WebhookProgress.End, reason: String)?
    private var isEndSaved = false
    private(set) var isDraining = false

    private var attempts: [WebhookAttempt] = []
    private var hasSucceeded = false
    private var lastError: String?
    private var unsaved: WebhookProgress?
    private var savedPosition: FeedPosition

    init(_ lease: WebhookLease, now: ContinuousClock.Instant) {
        feed = EventStretch(after: lease.position)
        savedPosition = lease.position
        failures = lease.consecutiveFailures
        failingSince = lease.failingFor.map { now - $0 }
        nextProbe = now
    }

    /// Nothing is under way, and all is saved.
    var isIdle: Bool { underWay.isEmpty && unsaved == nil && !hasChanges }

    var backlog: WebhookBacklog {
        let others = underWay.keys.filter { retries?[$0] == nil } + feed.waiting.map(\.position)
        return WebhookBacklog((retries?.due ?? []) + others)
    }

    private var isDown: Bool { failures >= RetrySchedule.failuresOfEndpoint }

    // MARK: What happened

    mutating func renew(_ lease: WebhookLease, until end: ContinuousClock.Instant, most: Int) {
        (leaseEnd, self.most) = (end, most)
        // A lease that was asked for before the end was saved may name it once more.
        if resend == nil, let asked = lease.resend, asked.id != lastResend {
            resend = (asked.id, EventStretch(after: asked.position, last: asked.last))
        }
    }

    mutating func drain() { isDraining = true }

    /// The feed may have more.
    mutating func hint() { feed.hint() }

    mutating func load(_ loaded: [WebhookRetry]?, now: ContinuousClock.Instant) {
        isLoading = false
        retries = loaded.map { RetryList($0, now: now) }
    }

    mutating func take(_ page: FeedPage?, from source: Source, known: FeedPosition?) {
        switch source {
        case .feed: feed.take(page, known: known)
        case .resend: resend?.stretch.take(page, known: nil)
        }
    }

    /// - Parameter answer: `nil`: the event is there no more.
    mutating func finish(
        _ position: FeedPosition, _ answer: WebhookAnswer?, _ attempt: WebhookAttempt?, now: ContinuousClock.Instant
    ) -> [Action] {
        guard let sent = underWay.removeValue(forKey: position) else { return [] }
        switch sent.source {
        case .feed: feed.end(position)
        case .resend: resend?.stretch.end(position)
        case nil: break
        }
        if let attempt { attempts.append(attempt) }
        switch answer?.outcome {
        case nil: retries?.forget(position)
        case .taken:
            retries?.forget(position)
            succeed(now: now)
        case .notSent:
            retries?.keep(position, sent.session, attempts: sent.attempt - 1, due: now + .seconds(1), now: now)
        case .gone:
            lastError = answer?.text
            retries?.keep(position, sent.session, attempts: sent.attempt, due: now, now: now)
            return stop(.stopped, "it answered 410")
        case .failed:
            lastError = answer.map { answer in answer.status.map { "status \($0)" } ?? answer.text }
            return fail(position, sent, now: now)
        }
        return []
    }

    private mutating func succeed(now: ContinuousClock.Instant) {
        hasSucceeded = true
        // It is back: nothing waits for hours any more.
        if isDown { retries?.hurry(within: .seconds(5), now: now) }
        (failures, failingSince) = (0, nil)
    }

    private mutating func fail(
        _ position: FeedPosition, _ sent: UnderWay, now: ContinuousClock.Instant
    ) -> [Action] {
        failures += 1
        let since = failingSince ?? now
        failingSince = since
        nextProbe = now + RetrySchedule.pause(afterFailures: failures)
        let due = now + RetrySchedule.delay(afterAttempt: sent.attempt)
        retries?.keep(position, sent.session, attempts: sent.attempt, due: due, now: now)
        if isDown { return now - since >= RetrySchedule.patience ? stop(.paused, "it failed for three days") : [] }
        guard let first = retries?[position]?.firstFailed, now - first >= RetrySchedule.patience else { return [] }
        retries?.giveUp(position)
        return [.gaveUp(position)]
    }

    private mutating func stop(_ end: WebhookProgress.End, _ reason: String) -> [Action] {
        guard self.end == nil else { return [] }
        self.end = (end, reason)
        return [end == .paused ? .paused : .stopped]
    }

    /// - Parameter isSaved: else it is saved once more.
    mutating func saved(_ isSaved: Bool) {
        guard let progress = unsaved else { return }
        unsaved = nil
        if isSaved {
            savedPosition = progress.position
            retries?.saved(progress.done)
            if let done = progress.resend, done.isDone, done.id == resend?.id {
                (resend, lastResend) = (nil, done.id)
            }
        } else {
            retries?.notSaved(progress.retries.map(\.position) + progress.done)
            attempts = progress.attempts + attempts
            hasSucceeded = hasSucceeded || progress.hasSucceeded
            lastError = lastError ?? progress.lastError
            isEndSaved = false
        }
    }

    // MARK: What is to be done

    mutating func next(now: ContinuousClock.Instant) -> (actions: [Action], wake: ContinuousClock.Instant?) {
        guard retries != nil else {
            guard !isLoading else { return ([], nil) }
            isLoading = true
            return ([.loadRetries], nil)
        }
        var actions: [Action] = []
        if !isDraining, end == nil, now < leaseEnd {
            while let action = start(now: now) { actions.append(action) }
            actions += reads()
        }
        if let save = save(now: now) { actions.append(.save(save)) }
        return (actions, wake(now: now))
    }

    /// An event to be sent now.
    private mutating func start(now: ContinuousClock.Instant) -> Action? {
        let places = isDown ? 1 : most
        guard underWay.count + unsavedAttempts < places, !isDown || now >= nextProbe else { return nil }
        // Half of the places are for each at least, where both want them.
        let feedWaits = !feed.waiting.isEmpty && hasRoom
        let most = feedWaits ? max(1, places / 2) : places
        let resendWaits = resend?.stretch.waiting.isEmpty == false && hasRoom
        if underWay.values.count(where: { $0.source == nil }) < (resendWaits ? max(1, most / 2) : most),
            let (position, retry) = retries?.due(at: now, except: { underWay[$0] != nil })
        {
            underWay[position] = UnderWay(source: nil, session: retry.session, attempt: retry.attempts + 1)
            return .find(position, retry.session, attempt: retry.attempts + 1)
        }
        guard hasRoom else { return nil }
        if underWay.values.count(where: { $0.source != .feed }) < most, let event = startResend() {
            return .send(event, attempt: 1)
        }
        while let event = feed.start() {
            if begin(event, .feed) { return .send(event, attempt: 1) }
            feed.end(event.position)
        }
        return nil
    }

    private mutating func startResend() -> FeedEvent? {
        while let event = resend?.stretch.start() {
            if begin(event, .resend) { return event }
            resend?.stretch.end(event.position)
        }
        return nil
    }

    /// False where it is under way already, or will be.
    private mutating func begin(_ event: FeedEvent, _ source: Source) -> Bool {
        guard underWay[event.position] == nil, retries?[event.position] == nil else { return false }
        underWay[event.position] = UnderWay(source: source, session: event.session.id, attempt: 1)
        return true
    }

    /// They have their places until it is saved what came of them: where this replica is ended, no more come twice.
    private var unsavedAttempts: Int { attempts.count + (unsaved?.attempts.count ?? 0) }

    private var hasRoom: Bool { retries?.hasRoom ?? false }

    private mutating func reads() -> [Action] {
        var actions: [Action] = []
        guard hasRoom else { return [] }
        if feed.beginsToRead() { actions.append(.read(.feed, after: feed.read)) }
        if let after = resend?.stretch.read, resend?.stretch.beginsToRead() == true {
            actions.append(.read(.resend, after: after))
        }
        return actions
    }

    private var hasChanges: Bool {
        retries?.hasChanges == true || !attempts.isEmpty || hasSucceeded || lastError != nil
            || (end != nil && !isEndSaved)
    }

    private mutating func save(now: ContinuousClock.Instant) -> WebhookProgress? {
        guard unsaved == nil else { return nil }
        var overtaken: [FeedPosition] = []
        func started(from source: Source) -> [FeedPosition] {
            underWay.compactMap { $0.value.source == source ? $0.key : nil }
        }
        feed.advance(started(from: .feed)) { overtaken.append($0) }
        var resent: (id: Int64, position: FeedPosition, isDone: Bool)?
        if let id = resend?.id, var stretch = resend?.stretch {
            let (before, underWay) = (stretch.position, started(from: .resend))
            stretch.advance(underWay) { overtaken.append($0) }
            let isDone = stretch.isRead && underWay.isEmpty
            if stretch.position > before || isDone { resent = (id, stretch.position, isDone) }
            resend = (id, stretch)
        }
        // A position that nothing happened at is not worth a write more than once a minute.
        guard hasChanges || resent != nil || feed.position.earlier(by: .seconds(60)) > savedPosition else { return nil }
        for position in overtaken where retries?[position] == nil {
            guard let sent = underWay[position] else { continue }
            retries?.keep(position, sent.session, attempts: sent.attempt - 1, due: now, now: now)
        }
        let progress = takeChanges(resent, now: now)
        unsaved = progress
        return progress
    }

    private mutating func takeChanges(
        _ resent: (id: Int64, position: FeedPosition, isDone: Bool)?, now: ContinuousClock.Instant
    ) -> WebhookProgress {
        var progress = WebhookProgress(position: feed.position)
        (progress.retries, progress.done) = retries?.takeChanges(now: now) ?? ([], [])
        (progress.resend, progress.attempts, progress.hasSucceeded) = (resent, attempts, hasSucceeded)
        (progress.lastError, progress.consecutiveFailures) = (lastError, failures)
        (progress.failingFor, progress.end) = (failingSince.map { now - $0 }, end)
        isEndSaved = end != nil
        (attempts, hasSucceeded, lastError) = ([], false, nil)
        return progress
    }

    /// When something is due next that nobody tells of.
    private func wake(now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        guard !isDraining, end == nil else { return nil }
        let due = retries?.nextDue { underWay[$0] != nil }
        let waits = !feed.waiting.isEmpty || resend?.stretch.waiting.isEmpty == false
        let next = isDown ? (waits ? nextProbe : due.map { max($0, nextProbe) }) : due
        return next.flatMap { $0 > now ? $0 : nil }
    }
}
