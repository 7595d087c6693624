/// What is left of a rate limit at the moment: a bucket that fills by the rate, up to what may come at once.
package struct TokenBucket: Sendable {
    package enum Decision: Sendable, Equatable {
        /// - Parameter left: how much more may come at once.
        case taken(left: Int)
        /// - Parameter retryAfter: by then there is enough for one.
        case refused(retryAfter: Duration)
    }

    package typealias Instant = ContinuousClock.Instant

    /// What was taken and has not come back by then.
    private var taken = 0.0
    private var time: Instant

    /// A full one.
    package init(now: Instant) { time = now }

    /// - Parameter share: the part of the limit's rate with which the bucket fills here, more than 0 and at most 1.
    package mutating func take(of limit: RateLimit, share: Double = 1, now: Instant) -> Decision {
        let rate = Double(limit.perSecond) * share
        taken = taken(of: limit, share: share, now: now)
        time = max(time, now)
        let left = Double(limit.atOnce) - taken - 1
        // Of a part of one that was lost in rounding.
        guard left > -1e-6 else { return .refused(retryAfter: .microseconds(Int64(-left / rate * 1e6))) }
        taken += 1
        return .taken(left: Int(left + 1e-6))
    }

    package func fullAfter(_ limit: RateLimit, share: Double = 1, now: Instant) -> Duration {
        .seconds(taken(of: limit, share: share, now: now) / (Double(limit.perSecond) * share))
    }

    package func isFull(_ limit: RateLimit, now: Instant) -> Bool { taken(of: limit, share: 1, now: now) <= 0 }

    func taken(of limit: RateLimit, share: Double, now: Instant) -> Double {
        max(0, taken - max(0, (now - time) / .seconds(1)) * Double(limit.perSecond) * share)
    }
}
