internal import Foundation
internal import LinkSessionRepository
internal import PostgresClient

/// Writes an operator's change as a migration, and applies it where that is asked for.
///
/// One change at a time in a directory: it is locked from the look at what is there until the new file is applied or
/// taken back.
struct MigrationWriter {
    /// Called when nothing but the commit, or without a database nothing at all, is left to be done. What it throws
    /// takes everything back.
    typealias BeforeCommit = @Sendable () throws(MigrationError) -> Void

    let directories: [String]
    /// The last of them, the deployment's own.
    let path: String
    /// Where the change is applied; `nil`: it is only written.
    let database: DatabaseAddress?

    /// - Returns: the new file's path.
    func write(_ change: AdminChange, beforeCommit: @escaping BeforeCommit = {}) async throws -> String {
        let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw CommandError.system("cannot open the directory \(path)") }
        // Not before all is done is it another command's turn.
        defer { close(directory) }
        try await waitForTurn(in: directory)
        // A file that cannot be applied must not get company.
        let histories = try MigrationHistory.all(directories)
        if let database { try await requireNothingElse(histories, in: database) }
        let name = try nextNumber() + "_\(change.name).sql"
        try write(
            change.migration(author: operatingSystemUser, date: String(Date.now.ISO8601Format().prefix(10))), as: name,
            in: directory)
        let withNew: [MigrationHistory]
        do {
            withNew = try MigrationHistory.all(directories)
        } catch {
            unlinkat(directory, name, 0)
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
                unlinkat(directory, name, 0)
                throw MigrationError(lines: error.lines.map { "\($0); nothing was changed" })
            }
        }
        return "\(path)/\(name)"
    }

    /// Waits among this and other processes, at most a minute; the turn ends when the descriptor is closed.
    private func waitForTurn(in directory: CInt) async throws(CommandError) {
        for _ in 0..<1200 {
            if flock(directory, LOCK_EX | LOCK_NB) == 0 { return }
            guard errno == EWOULDBLOCK || errno == EINTR else { throw .system("cannot lock the directory \(path)") }
            try? await Task.sleep(for: .milliseconds(50))
        }
        throw CommandError("\(path) has been in use by another admin command for a minute")
    }

    /// Writes a new file in one step: it is there whole or not at all.
    private func write(_ text: String, as name: String, in directory: CInt) throws(CommandError) {
        // Not a name that a migration has: what a crash leaves behind is no migration.
        let draft = ".\(name).draft"
        unlinkat(directory, draft, 0)
        let file = openat(directory, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw .system("cannot write \(path)/\(name)") }
        defer {
            close(file)
            unlinkat(directory, draft, 0)
        }
        guard writeAll(Array(text.utf8), to: file), fsync(file) == 0,
            linkat(directory, draft, directory, name, 0) == 0
        else { throw .system("cannot write \(path)/\(name)") }
        fsync(directory)
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
