// What tests of migrations share: a directory of files, and a run of the migrator.

import Foundation
import PostgresClient
import Synchronization
import TestSupport

/// A directory of migrations.
struct MigrationDirectory: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appending(path: "migrations-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    func write(_ name: String, _ sql: String) throws { try write(name, Array(sql.utf8)) }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        try Data(bytes).write(to: URL(filePath: path + "/" + name))
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: path + "/" + name) }

    func delete() { try? FileManager.default.removeItem(atPath: path) }

    /// The digest is the text itself: what is tested here is that it is kept and compared.
    func history(_ name: String = "one", rights: MigrationRights = .owner) throws -> MigrationHistory {
        try MigrationHistory(name: name, rights: rights, directory: path) { $0 }
    }
}

func withDirectory(_ body: (MigrationDirectory, TestDatabase) async throws -> Void) async throws {
    let directory = try MigrationDirectory()
    defer { directory.delete() }
    try await TestDatabase.withEmpty { try await body(directory, $0) }
}

func migrate(
    _ database: TestDatabase, _ histories: [MigrationHistory]
) async -> (result: Result<Int, any Error>, lines: [String]) {
    let lines = Mutex<[String]>([])
    let result: Result<Int, any Error>
    do {
        let migrator = Migrator(
            address: try database.address,
            operatorAddress: try DatabaseAddress(connectionString: database.operatorURL), histories: histories)
        result = .success(try await migrator.migrate { line in lines.withLock { $0.append(line) } })
    } catch {
        result = .failure(error)
    }
    return (result, lines.withLock { $0 })
}

extension Result {
    var failure: [String]? {
        if case .failure(let error) = self { (error as? MigrationError)?.lines ?? ["\(error)"] } else { nil }
    }
}

extension TestDatabase {
    func has(_ table: String) async throws -> Bool {
        try await count("SELECT count(*) FROM pg_tables WHERE tablename = '\(table)' AND schemaname = 'public'") == 1
    }
}
