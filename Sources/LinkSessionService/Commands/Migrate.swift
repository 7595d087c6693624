internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions
internal import PostgresClient
internal import TokenGenerator

struct Migrate: Command {
    static let configuration = CommandConfiguration(
        abstract: "Bring the database up to date with the migrations directories.",
        discussion: """
            Files are applied in order, one transaction each; a ledger keeps their checksums. Edited, missing and \
            out-of-order files are refused, and named. Two at once take turns. Migrations that a later build applied \
            are listed as ahead and left alone. DATABASE_URL applies the first directory, OPERATOR_DATABASE_URL the \
            others.
            """)

    @Flag(help: "List applied, pending and ahead migrations; change nothing.") var status = false
    @Flag(help: "Exit 1 when anything is pending, edited, missing or out of order; change nothing.") var check = false
    @Option(\.migrationDirectories) var migrationDirectories: OptionValue?

    func perform() async throws {
        let settings = try await Settings(self)
        let migrator = Migrator(
            address: try settings.database, operatorAddress: try settings.operatorAddress,
            histories: try MigrationHistory.all(try settings.migrationDirectories))
        guard status || check else {
            let count = try await migrator.migrate { print($0) }
            return print(count == 0 ? "nothing to apply" : "\(count) applied")
        }
        let statuses = try await migrator.status()
        for status in statuses {
            for name in status.applied { print("applied  \(status.history)/\(name)") }
            for name in status.pending { print("pending  \(status.history)/\(name)") }
            for name in status.ahead { print("ahead    \(status.history)/\(name)") }
        }
        let problems = statuses.flatMap(\.problems)
        if !problems.isEmpty { throw MigrationError(lines: problems) }
        if check, !statuses.allSatisfy(\.isUpToDate) { throw ExitCode(1) }
    }
}

/// Throws where a history is behind, edited or out of order.
func requireUpToDate(_ statuses: [MigrationStatus]) throws(MigrationError) {
    let lines = statuses.flatMap { status in
        status.problems.isEmpty
            ? status.pending.map {
                "the database lacks the migration \(status.history)/\($0): run link-session-service migrate"
            } : status.problems
    }
    if !lines.isEmpty { throw MigrationError(lines: lines) }
}

extension MigrationHistory {
    /// The product's own, which the service needs.
    static func schema(of directories: [String]) throws(MigrationError) -> MigrationHistory {
        try all(Array(directories.prefix(1)))[0]
    }

    /// The first directory is the product's own schema; the others are a deployment's, known by their last part, whose
    /// migrations may change rows and no tables.
    static func all(_ directories: [String]) throws(MigrationError) -> [MigrationHistory] {
        var histories: [MigrationHistory] = []
        for (index, directory) in directories.enumerated() {
            let name = index == 0 ? "schema" : directory.split(separator: "/").last.map(String.init) ?? directory
            guard !histories.contains(where: { $0.name == name }) else {
                throw MigrationError("MIGRATIONS_DIRECTORIES names two directories for the history \(name)")
            }
            histories.append(
                try MigrationHistory(
                    name: name, rights: index == 0 ? .owner : .operator, directory: directory
                ) { try SHA256.digest(of: $0).bytes })
        }
        return histories
    }
}
