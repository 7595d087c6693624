internal import Synchronization

/// Holds refusals back for a moment, so that a client that asks again at once costs next to nothing: one second, and
/// longer while many are held.
package final class RefusalDelay: Sendable {
    private let held = Atomic<Int>(0)

    /// More are answered at once: they come from clients that do not wait for their answers.
    private static let mostHeld = 16_384

    package init() {}

    package func wait() async {
        let others = held.add(1, ordering: .relaxed).oldValue
        defer { held.subtract(1, ordering: .relaxed) }
        guard others < Self.mostHeld else { return }
        try? await Task.sleep(for: Self.time(whileHeld: others))
    }

    static func time(whileHeld others: Int) -> Duration {
        min(.seconds(10), .seconds(1) + .milliseconds(10 * others))
    }
}
