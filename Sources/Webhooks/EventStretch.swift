internal import DequeModule
internal import LinkSessionRepository

/// A stretch of a manufacturer's feed that is read and sent in order.
struct EventStretch {
    /// Fewer waiting events, and more are read.
    private static let fewest = 16

    /// Events until there were read.
    private(set) var read: FeedPosition
    /// Events until there need not be sent from here any more, as far as that was saved or is about to be.
    private(set) var position: FeedPosition
    /// The last event that is to be read; `nil`: there is no last one.
    let last: FeedPosition?
    private(set) var waiting: Deque<FeedEvent> = []
    private var lastStarted: FeedPosition
    /// The last one of which it is known what came of it.
    private var lastEnded: FeedPosition
    private var isReading = false
    private var mayHaveMore = true

    init(after position: FeedPosition, last: FeedPosition? = nil) {
        (read, self.position, lastStarted, lastEnded) = (position, position, position, position)
        self.last = last
    }

    var isRead: Bool { !mayHaveMore && !isReading && waiting.isEmpty }

    /// There may be further events.
    mutating func hint() { mayHaveMore = true }

    /// Whether events are to be read now, behind ``read``.
    mutating func beginsToRead() -> Bool {
        guard mayHaveMore, !isReading, waiting.count < Self.fewest else { return false }
        (isReading, mayHaveMore) = (true, false)
        return true
    }

    /// - Parameters:
    ///   - page: `nil`: the database did not answer.
    ///   - known: where there is no event of the manufacturer up to there, it is as good as read.
    mutating func take(_ page: FeedPage?, known: FeedPosition?) {
        isReading = false
        guard let page else {
            mayHaveMore = true
            return
        }
        var events = page.events[...]
        if let last { events = events.prefix { $0.position <= last } }
        waiting.append(contentsOf: events)
        read = max(read, page.next)
        if page.hasMore { mayHaveMore = last.map { read < $0 } ?? true }
        if page.events.isEmpty, !page.hasMore, let known { read = max(read, known) }
        if let last { read = min(read, last) }
    }

    mutating func start() -> FeedEvent? {
        guard let event = waiting.popFirst() else { return nil }
        lastStarted = event.position
        return event
    }

    mutating func end(_ position: FeedPosition) { lastEnded = max(lastEnded, position) }

    /// What is to be saved: all until there was sent, or is known to be sent again.
    ///
    /// - Parameters:
    ///   - underWay: what was started here, and is not over.
    ///   - secure: called with those that others behind them overtook: they have to be kept by themselves.
    mutating func advance(_ underWay: [FeedPosition], secure: (FeedPosition) -> Void) {
        var isBehindAll = true
        for position in underWay {
            if position < lastEnded { secure(position) } else { isBehindAll = false }
        }
        position = max(position, !isBehindAll ? lastEnded : waiting.isEmpty ? read : lastStarted)
    }
}
