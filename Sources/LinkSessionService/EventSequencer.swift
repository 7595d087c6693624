internal import LinkSessionRepository
internal import Logging
internal import Metrics
internal import ServiceLifecycle

/// Gives events their positions in the feed soon after they are committed, and sessions whose time is over their ends. Of
/// several replicas one does it at a time.
struct EventSequencer: Service {
    private static let interval = Duration.milliseconds(100)
    /// How often sessions of all ages are looked at.
    private static let wholeInterval = Duration.seconds(60)

    let repository: EventFeedRepository
    let watcher: EventFeedWatcher
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            let counters = Dictionary(
                uniqueKeysWithValues: FeedAdvance.events.map {
                    ($0, Counter(label: "link_session_events_total", dimensions: [("event", $0)]))
                })
            var wholeIsDue = ContinuousClock.now
            while !Task.isCancelled {
                let now = ContinuousClock.now
                do {
                    let step = try await repository.advance(whole: now >= wholeIsDue, until: now + .seconds(5))
                    let counts = step?.counts ?? []
                    for (event, count) in counts { counters[event]?.increment(by: count) }
                    // On a cluster they can be read a step later, which says that it is not done.
                    if step?.isDone == false || counts.contains(where: { $0.count > 0 }) { watcher.hint() }
                    if now >= wholeIsDue { wholeIsDue = now + Self.wholeInterval }
                    // More waits.
                    if step?.isDone == false { continue }
                } catch {
                    // The cause alone holds no values.
                    if !Task.isCancelled { logger.warning("events not sequenced", metadata: ["cause": "\(error)"]) }
                    try? await Task.sleep(for: .milliseconds(900))
                }
                try? await Task.sleep(for: Self.interval)
            }
        }
    }
}
