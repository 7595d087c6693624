internal import LinkSessionRepository
internal import Logging
internal import ServiceLifecycle

/// Walks the table of link sessions from its first page to its last, a piece at a time.
///
/// After each piece it rests for 31 times as long as the piece took, so that it takes a thirty-second of one database
/// process's time, whatever the machine is.
struct RetentionPass {
    private static let restFactor = 31
    private static let shortestRest = Duration.milliseconds(5)
    private static let pieceTime = Duration.seconds(2)

    let days: Int
    let repository: RetentionRepository
    private(set) var deleted: Int64 = 0

    /// - Returns: false where it gave up because somebody else is deleting.
    mutating func run() async throws -> Bool {
        var next: Int64? = 0
        while let block = next {
            let start = ContinuousClock.now
            let purged = try await repository.purge(olderThan: days, from: block, until: start + Self.pieceTime)
            guard let purged else { return false }
            deleted += purged.deleted
            next = purged.nextBlock
            guard next != nil else { break }
            try await Task.sleep(for: max((ContinuousClock.now - start) * Self.restFactor, Self.shortestRest))
        }
        return true
    }
}

/// A pass an hour beside serving, the first at the start. Of several replicas one does the work: one that meets another
/// gives up until the next hour.
struct Retention: Service {
    private static let interval = Duration.seconds(3600)

    let days: Int
    let repository: RetentionRepository
    let logger: Logger

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await pass()
                try? await Task.sleep(for: Self.interval)
            }
        }
    }

    private func pass() async {
        var pass = RetentionPass(days: days, repository: repository)
        do {
            _ = try await pass.run()
        } catch {
            // The type and the cause alone hold no values; the next pass begins anew.
            if !Task.isCancelled { logger.warning("old link sessions not deleted", metadata: ["cause": "\(error)"]) }
        }
        if pass.deleted > 0 {
            logger.notice("old link sessions deleted", metadata: ["sessions": .stringConvertible(pass.deleted)])
        }
    }
}
