// Repositories on a database of their own, and sessions to store in them.

import LinkSessionRepository
import LinkSessions
import Logging
import PostgresClient
import TestSupport
import Testing
import TokenGenerator

/// A migrated database with the manufacturers of the fixtures, and the repositories on it.
struct Storage {
    let database: TestDatabase
    let client: DatabaseClient
    let controlPlane: ControlPlaneCache
    let acme: Manufacturer
    let beta: Manufacturer

    var sessions: LinkSessionRepository { LinkSessionRepository(database: client, controlPlane: controlPlane) }
    var signIns: SignInRepository { SignInRepository(database: client, controlPlane: controlPlane) }
    var feed: EventFeedRepository { EventFeedRepository(database: client, controlPlane: controlPlane) }
    var controlPlaneRepository: ControlPlaneRepository { ControlPlaneRepository(database: client) }
    var retention: RetentionRepository { RetentionRepository(database: client) }

    /// - Parameter hasPartitions: of today and the days to come; else all rows lie in the default ones.
    static func with(
        connections: Int = 4, hasPartitions: Bool = true, _ body: (Storage) async throws -> Void
    ) async throws {
        try await TestDatabase.with { database in
            try await database.addManufacturers()
            let acme = Int64(try await database.count("SELECT id FROM manufacturers WHERE name = 'Acme Manufacturing'"))
            let beta = Int64(try await database.count("SELECT id FROM manufacturers WHERE name = 'Beta Devices'"))
            // The copy has a connection of its own: those of the sessions may all be taken.
            try await DatabaseClient.running(on: database.address, connections: 1) { background in
                let controlPlane = ControlPlaneCache(
                    repository: ControlPlaneRepository(database: background), hasSandbox: true,
                    logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() })
                let copying = Task { try await controlPlane.run() }
                defer { copying.cancel() }
                await controlPlane.waitUntilFresh(for: .seconds(5))
                try await DatabaseClient.running(on: database.address, connections: connections) { client in
                    let storage = Storage(
                        database: database, client: client, controlPlane: controlPlane,
                        acme: Manufacturer(
                            id: .init(acme), name: "Acme Manufacturing", brand: Brand(stored: "acme manufacturing")),
                        beta: Manufacturer(id: .init(beta), name: "Beta Devices", brand: nil))
                    if !hasPartitions { try await storage.dropPartitions() }
                    try await body(storage)
                }
            }
        }
    }

    func new(
        userID: String = "manufacturer_user_id_123", redirectURL: String = "https://your-app.com/callback",
        language: Language = .nl, options: LinkSessionOptions = LinkSessionOptions(),
        of manufacturer: Manufacturer? = nil
    ) throws -> NewLinkSession {
        NewLinkSession(
            manufacturer: (manufacturer ?? acme).id, userID: try ManufacturerUserID(userID),
            redirectURL: try RedirectURL(redirectURL), language: language, options: options)
    }

    @discardableResult
    func create(_ new: NewLinkSession, _ token: TestToken) async throws -> LinkSession {
        try await sessions.create(new, id: token.id, tokenDigest: token.digest, until: soon)
    }

    /// Stores a session; the id by which it is found.
    func created() async throws -> LinkSessionID {
        try await create(try new(), try TestToken()).id
    }

    func find(_ id: LinkSessionID) async throws -> LinkSession? {
        try await sessions.find(id, until: soon)?.session
    }

    /// What the Authenticator does: it finds the session, and its first look is recorded.
    func lookUp(_ id: LinkSessionID, requestID: String = "test") async throws -> LinkSession? {
        guard let found = try await find(id) else { return nil }
        try await sessions.open(id, requestID: requestID, until: soon)
        return found
    }

    @discardableResult
    func expire(_ id: LinkSessionID, requestID: String = "test") async throws -> LinkSession? {
        try await sessions.expire(id, requestID: requestID, until: soon)
    }

    /// Finds the session and completes it.
    @discardableResult
    func complete(
        _ id: LinkSessionID, as identity: SupplierIdentity? = nil, requestID: String = "test"
    ) async throws -> CompletionOutcome {
        guard let found = try await sessions.find(id, until: soon) else { return .unknown }
        return try await sessions.complete(found, as: identity, requestID: requestID, until: soon)
    }

    /// Makes and drops partitions until there is nothing more to do.
    func maintain(keeping days: Int = 30) async throws -> (added: Int64, deleted: Int64) {
        var (added, deleted): (Int64, Int64) = (0, 0)
        while let step = try await retention.step(keeping: days, until: soon) {
            added += step.added
            deleted += step.deleted
            if step.isLast { break }
        }
        return (added, deleted)
    }

    private func dropPartitions() async throws {
        let names = try await database.rows(
            "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' AND relname !~ '_default$'")
        for name in names.joined().compactMap(\.self) { try await database.execute("DROP TABLE \(name)") }
    }

    /// The session's row, as it is stored.
    func stored(_ id: LinkSessionID) async throws -> (created: Int, expires: Int, completed: Int?) {
        let rows = try await database.rows(
            """
            SELECT extract(epoch FROM created_at)::bigint, extract(epoch FROM expires_at)::bigint,
                   extract(epoch FROM completed_at)::bigint
            FROM link_sessions WHERE id = \(id.sql)
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

/// What is stored of a token.
struct TestToken: Sendable {
    private static let generator = TokenGenerator()

    let id: LinkSessionID
    let digest: SHA256Digest

    init(_ generator: TokenGenerator = Self.generator) throws {
        let token = try generator.makeToken()
        id = token.id
        digest = try SHA256.digest(of: token.characters)
    }
}

extension SHA256Digest {
    /// As an SQL expression.
    var sql: String { "decode('\(hex)', 'hex')" }
}

extension LinkSessionID {
    /// As an SQL expression.
    var sql: String { "'\(text)'::uuid" }
}

extension CompletionOutcome {
    /// The session as it is afterwards, where the outcome has one.
    var session: LinkSession? {
        switch self {
        case .completed(let session), .completedByAnother(let session), .expired(let session): session
        case .blocked, .supplierDisabled, .supplierNotOffered, .unknown: nil
        }
    }
}

extension Storage {
    /// Makes the session so much older; its id stays.
    func move(_ id: LinkSessionID, by interval: String) async throws {
        try await database.age(sessions: "id = \(id.sql)", by: interval)
    }

    /// Half a second is left.
    func expireSoon(_ id: LinkSessionID) async throws {
        try await database.execute(
            TestDatabase.update(
                sessions: "id = \(id.sql)",
                [
                    "created_at": "created_at - interval '599 seconds'",
                    "expires_at": "clock_timestamp() + interval '500 milliseconds'",
                ]))
    }

    /// Changes the control plane, and waits until it is in force here.
    func change(_ sql: String, until isInForce: (ControlPlane) -> Bool) async throws {
        try await database.execute(sql)
        try await wait(until: "the change is in force: \(sql)", within: .milliseconds(900)) {
            isInForce(try controlPlane.current().controlPlane)
        }
    }
}

extension Storage {
    /// Stores a session of Acme's that was made so long ago; its id.
    func addSession(age: String, user: String = "user") async throws -> LinkSessionID {
        let known = try await database.rows("SELECT id FROM link_sessions")
        try await database.addSessions(1, age: age, of: acme.id.number, user: user)
        let ids = try await database.rows("SELECT id FROM link_sessions").filter { !known.contains($0) }
        let text = try #require(ids.first?.first ?? nil)
        return try #require(LinkSessionID(text))
    }
}
