/// When a caller stops waiting: an instant of the monotonic clock.
package typealias Deadline = ContinuousClock.Instant

extension Deadline {
    var hasPassed: Bool { self <= .now }

    /// What `poll` takes: at least 1 until the instant has passed, then 0.
    var remainingMilliseconds: Int32 {
        let remaining = self - .now
        guard remaining > .zero else { return 0 }
        let (seconds, attoseconds) = remaining.components
        guard seconds < 86_400 else { return 86_400_000 }
        return Int32(seconds) * 1000 + Int32(attoseconds / 1_000_000_000_000_000) + 1
    }
}
