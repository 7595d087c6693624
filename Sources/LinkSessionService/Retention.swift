internal import Foundation
internal import LinkSessionRepository
internal import Logging
internal import Metrics
internal import ServiceLifecycle

/// Makes the partitions of the days to come, and drops those that are older than RETENTION_DAYS, a day at a time.
struct RetentionPass {
    private static let stepTime = Duration.seconds(10)
    /// Between two steps, for those who waited for the first one's locks.
    private static let rest = Duration.milliseconds(50)

    let days: Int
    let repository: RetentionRepository
    private(set) var deleted: Int64 = 0

    init(days: Int, repository: RetentionRepository) {
        self.days = days
        self.repository = repository
    }

    /// - Returns: false where it gave up because somebody else is at work.
    mutating func run() async throws -> Bool {
        while let step = try await repository.step(keeping: days, until: .now + Self.stepTime) {
            deleted += step.deleted
            if step.isLast { return true }
            try await Task.sleep(for: Self.rest)
        }
        return false
    }
}

/// A pass every five minutes, the first at the start. Of several replicas one does the work: one that meets another
/// gives up until the next pass.
struct Retention: Service {
    private static let interval = Duration.seconds(300)
    /// After a pass that was cut short, such as by a lock that it does not wait for.
    private static let retryInterval = Duration.seconds(5)

    let days: Int
    let repository: RetentionRepository
    let logger: Logger
    private let lastSuccess = Gauge(label: "link_session_retention_last_success_timestamp_seconds")

    init(days: Int, repository: RetentionRepository, logger: Logger) {
        self.days = days
        self.repository = repository
        self.logger = logger
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                let isWhole = await pass()
                try? await Task.sleep(for: isWhole ? Self.interval : Self.retryInterval)
            }
        }
    }

    /// - Returns: whether nothing was left to do.
    private func pass() async -> Bool {
        var isWhole = true
        var pass = RetentionPass(days: days, repository: repository)
        do {
            if try await pass.run() { lastSuccess.record(Date.now.timeIntervalSince1970) }
        } catch {
            isWhole = false
            // The type and the cause alone hold no values; the next pass begins anew.
            if !Task.isCancelled { logger.warning("partitions not maintained", metadata: ["cause": "\(error)"]) }
        }
        if pass.deleted > 0 {
            logger.notice("old link sessions deleted", metadata: ["sessions": .stringConvertible(pass.deleted)])
        }
        return isWhole
    }
}
