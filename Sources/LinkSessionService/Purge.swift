// Deletes what is older than RETENTION_DAYS: once an hour beside serving, and once on command.

internal import ArgumentParser
internal import LinkSessionRepository
internal import Logging
internal import PostgresClient
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
    private var nextBlock: Int64? = 0

    init(days: Int, repository: RetentionRepository) {
        self.days = days
        self.repository = repository
    }

    enum Step { case more, finished, othersAtWork }

    /// Deletes one piece, and rests where there is another.
    mutating func step() async throws -> Step {
        guard let block = nextBlock else { return .finished }
        let start = ContinuousClock.now
        let purged = try await repository.purge(olderThan: days, from: block, until: start + Self.pieceTime)
        guard let purged else { return .othersAtWork }
        deleted += purged.deleted
        nextBlock = purged.nextBlock
        guard nextBlock != nil else { return .finished }
        try await Task.sleep(for: max((ContinuousClock.now - start) * Self.restFactor, Self.shortestRest))
        return .more
    }
}

/// A pass an hour, the first at the start. Of several replicas one does the work: one that meets another gives up
/// until the next hour.
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
            while try await pass.step() == .more {}
        } catch {
            // The type and the cause alone hold no values; the next pass begins anew.
            if !Task.isCancelled { logger.warning("old link sessions not deleted", metadata: ["cause": "\(error)"]) }
        }
        if pass.deleted > 0 {
            logger.notice("old link sessions deleted", metadata: ["sessions": .stringConvertible(pass.deleted)])
        }
    }
}

struct Purge: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Deletes the link sessions that are older than RETENTION_DAYS, once.",
        discussion: """
            What serve does once an hour, for cron: small pieces with rests between them, so that creates hardly \
            notice. Prints how many were deleted. Leaves the work to another one that it meets. Ends with 1 where the database went out of reach; what was deleted \
            until then stays deleted.
            """)

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        try await reportingFailures {
            let settings = try await Settings(options.values)
            let (days, address) = (try settings.retentionDays, try settings.database)
            // Says at once what is wrong with a database that cannot be reached, or lacks the function.
            let schema = try MigrationHistory.all(Array(try settings.migrationDirectories.prefix(1)))[0]
            try requireUpToDate(try await Migrator(address: address, histories: [schema]).status())
            let database = try DatabaseClient(
                address: address, applicationName: "link-session-service purge", connections: 1, waitingLimit: 1,
                logger: Logger(label: "purge", factory: quiet))
            let connection = Task { try await database.run() }
            defer { connection.cancel() }
            var pass = RetentionPass(days: days, repository: RetentionRepository(database: database))
            do {
                var step = RetentionPass.Step.more
                while step == .more { step = try await pass.step() }
                if step == .othersAtWork {
                    printToStandardError("link-session-service: another one is deleting already")
                }
            } catch let error as RepositoryError {
                throw fail("\(pass.deleted) deleted, then the database gave no answer: \(error)")
            }
            printAnswer("\(pass.deleted) deleted")
        }
    }
}
