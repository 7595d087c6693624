/// What providers published lately. Callers that need the same at the same time share one request for it.
actor PublishedCache<Key: Hashable & Sendable, Value: Sendable> {
    private struct Entry {
        let since = ContinuousClock.now
        let value: Value
    }

    struct Times: Sendable {
        /// How long it is kept.
        var lifetime = Duration.seconds(600)
        /// How much longer while it cannot be fetched, which is tried again after ``retry``.
        var grace = Duration.seconds(3600)
        var retry = Duration.seconds(15)
        /// What lacks something is fetched anew, but not more often than this: no token must make us flood a provider.
        var shortestRenewal = Duration.seconds(60)
    }

    private let times: Times
    private let fetch: @Sendable (Key) async throws -> Value
    private var entries: [Key: Entry] = [:]
    private var underWay: [Key: Task<Entry, any Error>] = [:]
    private var failures: [Key: ContinuousClock.Instant] = [:]
    private var renewals: [Key: ContinuousClock.Instant] = [:]

    init(_ times: Times = Times(), fetch: @escaping @Sendable (Key) async throws -> Value) {
        self.times = times
        self.fetch = fetch
    }

    /// - Parameter isRenewed: what is kept lacks what its caller needs.
    func value(of key: Key, isRenewed: Bool = false) async throws -> Value {
        let now = ContinuousClock.now
        if let entry = entries[key], isRenewed ? !mayRenew(key, now) : isEnough(entry, key, now) { return entry.value }
        if isRenewed { renewals[key] = now }
        let task = underWay[key] ?? Task { [fetch] in Entry(value: try await fetch(key)) }
        underWay[key] = task
        let result = await task.result
        if underWay[key] == task { end(key, result) }
        switch result {
        case .success(let entry): return entry.value
        case .failure(let error):
            guard let entry = entries[key], isWithinGrace(entry, now) else { throw error }
            return entry.value
        }
    }

    private func end(_ key: Key, _ result: Result<Entry, any Error>) {
        underWay[key] = nil
        switch result {
        case .success(let entry): (entries[key], failures[key]) = (entry, nil)
        case .failure: failures[key] = .now
        }
    }

    private func isEnough(_ entry: Entry, _ key: Key, _ now: ContinuousClock.Instant) -> Bool {
        let hasJustFailed = failures[key].map { now - $0 < times.retry } ?? false
        return now - entry.since < times.lifetime || hasJustFailed && isWithinGrace(entry, now)
    }

    private func isWithinGrace(_ entry: Entry, _ now: ContinuousClock.Instant) -> Bool {
        now - entry.since < times.lifetime + times.grace
    }

    /// Those that ask while it is renewed get what comes of that.
    private func mayRenew(_ key: Key, _ now: ContinuousClock.Instant) -> Bool {
        underWay[key] != nil || renewals[key].map { now - $0 >= times.shortestRenewal } ?? true
    }
}
