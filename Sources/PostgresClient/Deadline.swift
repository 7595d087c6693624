// The moment until which a caller waits.

/// A point on the monotonic clock. Everything that waits in this module waits until one of these.
package struct Deadline: Sendable, Comparable {
    private let instant: ContinuousClock.Instant

    package init(_ instant: ContinuousClock.Instant) { self.instant = instant }

    package static func after(_ duration: Duration) -> Deadline {
        Deadline(ContinuousClock.now + duration)
    }

    package var hasPassed: Bool { instant <= ContinuousClock.now }

    /// What `poll` takes: at least 1 until the deadline has passed, then 0.
    var remainingMilliseconds: Int32 {
        let remaining = instant - ContinuousClock.now
        guard remaining > .zero else { return 0 }
        let (seconds, attoseconds) = remaining.components
        guard seconds < 86_400 else { return 86_400_000 }
        return Int32(seconds) * 1000 + Int32(attoseconds / 1_000_000_000_000_000) + 1
    }

    package static func < (left: Deadline, right: Deadline) -> Bool { left.instant < right.instant }
}
