// The migrations directories as histories, and whether a database is up to date with them.

internal import LinkSessionRepository
internal import LinkSessions
internal import PostgresClient
internal import TokenGenerator

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
                    name: name, role: index == 0 ? nil : DatabaseRole.operator.rawValue, directory: directory
                ) { try SHA256.digest(of: $0).bytes })
        }
        return histories
    }
}
