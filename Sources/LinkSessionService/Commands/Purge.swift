internal import ArgumentParser
internal import LinkSessionRepository
internal import Logging
internal import PostgresClient

struct Purge: Command {
    static let configuration = CommandConfiguration(
        abstract: "Delete the days of link sessions that are older than RETENTION_DAYS, once.",
        discussion: """
            What serve does every five minutes, for cron: drops the partitions of days that are over for so long, and \
            makes those of the days to come. Prints how many sessions were deleted. Leaves the work to another one \
            that it meets. Ends with 1 where the database went out of reach; what was deleted until then stays deleted.
            """)

    @OptionGroup var options: ServiceOptions

    func perform() async throws {
        let settings = try await Settings(options)
        let (days, address) = (try settings.retentionDays, try settings.database)
        // Says at once what is wrong with a database that cannot be reached, or lacks the function.
        let schema = try MigrationHistory.schema(of: try settings.migrationDirectories)
        try requireUpToDate(try await Migrator(address: address, histories: [schema]).status())
        let database = try DatabaseClient(
            address: address, applicationName: "link-session-service purge", connections: 1, waitingLimit: 1,
            logger: Logger(label: "purge", factory: SwiftLogNoOpLogHandler.init))
        let connection = Task { try await database.run() }
        defer { connection.cancel() }
        var pass = RetentionPass(days: days, repository: RetentionRepository(database: database))
        do {
            if try await !pass.run() { printToStandardError("link-session-service: another one is deleting already") }
        } catch let error as RepositoryError {
            throw CommandError("\(pass.deleted) deleted, then the database gave no answer: \(error)")
        }
        print("\(pass.deleted) deleted")
    }
}
