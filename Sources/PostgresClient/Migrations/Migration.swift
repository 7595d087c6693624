internal import Foundation

/// One forward step of a database: `0001_manufacturers.sql`.
package struct Migration: Sendable, Equatable {
    package let version: Int32
    /// The file's name.
    package let name: String
    package let sql: String
    package let checksum: [UInt8]
}

/// A directory of migrations. Each has a history of its own in a ledger and numbers on its own.
package struct MigrationHistory: Sendable {
    package let name: String
    package let rights: MigrationRights
    /// In ascending order of their versions.
    package let migrations: [Migration]

    /// Reads the files `NNNN_name.sql` of a directory.
    ///
    /// - Parameter checksum: a digest of the file's bytes, with line feeds at the lines' ends.
    /// - Throws: ``MigrationError`` where the directory or a file cannot be read, a file's name has no number,
    ///   or two have the same.
    package init(
        name: String, rights: MigrationRights = .owner, directory: String, checksum: ([UInt8]) throws -> [UInt8]
    ) throws(MigrationError) {
        guard let files = try? FileManager.default.contentsOfDirectory(atPath: directory) else {
            throw MigrationError("MIGRATIONS_DIRECTORIES expects readable directories: cannot read \(directory)")
        }
        var migrations: [Migration] = []
        for file in files.sorted() where file.hasSuffix(".sql") {
            let digits = file.prefix { $0.isASCII && $0.isNumber }
            guard digits.count == 4, let version = Int32(digits), version > 0, file.dropFirst(4).hasPrefix("_") else {
                throw MigrationError("\(directory)/\(file): expected a name like 0001_what_it_does.sql")
            }
            if let last = migrations.last, last.version == version {
                throw MigrationError("\(directory): \(last.name) and \(file) have the same number")
            }
            guard let data = FileManager.default.contents(atPath: directory + "/" + file),
                let text = String(validating: data, as: UTF8.self), !text.utf8.contains(0)
            else {
                throw MigrationError("\(directory)/\(file): cannot be read as UTF-8 text")
            }
            // As a checkout on Windows may have it: the same migration, and no edited one.
            let sql = text.replacing("\r\n", with: "\n")
            guard let digest = try? checksum(Array(sql.utf8))
            else {
                throw MigrationError("\(directory)/\(file): cannot be read as UTF-8 text")
            }
            migrations.append(Migration(version: version, name: file, sql: sql, checksum: digest))
        }
        self.name = name
        self.rights = rights
        self.migrations = migrations
    }
}

/// Whose rights a history's migrations run with. Each has a ledger of its own, written in the migration's transaction:
/// whoever may not write the one cannot pretend that its migrations were applied.
package enum MigrationRights: Sendable {
    /// The product's own: they make the tables.
    case owner
    /// A deployment's: they change rows.
    case `operator`

    var ledger: Ledger { self == .owner ? .schema : .deployment }
}

/// A table of applied migrations.
struct Ledger {
    static let schema = Ledger(table: "schema_migrations")
    static let deployment = Ledger(table: "deployment_migrations")

    let table: String
    let entries: Query<[LedgerEntry]>
    let record: Query<Void>

    private init(table: String) {
        self.table = table
        entries = Query(
            "entries_of_\(table)",
            "SELECT version, name, checksum FROM \(table) WHERE history = $1::text ORDER BY version",
            readEach: { (row) throws(DatabaseError) in
                LedgerEntry(version: try row.int32(), name: try row.text(), checksum: try row.blob())
            })
        record = Query(
            "record_in_\(table)",
            """
            INSERT INTO \(table) (history, version, name, checksum)
            VALUES ($1::text, $2::bigint::integer, $3::text, $4::bytea)
            """)
    }

    /// Makes the table where it is missing.
    var creation: String {
        """
        DO $$ BEGIN
            IF to_regclass('\(table)') IS NULL THEN
                CREATE TABLE \(table) (
                    history    text NOT NULL,
                    version    integer NOT NULL,
                    name       text NOT NULL,
                    checksum   bytea NOT NULL,
                    applied_at timestamptz NOT NULL DEFAULT now(),
                    CONSTRAINT \(table)_pkey PRIMARY KEY (history, version)
                );
            END IF;
        END $$;
        """
    }
}

/// What a ledger holds of one applied migration.
struct LedgerEntry {
    let version: Int32
    let name: String
    let checksum: [UInt8]
}

extension Migration {
    /// Of the statement that records it.
    func record(in history: MigrationHistory) -> [Parameter] {
        [.text(history.name), .number(Int64(version)), .text(name), .blob(checksum)]
    }
}

/// A history compared with its ledger.
package struct MigrationStatus: Sendable, Equatable {
    package let history: String
    package private(set) var applied: [String] = []
    package private(set) var pending: [String] = []
    /// Applied by a later build than this one: no reason to worry.
    package private(set) var ahead: [String] = []
    /// Sentences about files that were edited, are missing, or came too late for their number.
    package private(set) var problems: [String] = []

    init(of history: MigrationHistory, ledger: [LedgerEntry]) {
        self.history = history.name
        let newestFile = history.migrations.last?.version ?? 0
        let newestApplied = ledger.map(\.version).max() ?? 0
        let files = Dictionary(uniqueKeysWithValues: history.migrations.map { ($0.version, $0) })
        for entry in ledger {
            if let file = files[entry.version] {
                if file.name != entry.name {
                    problems.append(
                        "\(history.name)/\(entry.name) was applied, and \(file.name) has its number: get the applied file, and number yours after it"
                    )
                    continue
                }
                applied.append(file.name)
                if file.checksum != entry.checksum {
                    problems.append(
                        "\(history.name)/\(file.name) was edited after it was applied: restore it, and put the change into a new migration"
                    )
                }
            } else if entry.version > newestFile {
                ahead.append(entry.name)
            } else {
                problems.append("\(history.name)/\(entry.name) was applied and its file is missing")
            }
        }
        for file in history.migrations where !ledger.contains(where: { $0.version == file.version }) {
            pending.append(file.name)
            if file.version < newestApplied {
                problems.append(
                    "\(history.name)/\(file.name) is out of order: number \(newestApplied) is applied already")
            }
        }
    }

    /// Whether a build that carries this history can work with the database.
    package var isUpToDate: Bool { pending.isEmpty && problems.isEmpty }
}

/// What an operator has to know, a line each.
package struct MigrationError: Error, Sendable, Equatable {
    package let lines: [String]

    package init(_ lines: String...) { self.lines = lines }
    package init(lines: [String]) { self.lines = lines }
}
