internal import LinkSessionRepository
internal import Logging
internal import ServiceLifecycle

/// Gives events their positions in the feed soon after they are committed, and sessions whose time is over their ends. Of
/// several replicas one does it at a time.
struct EventSequencer: Service {
    private static let interval = Duration.milliseconds(100)
    /// How often sessions of all ages are looked at.
    private static let wholeInterval = Duration.seconds(60)

    let repository: EventFeedRepository
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var wholeIsDue = ContinuousClock.now
            while !Task.isCancelled {
                let now = ContinuousClock.now
                do {
                    let isDone = try await repository.advance(whole: now >= wholeIsDue, until: now + .seconds(5))
                    if now >= wholeIsDue { wholeIsDue = now + Self.wholeInterval }
                    // More waits.
                    if isDone == false { continue }
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
