internal import Foundation
internal import LinkSessionRepository

/// Events that are read and not taken yet, of the endpoints that a replica has: at most about a thousand of each, and with
/// the oldest of all among them.
package struct WebhookBacklog: Sendable, Equatable {
    package private(set) var events = 0
    private var oldest: FeedPosition?

    init() {}

    init(_ positions: some Sequence<FeedPosition>) {
        for position in positions {
            events += 1
            oldest = min(oldest ?? position, position)
        }
    }

    mutating func add(_ other: WebhookBacklog) {
        events += other.events
        oldest = [oldest, other.oldest].compactMap(\.self).min()
    }

    /// How long the oldest has waited, by this machine's clock: a position is the time at which the feed got the event.
    package var oldestSeconds: Double {
        oldest.map { max(0, Date.now.timeIntervalSince1970 - Double($0.number) / 1_000_000) } ?? 0
    }
}
