// Requests that wait at the same place are answered by one look at the database.

@testable import LinkSessionRepository
import LinkSessions
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct SharedFeedPagesTests {
    @Test func `whoever wants a page since the same look gets it by one query, whoever was woken later by another`()
        async throws
    {
        let pages = SharedFeedPages()
        let queries = Mutex(0)
        let (gate, open) = AsyncStream<Void>.makeStream()
        let key = { @Sendable (look: Int) in
            SharedFeedPages.Key(manufacturer: Manufacturer.ID(1), after: .start, kinds: nil, limit: 20, look: look)
        }
        let ask = { @Sendable (key: SharedFeedPages.Key) async throws(RepositoryError) -> FeedPage in
            try await pages.page(key) { () async throws(RepositoryError) in
                queries.withLock { $0 += 1 }
                for await _ in gate {}
                return FeedPage(events: [], next: .start, hasMore: false)
            }
        }
        let same = (0..<100).map { _ in Task.immediate { try await ask(key(1)) } }
        let later = Task.immediate { try await ask(key(2)) }
        open.finish()
        for task in same { _ = try await task.value }
        _ = try await later.value
        #expect(queries.withLock(\.self) == 2)
        _ = try await ask(key(1))
        #expect(queries.withLock(\.self) == 3, "what was found is kept for nobody")
    }

    @Test func `a look that fails fails for all who share it, and the next one looks again`() async throws {
        let pages = SharedFeedPages()
        let key = SharedFeedPages.Key(
            manufacturer: Manufacturer.ID(1), after: .start, kinds: [.completed], limit: 1, look: 0)
        await #expect(throws: RepositoryError.self) {
            try await pages.page(key) { () async throws(RepositoryError) in
                throw RepositoryError.unavailable(cause: "it is down")
            }
        }
        let page = try await pages.page(key) { () async throws(RepositoryError) in
            FeedPage(events: [], next: .start, hasMore: true)
        }
        #expect(page.hasMore)
    }
}
