// Creates with an Idempotency-Key in PostgreSQL: one session a key, whoever comes when.

import LinkSessionRepository
import LinkSessions
import PostgresClient
import TestSupport
import Testing
import TokenGenerator

@Suite(.timeLimit(.minutes(1))) struct IdempotentCreateTests {
    @Test func `of creates with one key in one group the first makes the session, and all get it`() async throws {
        try await Storage.with(connections: 1) { storage in
            let lock = try OpenTransaction(in: storage.database, "LOCK TABLE idempotency_keys IN SHARE MODE")
            let first = Task { try await storage.create(under: "alone") }
            try await storage.database.waitForBlocked()
            // These wait together for the only connection.
            let calls = (0..<40).map { number in
                Task { try await storage.create(under: "key \(number % 4)", user: "user \(number % 4)") }
            }
            try await Task.sleep(for: .milliseconds(100))
            try lock.end("COMMIT")
            _ = try await first.value
            var ids: [Int: Set<LinkSessionID>] = [:]
            for (number, call) in calls.enumerated() {
                let answer = try await call.value
                ids[number % 4, default: []].insert(answer.session.id)
                #expect(answer.session.userID.text == "user \(number % 4)")
                #expect(answer.isNew == (answer.session.id == answer.ownID))
            }
            #expect(ids.values.allSatisfy { $0.count == 1 } && Set(ids.values).count == 4)
            #expect(
                try await storage.database.rows("SELECT DISTINCT id FROM link_sessions").count == 5)
            #expect(try await storage.database.count("SELECT count(DISTINCT xmin::text) FROM link_sessions") < 4)
        }
    }

    @Test func `a replay has the first one's times and record, whatever became of the session`() async throws {
        try await Storage.with { storage in
            let first = try await storage.create(under: "k")
            #expect(first.isNew)
            try await storage.database.age(sessions: "true", by: "1 hour")
            try await storage.database.ageIdempotencyKeys(by: "1 hour")
            let again = try await storage.create(under: "k", secretID: 2)
            #expect(!again.isNew && again.session.id == first.session.id)
            #expect(again.session.createdAt == first.session.createdAt - 3600)
            #expect(again.session.expiresAt == again.session.createdAt + 600)
            #expect(again.record.secretID == 1 && again.record.request == first.record.request)
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 1)
        }
    }

    /// Whose clocks differ, or who come on either side of midnight.
    @Test func `a key of yesterday's last moment is the same today`() async throws {
        try await Storage.with { storage in
            let midnight = UInt64(try await storage.now()) / 86_400 * 86_400
            let yesterday = try TokenGenerator(now: { (midnight * 1000 - 1) * 1_000_000 }) {
                () throws(RandomnessError) in (.random(in: .min ... .max), 1, 2, 3)
            }.makeID(shard: storage.acme.id.shard)
            let first = try await storage.create(under: "k", id: yesterday)
            #expect(first.session.id == yesterday)
            let today = try await storage.create(under: "k")
            #expect(today.session.id == yesterday && today.ownID > yesterday && !today.isNew)
            #expect(try await storage.find(yesterday)?.status == .open)
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 1)
            // Nor does it matter to what is deleted by age that its id is of yesterday.
            _ = try await storage.maintain(keeping: 1)
            #expect(try await storage.create(under: "k").session.id == yesterday)
        }
    }

    @Test func `after 24 hours a key makes a new session, and not a moment before`() async throws {
        try await Storage.with { storage in
            let first = try await storage.create(under: "k")
            try await storage.database.ageIdempotencyKeys(by: "23 hours 59 minutes 50 seconds")
            #expect(try await storage.create(under: "k").session.id == first.session.id)
            try await storage.database.ageIdempotencyKeys(by: "10 seconds")
            let second = try await storage.create(under: "k", user: "other", secretID: 2)
            #expect(second.isNew && second.session.id == second.ownID && second.record.secretID == 2)
            let again = try await storage.create(under: "k")
            #expect(again.session.id == second.session.id && again.record.request == second.record.request)
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 2)
            #expect(try await storage.database.count("SELECT count(*) FROM idempotency_keys") == 1)
        }
    }

    @Test func `maintenance deletes the keys that are free again, ten seconds of them a step`() async throws {
        try await Storage.with { storage in
            for (age, count) in [("25 hours", 3), ("24 hours 5 minutes", 2), ("23 hours", 4)] {
                for number in 0..<count { try await storage.addKey("\(age) \(number)", age: age) }
            }
            // Its clock was behind: by the database's it is in force.
            try await storage.addKey("slow clock", age: "25 hours", lifetimeLeft: "1 hour")
            let counts = { try await storage.database.count("SELECT count(*) FROM idempotency_keys") }
            for left in [7, 5] {
                let step = try #require(try await storage.retention.step(keeping: 30, until: soon))
                #expect(!step.isLast && step.deleted == 0)
                #expect(try await counts() == left)
            }
            #expect(try #require(try await storage.retention.step(keeping: 30, until: soon)).isLast)
            #expect(try await counts() == 5)
        }
    }

    @Test func `an erased user's keys go with the sessions, and make new ones`() async throws {
        try await Storage.with { storage in
            let first = try await storage.create(under: "k", user: "u")
            _ = try await storage.create(under: "other", user: "v")
            let receipt = try await AdminRepository(address: try storage.database.address).erase(
                .user(try ManufacturerUserID("u"), of: storage.acme.id), digest: nil)
            #expect(receipt.sessions == 1)
            #expect(try await storage.database.count("SELECT count(*) FROM idempotency_keys") == 1)
            let again = try await storage.create(under: "k", user: "u")
            #expect(again.isNew && again.session.id != first.session.id)
        }
    }

    @Test func `manufacturers go together in one statement, each in its own shard`() async throws {
        try await Storage.with(connections: 1) { storage in
            let lock = try OpenTransaction(in: storage.database, "LOCK TABLE idempotency_keys IN SHARE MODE")
            let calls = (0..<20).map { number in
                Task {
                    try await storage.create(
                        under: "k \(number / 2)", of: number % 2 == 0 ? storage.acme : storage.beta)
                }
            }
            try await storage.database.waitForBlocked()
            try await Task.sleep(for: .milliseconds(100))
            try lock.end("COMMIT")
            var ids: Set<LinkSessionID> = []
            for call in calls {
                let answer = try await call.value
                #expect(answer.isNew && answer.session.id.shard == answer.session.manufacturer.shard)
                ids.insert(answer.session.id)
            }
            #expect(ids.count == 20)
            for table in ["link_sessions", "idempotency_keys"] {
                let id = table == "link_sessions" ? "id" : "session_id"
                #expect(
                    try await storage.database.count(
                        "SELECT count(*) FROM \(table) WHERE shard = get_byte(uuid_send(\(id)), 9)") == 20)
            }
            if TestEnvironment.citusNodes == nil {
                #expect(try await storage.database.count("SELECT count(DISTINCT xmin::text) FROM link_sessions") < 4)
            }
        }
    }

    @Test func `a create that the database refuses does not fail its neighbours, and its key stays free`() async throws
    {
        try await Storage.with(connections: 1) { storage in
            try await storage.database.execute(
                "ALTER TABLE link_sessions ADD CONSTRAINT not_this CHECK (user_id <> 'user 7')")
            let lock = try OpenTransaction(in: storage.database, "LOCK TABLE idempotency_keys IN SHARE MODE")
            let calls = (0..<24).map { number in
                // Every second one comes with the key of the one before.
                Task { try await storage.create(under: "k \(number / 2)", user: "user \(number)") }
            }
            try await storage.database.waitForBlocked()
            try await Task.sleep(for: .milliseconds(100))
            try lock.end("COMMIT")
            var (failed, ids): (Int, Set<LinkSessionID>) = (0, [])
            for call in calls {
                switch await call.result {
                case .success(let answer): ids.insert(answer.session.id)
                case .failure: failed += 1
                }
            }
            // With whichever came first of the pair the key went to the other, or the other got its answer.
            #expect(failed <= 1 && ids.count == 12, "\(failed) \(ids.count)")
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 12)
            #expect(try await storage.database.count("SELECT count(*) FROM idempotency_keys") == 12)
            #expect(
                try await storage.database.count(
                    "SELECT count(*) FROM idempotency_keys k JOIN link_sessions s USING (shard) WHERE id = session_id"
                ) == 12)
        }
    }

    /// The first attempt's commit happens, unheard of, while the second one is sent.
    @Test func `a create that is sent again after a broken connection returns the first attempt's session`()
        async throws
    {
        try await Storage.with { storage in
            let id = try storage.newID()
            let key = try SHA256.digest(of: "k")
            let first = try OpenTransaction(
                in: storage.database,
                """
                INSERT INTO idempotency_keys
                SELECT \(id.shard), \(key.sql), \(id.sql), sha256('r'), 1, t, t + interval '24 hours'
                FROM (SELECT date_trunc('second', now()) - interval '7 seconds') AS first (t);
                INSERT INTO link_sessions (
                    id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at)
                SELECT \(id.sql), \(id.shard), sha256('t'), \(storage.acme.id.number), 'user',
                       'https://your-app.com/callback', 'nl', created_at, created_at + interval '600 seconds'
                FROM idempotency_keys
                """)
            async let created = storage.create(under: "k", id: id)
            async let other = storage.create(under: "other")
            try await storage.database.waitForBlocked()
            #expect(try await storage.database.cutConnections() >= 1)
            try await storage.database.waitForBlocked()
            try first.end("COMMIT")
            let answer = try await created
            #expect(answer.isNew && answer.session.id == id)
            let stored = try await storage.stored(id)
            #expect(answer.session.createdAt == Int64(stored.created))
            #expect(answer.session.createdAt <= Int64(try await storage.now()) - 7)
            #expect(try await other.isNew)
            #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 2)
        }
    }

    @Test func `groups that race for the same keys in any order all succeed`() async throws {
        try await Storage.with { storage in
            try await Storage.on(storage.database, like: storage) { other in
                let answers = try await withThrowingTaskGroup(of: (Int, LinkSessionID).self) { group in
                    for number in 0..<600 {
                        let (key, storage) = (number / 2, number % 2 == 0 ? storage : other)
                        group.addTask { (key, try await storage.create(under: "k \(key)").session.id) }
                    }
                    return try await group.reduce(into: [Int: Set<LinkSessionID>]()) {
                        $0[$1.0, default: []].insert($1.1)
                    }
                }
                #expect(answers.count == 300 && answers.values.allSatisfy { $0.count == 1 })
                #expect(try await storage.database.count("SELECT count(*) FROM link_sessions") == 300)
            }
        }
    }
}

extension Storage {
    typealias IdempotentAnswer = (
        session: LinkSession, record: IdempotencyRecord, ownID: LinkSessionID, isNew: Bool
    )

    private static let generator = TokenGenerator()

    /// Another replica on the same database.
    fileprivate static func on(
        _ database: TestDatabase, like storage: Storage, _ body: (Storage) async throws -> Void
    ) async throws {
        try await DatabaseClient.running(on: database.address, connections: 4) { client in
            try await body(
                Storage(
                    database: database, client: client, controlPlane: storage.controlPlane, acme: storage.acme,
                    beta: storage.beta))
        }
    }

    fileprivate func newID(of manufacturer: Manufacturer? = nil) throws -> LinkSessionID {
        try Self.generator.makeID(shard: (manufacturer ?? acme).id.shard)
    }

    /// A create of a manufacturer's, under a key of its own.
    func create(
        under key: String, user: String = "user", of manufacturer: Manufacturer? = nil, id: LinkSessionID? = nil,
        secretID: Int64 = 1
    ) async throws -> IdempotentAnswer {
        let id = try id ?? newID(of: manufacturer)
        let keyOfManufacturer = manufacturer.map { "\($0.id.number) \(key)" } ?? key
        let answer = try await sessions.create(
            try new(userID: user, of: manufacturer), id: id, tokenDigest: try SHA256.digest(of: id.text),
            under: IdempotencyRecord(
                key: try SHA256.digest(of: keyOfManufacturer), request: try SHA256.digest(of: user),
                secretID: secretID), until: soon)
        return (answer.session, answer.record, id, answer.session.id == id)
    }

    /// The key of a session that was made so long ago.
    fileprivate func addKey(_ key: String, age: String, lifetimeLeft: String? = nil) async throws {
        let end = lifetimeLeft.map { "now() + interval '\($0)'" } ?? "t + interval '24 hours'"
        try await database.execute(
            """
            INSERT INTO idempotency_keys
            SELECT 1, sha256('\(key)'), \(TestDatabase.sessionID(at: "t", shard: "1", number: "1")), sha256('r'), 1, t,
                   \(end)
            FROM (SELECT now() - interval '\(age)') AS at (t)
            """)
    }
}
