// Repositories on a database of their own, and sessions to store in them.

import LinkSessionRepository
import LinkSessions
import PostgresClient
import TestSupport
import TokenGenerator

/// A migrated database with the manufacturers of the fixtures, and the repositories on it.
struct Storage {
    let database: TestDatabase
    let client: DatabaseClient
    let acme: Manufacturer
    let beta: Manufacturer

    var suppliers: SupplierRepository { SupplierRepository(database: client, hasSandbox: true) }
    var sessions: LinkSessionRepository { LinkSessionRepository(database: client, suppliers: suppliers) }
    var signIns: SignInRepository { SignInRepository(database: client) }
    var keys: APIKeyRepository { APIKeyRepository(database: client) }

    static func with(connections: Int = 4, _ body: (Storage) async throws -> Void) async throws {
        try await TestDatabase.with { database in
            try await database.addManufacturers()
            let acme = Int64(try await database.count("SELECT id FROM manufacturers WHERE name = 'Acme Manufacturing'"))
            let beta = Int64(try await database.count("SELECT id FROM manufacturers WHERE name = 'Beta Devices'"))
            try await DatabaseClient.running(on: database.address, connections: connections) { client in
                try await body(
                    Storage(
                        database: database, client: client,
                        acme: Manufacturer(
                            id: .init(acme), name: "Acme Manufacturing", brand: Brand(stored: "acme manufacturing")),
                        beta: Manufacturer(id: .init(beta), name: "Beta Devices", brand: nil)))
            }
        }
    }

    func new(
        userID: String = "manufacturer_user_id_123", redirectURL: String = "https://your-app.com/callback",
        language: Language = .nl, of manufacturer: Manufacturer? = nil
    ) throws -> NewLinkSession {
        NewLinkSession(
            manufacturer: manufacturer ?? acme, userID: try ManufacturerUserID(userID),
            redirectURL: try RedirectURL(redirectURL), language: language)
    }

    /// Stores a session; the digest under which it is found.
    func created() async throws -> SHA256Digest {
        let digest = try makeDigest()
        _ = try await sessions.create(try new(), tokenDigest: digest, until: soon)
        return digest
    }

    /// The session's row, as it is stored.
    func stored(_ digest: SHA256Digest) async throws -> (created: Int, expires: Int, completed: Int?) {
        let rows = try await database.rows(
            """
            SELECT extract(epoch FROM created_at)::bigint, extract(epoch FROM expires_at)::bigint,
                   extract(epoch FROM completed_at)::bigint
            FROM link_sessions WHERE token_hash = \(digest.sql)
            """)
        let row = rows.first?.map { $0.flatMap { Int($0) } } ?? [nil, nil, nil]
        return (row[0] ?? -1, row[1] ?? -1, row[2])
    }

    /// The database's clock, in seconds.
    func now() async throws -> Double {
        Double(try await database.value("SELECT extract(epoch FROM clock_timestamp())") ?? "") ?? -1
    }
}

var soon: ContinuousClock.Instant { .now + .seconds(5) }

func makeDigest() throws -> SHA256Digest { try SHA256.digest(of: try TokenGenerator().makeToken().characters) }

extension SHA256Digest {
    /// As an SQL expression.
    var sql: String { "decode('\(hex)', 'hex')" }
}

extension CompletionOutcome {
    /// The session as it is afterwards, where the outcome has one.
    var session: LinkSession? {
        switch self {
        case .completed(let session), .completedByAnother(let session), .expired(let session): session
        case .blocked, .supplierDisabled, .unknown: nil
        }
    }
}

extension Storage {
    /// Makes the session so much older.
    func move(_ digest: SHA256Digest, by interval: String) async throws {
        try await database.execute(
            """
            UPDATE link_sessions SET
                created_at = created_at - interval '\(interval)', expires_at = expires_at - interval '\(interval)',
                completed_at = completed_at - interval '\(interval)'
            WHERE token_hash = \(digest.sql)
            """)
    }

    /// Half a second is left.
    func expireSoon(_ digest: SHA256Digest) async throws {
        try await database.execute(
            """
            UPDATE link_sessions SET
                created_at = created_at - interval '599 seconds',
                expires_at = clock_timestamp() + interval '500 milliseconds'
            WHERE token_hash = \(digest.sql)
            """)
    }
}
