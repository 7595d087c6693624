// How far a manufacturer's feed is read for an endpoint, and whether there is more of it.

@testable import LinkSessionRepository
import Testing
@testable import Webhooks

@Suite struct EventStretchTests {
    private func position(_ number: Int64) -> FeedPosition { FeedPosition(stored: number) }

    private func page(_ numbers: [Int64], next: Int64, hasMore: Bool) throws -> FeedPage {
        FeedPage(events: try numbers.map(EndpointStateTests.event), next: position(next), hasMore: hasMore)
    }

    @Test func `a stretch is read on while a page says that there is more, or somebody says that there may be`() throws
    {
        var stretch = EventStretch(after: position(0))
        func begins() -> Bool { stretch.beginsToRead() }
        #expect(begins())
        #expect(!begins(), "one page at a time")
        stretch.take(try page([1, 2], next: 2, hasMore: true), known: nil)
        #expect(begins())
        stretch.take(try page([3], next: 3, hasMore: false), known: nil)
        #expect(!begins())
        stretch.hint()
        #expect(begins())
        stretch.take(nil, known: nil)
        #expect(begins(), "the database did not answer")
    }

    @Test func `a stretch is not read on while 16 of its events wait`() throws {
        var stretch = EventStretch(after: position(0))
        func begins() -> Bool { stretch.beginsToRead() }
        #expect(begins())
        stretch.take(try page(Array(1...16), next: 16, hasMore: true), known: nil)
        #expect(!begins())
        #expect(stretch.start()?.position == position(1))
        #expect(begins())
    }

    @Test func `a stretch with an end is not read beyond it`() throws {
        var stretch = EventStretch(after: position(0), last: position(2))
        func begins() -> Bool { stretch.beginsToRead() }
        #expect(begins())
        stretch.take(try page([1], next: 1, hasMore: true), known: nil)
        #expect(begins())
        stretch.take(try page([2, 3], next: 3, hasMore: true), known: position(9))
        #expect(!begins())
        #expect(stretch.waiting.map(\.position) == [position(1), position(2)] && stretch.read == position(2))
    }

    @Test func `what is known to hold no event counts as read, where the page before it is empty and the last`() throws
    {
        for (numbers, hasMore, read) in [([], false, 9), ([], true, 5), ([4], false, 5), ([4], true, 5)]
            as [([Int64], Bool, Int64)]
        {
            var stretch = EventStretch(after: position(0))
            func begins() -> Bool { stretch.beginsToRead() }
            #expect(begins())
            stretch.take(try page(numbers, next: 5, hasMore: hasMore), known: position(9))
            #expect(stretch.read == position(read), "\(numbers) \(hasMore)")
        }
    }
}
