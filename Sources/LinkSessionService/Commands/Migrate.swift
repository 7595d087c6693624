// link-session-service migrate

internal import ArgumentParser
internal import PostgresClient

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring the database up to date with the migrations directories.",
        discussion: """
            Files are applied in order, one transaction each; a ledger keeps their checksums. Edited, missing and \
            out-of-order files are refused, and named. Two at once take turns. Migrations that a later build applied \
            are listed as ahead and left alone.
            """)

    @Flag(help: "List applied, pending and ahead migrations; change nothing.") var status = false
    @Flag(help: "Exit 1 when anything is pending, edited, missing or out of order; change nothing.") var check = false
    @OptionGroup var migrations: MigrationOptions

    func run() async throws {
        try await reportingFailures {
            let settings = try await Settings(migrations.values)
            let migrator = Migrator(
                address: try settings.read(\.database),
                histories: try MigrationHistory.all(try settings.read(\.migrationDirectories)))
            guard status || check else {
                let count = try await migrator.migrate { printToStandardOutput($0) }
                printToStandardOutput(count == 0 ? "nothing to apply" : "\(count) applied")
                return
            }
            let statuses = try await migrator.status()
            for status in statuses {
                for name in status.applied { printToStandardOutput("applied  \(status.history)/\(name)") }
                for name in status.pending { printToStandardOutput("pending  \(status.history)/\(name)") }
                for name in status.ahead { printToStandardOutput("ahead    \(status.history)/\(name)") }
            }
            let problems = statuses.flatMap(\.problems)
            if !problems.isEmpty { throw MigrationError(lines: problems) }
            if check, !statuses.allSatisfy(\.isUpToDate) { throw ExitCode(1) }
        }
    }
}
