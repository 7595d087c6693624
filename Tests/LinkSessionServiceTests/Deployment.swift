// A deployment as its operator has it, for tests of the admin commands.

import Foundation
import TestSupport
import Testing

/// A database with the product's schema, and a directory for the deployment's own migrations.
struct Deployment: Sendable {
    /// The body of a create.
    static let create = #"{"user_id":"zq7user-1","redirect_url":"https://your-app.com/callback"}"#

    let database: TestDatabase
    let path: String

    static func with(_ body: (Deployment) async throws -> Void) async throws {
        try await TestDatabase.with { database in
            try await withTemporaryDirectory { directory in
                try await body(Deployment(database: database, path: directory.path))
            }
        }
    }

    /// With a manufacturer `Acme`, added by the command, and its key, labelled `production`.
    static func withAcme(_ body: (Deployment, String) async throws -> Void) async throws {
        try await with { deployment in
            let added = try await deployment.admin(
                "add-manufacturer", "--name", "Acme", "--redirect-url", "https://your-app.com/callback")
            #expect(added.status == 0, "\(added.summary)")
            let key = try await deployment.key("add-key", "Acme", "--label", "production")
            let migrated = try await deployment.migrate()
            try #require(migrated.status == 0, "\(migrated.summary)")
            try await body(deployment, key)
        }
    }

    func admin(_ arguments: String..., environment: [String: String] = [:], input: String = "") async throws -> Command
    {
        try await admin(arguments, environment: environment, input: input)
    }

    func admin(
        _ arguments: [String], environment: [String: String] = [:], input: String = ""
    ) async throws -> Command {
        try await run(["admin"] + arguments, environment, input)
    }

    var environment: [String: String] {
        [
            "DATABASE_URL": database.url, "OPERATOR_DATABASE_URL": database.operatorURL,
            "MIGRATIONS_DIRECTORIES": "migrations,\(path)",
        ]
    }

    func migrate() async throws -> Command { try await run(["migrate"], [:], "") }

    private func run(_ arguments: [String], _ environment: [String: String], _ input: String) async throws -> Command {
        try await Command.run(
            arguments,
            environment: self.environment.merging(environment) { $1 },
            input: input, within: 30)
    }

    /// The key that a command prints, alone on standard output.
    func key(_ arguments: String..., environment: [String: String] = [:]) async throws -> String {
        let run = try await admin(arguments, environment: environment)
        #expect(run.status == 0, "\(run.summary)")
        #expect(run.errors.hasPrefix("link-session-service: \(path)/") && run.errorLines.count == 1, "\(run.summary)")
        let lines = run.output.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == 2 && lines[1].isEmpty, "\(run.summary)")
        return String(lines[0])
    }

    /// One line that holds the sentence, exit code 1, and no file.
    func expectRefusal(
        _ arguments: [String], _ sentence: String, input: String = "", sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let before = try files()
        let run = try await admin(arguments, input: input)
        #expect(
            run.status == 1 && run.output.isEmpty && run.errorLines.count == 1, "\(arguments): \(run.summary)",
            sourceLocation: sourceLocation)
        #expect(run.errors.contains(sentence), "\(arguments): \(run.summary)", sourceLocation: sourceLocation)
        #expect(try files() == before, "\(arguments) left a file", sourceLocation: sourceLocation)
    }

    /// The text of every file, drafts included, by its name.
    func files() throws -> [String: String] {
        let names = try FileManager.default.contentsOfDirectory(atPath: path)
        return try Dictionary(
            uniqueKeysWithValues: names.map { ($0, try String(contentsOfFile: path + "/" + $0, encoding: .utf8)) })
    }

    /// What `pg_dump` makes of the database.
    func dump() async throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: try TestEnvironment.postgresBinaries + "/pg_dump")
        process.arguments = ["--dbname", database.url]
        let output = FileManager.default.temporaryDirectory.appending(path: "dump-\(UUID().uuidString)")
        try Data().write(to: output)
        defer { try? FileManager.default.removeItem(at: output) }
        process.standardOutput = try FileHandle(forWritingTo: output)
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return try String(contentsOf: output, encoding: .utf8)
    }
}
