internal import ArgumentParser
internal import LinkSessionRepository
internal import LinkSessions
internal import PostgresClient
internal import TokenGenerator

/// A command that writes a change as a migration, and prints the file's path.
protocol ChangeCommand: Command {
    var migration: ChangeOptions { get }

    func change() throws -> AdminChange

    /// Called before a change is applied at once; what it throws keeps it from being written.
    func check(_ settings: Settings) async throws
}

extension ChangeCommand {
    func perform() async throws {
        let (change, settings) = (try change(), try await Settings(migration))
        if migration.apply { try await check(settings) }
        print(try await migration.write(change, settings))
    }

    func check(_: Settings) async throws {}
}

struct ChangeOptions: ParsableArguments {
    @Flag(help: "Apply the migration at once, and end when every replica knows of it.") var apply = false
    @Option(\.migrationDirectories) var migrationDirectories: OptionValue?

    /// For a change that brings a new key: it is all that goes to standard output.
    func write(withNewKey change: (SHA256Digest) throws -> AdminChange) async throws {
        let settings = try await Settings(self)
        let environment = settings.keyEnvironment
        guard let key = try? TokenGenerator().makeAPIKey(for: environment),
            let digest = try? SHA256.digest(of: key.characters)
        else { throw CommandError("the system has no randomness for a key") }
        try await write(
            try change(digest), settings, printing: key.characters, named: "key",
            "a key for \(environment) environments")
    }

    /// For a change that brings a secret: it is all that goes to standard output.
    ///
    /// - Parameter what: is said to the operator, beside the file's path.
    func write(
        _ change: AdminChange, _ settings: Settings, printing secret: String, named name: String, _ what: String
    ) async throws {
        // What is in force and was not printed would be lost.
        let path = try await write(change, settings) { () throws(MigrationError) in
            guard printSecret(secret) else { throw MigrationError("cannot print the \(name)") }
        }
        printToStandardError("link-session-service: \(path), with \(what)")
    }

    /// - Returns: the file's path.
    fileprivate func write(
        _ change: AdminChange, _ settings: Settings, beforeCommit: @escaping MigrationWriter.BeforeCommit = {}
    ) async throws -> String {
        let (directories, database) = (try settings.migrationDirectories, apply ? try settings.operatorAddress : nil)
        guard directories.count >= 2, let last = directories.last else {
            throw CommandError.setting(
                "MIGRATIONS_DIRECTORIES",
                expects:
                    "the deployment's own directory after the product's, such as migrations,deployments/production")
        }
        let path = try await MigrationWriter(directories: directories, path: last, database: database)
            .write(change, beforeCommit: beforeCommit)
        // A second after the commit every replica knows of it: what the command promised is so when it ends.
        if apply { try? await Task.sleep(for: .seconds(1)) }
        return path
    }
}
