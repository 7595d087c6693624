// Lists of a manufacturer's sessions: the same page by page as at once, whatever else there is.

@testable import LinkSessionRepository
import LinkSessions
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct ListTests {
    private static let all = LinkSessionFilter(userID: nil, status: nil, createdAfter: nil, createdBefore: nil)

    /// The ids of all pages, and how many sessions each page had.
    private func pages(
        _ storage: Storage, _ filter: LinkSessionFilter = all, limit: Int = 100, of manufacturer: Manufacturer? = nil
    ) async throws -> (ids: [String], sizes: [Int]) {
        var (ids, sizes): ([String], [Int]) = ([], [])
        var next: LinkSessionID?
        repeat {
            let page = try await storage.sessions.list(
                of: (manufacturer ?? storage.acme).id, filter, after: next, limit: limit, until: soon)
            ids += page.sessions.map(\.id.text)
            sizes.append(page.sessions.count)
            next = page.next
        } while next != nil && sizes.count < 100
        return (ids, sizes)
    }

    private func expected(_ storage: Storage, _ condition: String = "true") async throws -> [String] {
        try await storage.database.rows(
            """
            SELECT id::text FROM link_sessions WHERE manufacturer_id = \(storage.acme.id.number) AND \(condition)
            ORDER BY id DESC
            """
        ).compactMap { $0[0] }
    }

    /// More of the manufacturer's than can be sorted, on three days, with a day between that has none; and another's.
    private func fill(_ storage: Storage) async throws {
        for (count, age) in [(1100, "2 minutes"), (2100, "26 hours"), (300, "80 hours"), (40, "2 hours")] {
            try await storage.database.addSessions(count, age: age, of: storage.acme.id.number)
            try await storage.database.addSessions(30, age: age, of: storage.beta.id.number, user: "other")
        }
    }

    @Test(arguments: [false, true])
    func `many sessions are listed page by page, the newest first, and nothing is left out`(
        hasPartitions: Bool
    ) async throws {
        try await Storage.with(hasPartitions: hasPartitions) { storage in
            try await fill(storage)
            let all = try await expected(storage)
            #expect(all.count == 3540)
            let (ids, sizes) = try await pages(storage)
            #expect(ids == all)
            #expect(sizes.dropLast().allSatisfy { $0 == 100 } && sizes.count == 36, "\(sizes)")
            #expect(try await pages(storage, limit: 1, of: storage.beta).sizes == [Int](repeating: 1, count: 100))
            #expect(try await pages(storage, limit: 60, of: storage.beta).sizes == [60, 60])
            let user = LinkSessionFilter(
                userID: try ManufacturerUserID("user"), status: nil, createdAfter: nil, createdBefore: nil)
            #expect(try await pages(storage, user).ids == all)
        }
    }

    @Test func `a filter that few sessions pass finds them all, with pages that are short`() async throws {
        try await Storage.with(hasPartitions: true) { storage in
            try await fill(storage)
            try await storage.database.execute(
                """
                UPDATE link_sessions SET completed_at = created_at
                WHERE id IN (SELECT id FROM link_sessions WHERE user_id = 'user' ORDER BY id LIMIT 7)
                """)
            for userID in [nil, try ManufacturerUserID("user")] {
                let completed = LinkSessionFilter(
                    userID: userID, status: .completed, createdAfter: nil, createdBefore: nil)
                let (ids, sizes) = try await pages(storage, completed)
                #expect(try await ids == expected(storage, "completed_at IS NOT NULL"))
                #expect(ids.count == 7 && sizes.count <= 9, "\(sizes)")
                let open = LinkSessionFilter(userID: userID, status: .open, createdAfter: nil, createdBefore: nil)
                #expect(try await pages(storage, open).ids == expected(storage, "expires_at > now()"))
                let expired = LinkSessionFilter(userID: userID, status: .expired, createdAfter: nil, createdBefore: nil)
                let late = "completed_at IS NULL AND expires_at <= now()"
                #expect(try await pages(storage, expired).ids == expected(storage, late))
            }
        }
    }

    @Test func `created_at decides, also where the replica's clock was half an hour wrong`() async throws {
        try await Storage.with(hasPartitions: true) { storage in
            try await storage.database.addSessions(3, age: "100 hours", of: storage.acme.id.number)
            for minutes in [-30, 30] {
                try await storage.database.execute(
                    """
                    INSERT INTO link_sessions (
                        id, shard, token_hash, manufacturer_id, user_id, redirect_url, language, created_at, expires_at)
                    SELECT \(TestDatabase.sessionID(at: "t + interval '\(minutes) minutes'")), 0, sha256('x'),
                           \(storage.acme.id.number), 'user', 'https://your-app.com/callback', 'nl', t, t
                    FROM (SELECT date_trunc('second', now()) - interval '50 hours') AS at (t)
                    """)
            }
            let second = UnixSeconds(
                try await storage.database.count(
                    "SELECT extract(epoch FROM max(created_at))::bigint FROM link_sessions"))
            func count(after: UnixSeconds?, before: UnixSeconds?) async throws -> Int {
                try await pages(
                    storage,
                    LinkSessionFilter(userID: nil, status: nil, createdAfter: after, createdBefore: before)
                ).ids.count
            }
            #expect(try await count(after: second - 1, before: second + 1) == 2)
            #expect(try await count(after: second, before: nil) == 0)
            #expect(try await count(after: nil, before: second) == 3)
        }
    }
}
