// Writes an operator's change as a migration, and applies it where that is asked for.

internal import Foundation
internal import LinkSessionRepository
internal import PostgresClient

/// One change at a time in a directory: it is locked from the look at what is there until the new file is applied or
/// taken back.
struct MigrationWriter {
    /// Called when nothing but the commit, or without a database nothing at all, is left to be done. What it throws
    /// takes everything back.
    typealias BeforeCommit = @Sendable () throws(MigrationError) -> Void

    private let directories: [String]
    /// The deployment's own.
    private let path: String
    /// Where the change is applied; `nil`: it is only written.
    private let database: DatabaseAddress?

    init(directories: [String], appliesTo database: DatabaseAddress?) throws(CommandError) {
        guard directories.count >= 2, let path = directories.last else {
            throw .setting(
                "MIGRATIONS_DIRECTORIES",
                expects:
                    "the deployment's own directory after the product's, such as migrations,deployments/production")
        }
        self.directories = directories
        self.path = path
        self.database = database
    }

    /// - Returns: the new file's path.
    func write(_ change: AdminChange, beforeCommit: @escaping BeforeCommit = {}) async throws -> String {
        let directory = try await LockedDirectory.lock(path)
        // A file that cannot be applied must not get company.
        let histories = try MigrationHistory.all(directories)
        if let database { try await requireNothingElse(histories, in: database) }
        let name = try nextNumber() + "_\(change.name).sql"
        try directory.write(
            change.migration(author: userName(), date: String(timestampNow().prefix(10))), as: name)
        let withNew: [MigrationHistory]
        do {
            withNew = try MigrationHistory.all(directories)
        } catch {
            directory.remove(name)
            throw error
        }
        do throws(MigrationError) {
            if let database {
                let migrator = Migrator(address: database, histories: withNew)
                _ = try await migrator.migrate(willCommit: beforeCommit) { _ in }
            } else {
                try beforeCommit()
            }
        } catch {
            if try await !isApplied(name, withNew, after: error) {
                // It would stand in the way of all later ones.
                directory.remove(name)
                throw MigrationError(lines: error.lines.map { "\($0); nothing was changed" })
            }
        }
        // Not before now is it another command's turn.
        _ = consume directory
        return "\(path)/\(name)"
    }

    /// What is pending already is applied knowingly, or not at all; what the database has is here, too.
    private func requireNothingElse(
        _ histories: [MigrationHistory], in database: DatabaseAddress
    ) async throws(MigrationError) {
        let statuses = try await Migrator(address: database, histories: histories).status()
        try requireUpToDate(statuses)
        if let name = statuses.last?.ahead.last {
            throw MigrationError("the database has the migration \(name), which \(path) lacks: get it first")
        }
    }

    private func nextNumber() throws(CommandError) -> String {
        guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
            throw .system("cannot read the directory \(path)")
        }
        let last = names.compactMap { $0.hasSuffix(".sql") ? Int($0.prefix(4)) : nil }.max() ?? 0
        guard last < 9999 else {
            throw CommandError("\(path) is full: 9999 is the last number; begin another directory")
        }
        return String(String(10_000 + last + 1).dropFirst())
    }

    /// Whether the migration is applied although applying it failed: a commit may have been under way when the
    /// connection was lost.
    private func isApplied(
        _ name: String, _ histories: [MigrationHistory], after failure: MigrationError
    ) async throws(MigrationError) -> Bool {
        guard let database else { return false }
        // The migrator's lock tells when the commit is decided.
        guard let status = try? await Migrator(address: database, histories: histories).status(whenIdle: true).last
        else {
            throw MigrationError(
                lines: failure.lines + ["whether \(path)/\(name) is applied is not known: see migrate --status"])
        }
        return status.applied.contains(name)
    }
}
