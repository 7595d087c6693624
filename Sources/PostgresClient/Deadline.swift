/// When a caller stops waiting: an instant of the monotonic clock.
package typealias Deadline = ContinuousClock.Instant

extension Deadline {
    var hasPassed: Bool { self <= .now }

    /// What `poll` takes: at least 1 until the instant has passed, then 0.
    var remainingMilliseconds: Int32 {
        let remaining = (self - .now) / .milliseconds(1)
        return remaining > 0 ? Int32(min(remaining, 86_400_000)) + 1 : 0
    }
}
