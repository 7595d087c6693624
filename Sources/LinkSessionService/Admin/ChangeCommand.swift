internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions
internal import PostgresClient
internal import TokenGenerator

/// A command that writes a change as a migration, and prints the file's path.
protocol ChangeCommand: Command {
    var migration: ChangeOptions { get }

    func change() throws -> AdminChange
}

extension ChangeCommand {
    func perform() async throws {
        print(try await migration.write(try change(), try await Settings(migration.migrations)))
    }
}

struct ChangeOptions: ParsableArguments {
    @Flag(help: "Apply the migration at once, and end when every replica knows of it.") var apply = false
    @OptionGroup var migrations: MigrationOptions

    /// For a change that brings a new key: it is all that goes to standard output.
    func write(withNewKey change: (SHA256Digest) throws -> AdminChange) async throws {
        let settings = try await Settings(migrations)
        let environment = settings.keyEnvironment
        guard let key = try? TokenGenerator().makeAPIKey(for: environment),
            let digest = try? SHA256.digest(of: key.characters)
        else { throw CommandError("the system has no randomness for a key") }
        // A key that is in force and was not printed would be lost.
        let path = try await write(try change(digest), settings) { () throws(MigrationError) in
            guard printSecret(key.characters) else { throw MigrationError("cannot print the key") }
        }
        printToStandardError("link-session-service: \(path), with a key for \(environment) environments")
    }

    /// - Returns: the file's path.
    fileprivate func write(
        _ change: AdminChange, _ settings: Settings, beforeCommit: @escaping MigrationWriter.BeforeCommit = {}
    ) async throws -> String {
        let writer = try MigrationWriter(
            directories: try settings.migrationDirectories, appliesTo: apply ? try settings.database : nil)
        let path = try await writer.write(change, beforeCommit: beforeCommit)
        // A second after the commit every replica knows of it: what the command promised is so when it ends.
        if apply { try? await Task.sleep(for: .seconds(1)) }
        return path
    }
}
