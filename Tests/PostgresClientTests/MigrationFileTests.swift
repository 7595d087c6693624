// Directories of migration files.

import Foundation
import Testing

@testable import PostgresClient

@Suite struct MigrationFileTests {
    @Test(arguments: [
        "1_a.sql", "001_a.sql", "00001_a.sql", "0001.sql", "0001-a.sql", "0001a.sql", "a.sql", "0000_a.sql",
        "-001_a.sql",
        "٠٠٠١_a.sql", " 0001_a.sql", ".sql",
    ])
    func `a name without a number of four digits is refused and named`(name: String) throws {
        let directory = try MigrationDirectory()
        defer { directory.delete() }
        try directory.write(name, "SELECT 1;")
        let failure = #expect(throws: MigrationError.self) { try directory.history() }
        #expect(failure?.lines.count == 1)
        #expect(failure?.lines.first?.hasSuffix("/\(name): expected a name like 0001_what_it_does.sql") == true)
    }

    @Test func `two files of one number are refused and named`() throws {
        let directory = try MigrationDirectory()
        defer { directory.delete() }
        for name in ["0001_a.sql", "0002_b.sql", "0002_c.sql"] { try directory.write(name, "SELECT 1;") }
        let failure = #expect(throws: MigrationError.self) { try directory.history() }
        #expect(failure?.lines.first?.hasSuffix(": 0002_b.sql and 0002_c.sql have the same number") == true)
    }

    @Test(arguments: [[0x53, 0xFF], [0xC3, 0x28], [0xED, 0xA0, 0x80], [0xC0, 0x80]] as [[UInt8]])
    func `a file that is not UTF-8 is refused and named`(bytes: [UInt8]) throws {
        let directory = try MigrationDirectory()
        defer { directory.delete() }
        try directory.write("0001_a.sql", bytes)
        let failure = #expect(throws: MigrationError.self) { try directory.history() }
        #expect(failure?.lines.first?.hasSuffix("/0001_a.sql: cannot be read as UTF-8 text") == true)
    }

    /// libpq would send what stands before it, and the rest would count as applied.
    @Test func `a file with a NUL is refused and named`() throws {
        let directory = try MigrationDirectory()
        defer { directory.delete() }
        try directory.write("0001_a.sql", "CREATE TABLE a ();\u{0}CREATE TABLE b ();")
        let failure = #expect(throws: MigrationError.self) { try directory.history() }
        #expect(failure?.lines.first?.contains("0001_a.sql") == true)
    }

    @Test func `a file that cannot be read is refused and named`() throws {
        let directory = try MigrationDirectory()
        defer { directory.delete() }
        try FileManager.default.createDirectory(
            atPath: directory.path + "/0001_a.sql", withIntermediateDirectories: false)
        let failure = #expect(throws: MigrationError.self) { try directory.history() }
        #expect(failure?.lines.first?.contains("0001_a.sql") == true)
    }

    @Test func `a directory that is not there is refused and named`() throws {
        let directory = try MigrationDirectory()
        directory.delete()
        let failure = #expect(throws: MigrationError.self) { try directory.history() }
        #expect(
            failure?.lines == ["MIGRATIONS_DIRECTORIES expects readable directories: cannot read \(directory.path)"])
    }

    @Test func `other files are left alone`() throws {
        let directory = try MigrationDirectory()
        defer { directory.delete() }
        for name in ["README.md", "0001_a.sql~", "0001_a.sql.bak", "0001_a.txt", "sql"] {
            try directory.write(name, "?")
        }
        #expect(try directory.history().migrations == [])
    }

    @Test func `a checkout with the line ends of Windows is the same migration`() throws {
        let (unix, windows) = (try MigrationDirectory(), try MigrationDirectory())
        defer {
            unix.delete()
            windows.delete()
        }
        try unix.write("0001_a.sql", "SELECT 1;\n-- two\n")
        try windows.write("0001_a.sql", "SELECT 1;\r\n-- two\r\n")
        let (first, second) = (try unix.history().migrations[0], try windows.history().migrations[0])
        #expect(first.checksum == second.checksum && first.sql == second.sql)
    }

    @Test func `versions, names and bytes are read`() throws {
        let directory = try MigrationDirectory()
        defer { directory.delete() }
        try directory.write("9999_z.sql", "SELECT 'é';")
        try directory.write("0008_y.sql", "")
        #expect(
            try directory.history().migrations == [
                Migration(version: 8, name: "0008_y.sql", sql: "", checksum: []),
                Migration(version: 9999, name: "9999_z.sql", sql: "SELECT 'é';", checksum: Array("SELECT 'é';".utf8)),
            ])
    }
}
