// What is sent to an endpoint, and when, without a database, a receiver or waiting.

@testable import LinkSessionRepository
import LinkSessions
import Testing
@testable import Webhooks

@Suite struct EndpointStateTests {
    /// An endpoint's state, and what it asked for: answered as a test says.
    private struct Endpoint {
        var state: EndpointState
        var now = ContinuousClock.now
        /// Events that were read and sent, in their order.
        var sent: [Int64] = []
        /// Those that were looked up to be sent again.
        var found: [Int64] = []
        var saves: [WebhookProgress] = []
        var ends: [String] = []
        var wake: ContinuousClock.Instant?
        /// The database answers at once.
        var savesAtOnce = false
        let retries: [WebhookRetry]

        init(
            at position: Int64 = 0, failures: Int = 0, failingFor: Duration? = nil, resend: WebhookResend? = nil,
            retries: [WebhookRetry] = []
        ) {
            self.retries = retries
            let lease = WebhookLease(
                endpoint: WebhookEndpoint(
                    id: .init(1), manufacturer: .init(1), url: "https://example.com", kinds: nil, salts: []),
                position: FeedPosition(stored: position), consecutiveFailures: failures, failingFor: failingFor,
                resend: resend, resumptions: nil, isWanted: false)
            state = EndpointState(lease, now: now)
            state.renew(lease, until: now + .seconds(86_400 * 30), most: 8)
            perform(state.next(now: now))
        }

        mutating func perform(_ next: (actions: [EndpointState.Action], wake: ContinuousClock.Instant?)) {
            wake = next.wake
            for action in next.actions {
                switch action {
                case .loadRetries:
                    state.load(retries, now: now)
                    go()
                case .read: break
                case .send(let event, _): sent.append(event.position.number)
                case .find(let position, _, _): found.append(position.number)
                case .save(let progress):
                    saves.append(progress)
                    guard savesAtOnce else { continue }
                    state.saved(true)
                    go()
                case .gaveUp(let position): ends.append("gave up \(position.number)")
                case .paused: ends.append("paused")
                case .stopped: ends.append("stopped")
                }
            }
        }

        mutating func go() { perform(state.next(now: now)) }

        mutating func read(_ numbers: ClosedRange<Int64>, from source: EndpointState.Source = .feed) throws {
            let events = try numbers.map(EndpointStateTests.event)
            let page = FeedPage(events: events, next: FeedPosition(stored: numbers.upperBound), hasMore: false)
            state.take(page, from: source, known: nil)
            go()
        }

        mutating func finish(_ number: Int64, _ outcome: WebhookAnswer.Outcome, status: Int? = nil) {
            let answer = WebhookAnswer(outcome: outcome, status: status, text: "")
            let attempt = WebhookAttempt(
                position: FeedPosition(stored: number), session: LinkSessionID.first(at: 1), number: 1, endedAt: 0,
                duration: .zero, status: status, answer: "")
            for action in state.finish(FeedPosition(stored: number), answer, attempt, now: now) {
                perform(([action], wake))
            }
            go()
        }

        /// - Returns: the last that was saved.
        @discardableResult
        mutating func save() throws -> WebhookProgress {
            let progress = try #require(saves.last)
            state.saved(true)
            go()
            return progress
        }
    }

    static func event(_ number: Int64) throws -> FeedEvent {
        let session = LinkSession(
            id: LinkSessionID.first(at: 1), manufacturer: .init(1), userID: try ManufacturerUserID("u"),
            redirectURL: try RedirectURL("https://your-app.com/callback"), language: .nl, createdAt: 0, expiresAt: 600,
            isPastExpiry: false)
        return FeedEvent(
            position: FeedPosition(stored: number), kind: .opened, reason: nil, occurredAt: 0, session: session)
    }

    @Test func `eight are under way, and the next goes when it is saved that one is taken`() throws {
        var endpoint = Endpoint()
        try endpoint.read(1...20)
        #expect(endpoint.sent == Array(1...8))
        endpoint.finish(1, .taken)
        #expect(endpoint.sent == Array(1...8), "it has its place until it is saved")
        #expect(try endpoint.save().position.number == 1)
        #expect(endpoint.sent == Array(1...9))
    }

    @Test func `what was overtaken is kept by itself, so that nothing that was taken is sent again`() throws {
        var endpoint = Endpoint()
        try endpoint.read(1...20)
        endpoint.finish(5, .taken)
        let saved = try endpoint.save()
        #expect(saved.position.number == 5)
        #expect(saved.retries.map(\.position.number).sorted() == [1, 2, 3, 4])
        #expect(saved.retries.allSatisfy { $0.attempts == 0 })
        for number in 1...4 { endpoint.finish(Int64(number), .taken) }
        _ = try endpoint.save()
        let done = try endpoint.save()
        #expect(Set(endpoint.saves.flatMap(\.done).map(\.number)) == [1, 2, 3, 4], "\(done)")
        #expect(endpoint.found == [], "they were under way all the time")
    }

    @Test func `an event that is not taken is sent again by itself, and holds up no other`() throws {
        var endpoint = Endpoint()
        try endpoint.read(1...3)
        endpoint.finish(1, .failed, status: 500)
        for number in [2, 3] as [Int64] { endpoint.finish(number, .taken) }
        try endpoint.save()
        let saved = try endpoint.save()
        #expect(saved.position.number == 3)
        let retries = endpoint.saves.flatMap(\.retries)
        #expect(retries.map(\.position.number) == [1] && retries[0].attempts == 1)
        #expect(endpoint.saves[0].lastError == "status 500")
        let wake = try #require(endpoint.wake)
        #expect(wake - endpoint.now >= .seconds(4) && wake - endpoint.now <= .seconds(6))
        endpoint.now = wake
        endpoint.go()
        #expect(endpoint.found == [1])
        endpoint.finish(1, .taken)
        #expect(try endpoint.save().done.map(\.number) == [1])
    }

    @Test func `an endpoint that is down is asked by one event at a time, and gets all when it is back`() throws {
        var endpoint = Endpoint()
        endpoint.savesAtOnce = true
        try endpoint.read(1...30)
        for number in 1...8 { endpoint.finish(Int64(number), .failed) }
        #expect(endpoint.sent == Array(1...12), "four were sent before it was known")
        for number in 9...12 { endpoint.finish(Int64(number), .failed) }
        #expect(endpoint.sent.count == 12)
        for _ in 0..<5 {
            let before = endpoint.sent.count + endpoint.found.count
            endpoint.now = try #require(endpoint.wake)
            endpoint.go()
            #expect(endpoint.sent.count + endpoint.found.count == before + 1)
            let last = endpoint.sent.last ?? 0
            endpoint.finish(last, .failed)
            if let found = endpoint.found.last { endpoint.finish(found, .failed) }
        }
        endpoint.now += .seconds(400)
        endpoint.go()
        endpoint.finish(endpoint.sent.last ?? 0, .taken)
        if let found = endpoint.found.last { endpoint.finish(found, .taken) }
        endpoint.now += .seconds(6)
        endpoint.go()
        #expect(endpoint.sent.count + endpoint.found.count > 20, "what waited for hours is due")
    }

    @Test func `what waited for an endpoint that was down is due within five seconds of its being back`() throws {
        let retries = (1...6 as ClosedRange<Int64>).map { number in
            WebhookRetry(
                position: FeedPosition(stored: number), session: LinkSessionID.first(at: 1), attempts: 9,
                failingFor: .seconds(80_000), dueIn: .seconds(3600))
        }
        var endpoint = Endpoint(at: 6, failures: 9, failingFor: .seconds(80_000), retries: retries)
        endpoint.savesAtOnce = true
        try endpoint.read(7...7)
        #expect(endpoint.sent == [7] && endpoint.found == [])
        endpoint.finish(7, .taken)
        endpoint.now += .seconds(5)
        endpoint.go()
        #expect(endpoint.found.sorted() == Array(1...6))
    }

    @Test func `an endpoint that took nothing for three days is paused, and one that answers 410 stopped`() throws {
        var endpoint = Endpoint(failures: 9, failingFor: .seconds(3 * 86_400 + 1))
        try endpoint.read(1...3)
        endpoint.finish(1, .failed)
        #expect(endpoint.ends == ["paused"])
        let saved = try endpoint.save()
        #expect(saved.end?.end == .paused && saved.retries.map(\.position.number) == [1])
        endpoint.now += .seconds(86_400)
        endpoint.go()
        #expect(endpoint.sent == [1] && endpoint.found == [])

        var gone = Endpoint()
        try gone.read(1...1)
        gone.finish(1, .gone, status: 410)
        #expect(gone.ends == ["stopped"])
        let end = try gone.save()
        #expect(end.end?.end == .stopped && end.retries.map(\.position.number) == [1], "it is sent when it is resumed")
    }

    @Test func `an endpoint that answers 410 to several is stopped once`() throws {
        var endpoint = Endpoint()
        try endpoint.read(1...2)
        for number in [1, 2] as [Int64] { endpoint.finish(number, .gone, status: 410) }
        #expect(endpoint.ends == ["stopped"])
    }

    @Test func `an event that fails for three days while others are taken is given up, and the endpoint goes on`()
        throws
    {
        var endpoint = Endpoint()
        endpoint.savesAtOnce = true
        try endpoint.read(1...1)
        endpoint.finish(1, .failed)
        for number in 2...60 where endpoint.ends.isEmpty {
            endpoint.now = try #require(endpoint.wake)
            try endpoint.read(Int64(number)...Int64(number))
            endpoint.finish(Int64(number), .taken)
            endpoint.finish(1, .failed)
        }
        #expect(endpoint.ends == ["gave up 1"])
        #expect(endpoint.wake == nil)
    }

    @Test func `where a thousand wait to be sent again, no new one is sent`() throws {
        var endpoint = Endpoint()
        endpoint.savesAtOnce = true
        for start in stride(from: 1 as Int64, through: 1600, by: 4) {
            try endpoint.read(start...start + 3)
            for number in start..<start + 3 { endpoint.finish(number, .failed) }
            endpoint.finish(start + 3, .taken)
        }
        #expect((1300...1345).contains(endpoint.sent.count), "\(endpoint.sent.count)")
        endpoint.finish(endpoint.sent.last ?? 0, .taken)
        #expect((1300...1345).contains(endpoint.sent.count))
    }

    @Test func `a stretch is sent once more beside what happens, and only what lies in it`() throws {
        let resend = WebhookResend(id: 7, position: FeedPosition(stored: 10), last: FeedPosition(stored: 12))
        var endpoint = Endpoint(at: 100, resend: resend)
        try endpoint.read(11...14, from: .resend)
        try endpoint.read(101...102)
        #expect(endpoint.sent.sorted() == [11, 12, 101, 102])
        for number in [11, 12, 101, 102] as [Int64] { endpoint.finish(number, .taken) }
        while endpoint.saves.last?.resend?.isDone != true { try endpoint.save() }
        let done = try endpoint.save()
        #expect(done.resend?.id == 7 && done.resend?.position.number == 12)
    }

    @Test func `how far a stretch has come is saved with each of its events, not at its end alone`() throws {
        let resend = WebhookResend(id: 7, position: FeedPosition(stored: 10), last: FeedPosition(stored: 12))
        var endpoint = Endpoint(at: 100, resend: resend)
        try endpoint.read(11...12, from: .resend)
        endpoint.finish(11, .taken)
        let saved = try endpoint.save()
        #expect(saved.resend?.position.number == 11 && saved.resend?.isDone == false)
    }

    @Test func `nothing is sent when the lease is over, and nothing is lost where the database does not answer`()
        throws
    {
        var endpoint = Endpoint()
        try endpoint.read(1...4)
        endpoint.finish(1, .taken)
        endpoint.finish(2, .failed)
        let first = try #require(endpoint.saves.last)
        endpoint.state.saved(false)
        endpoint.go()
        let second = try #require(endpoint.saves.last)
        #expect(endpoint.saves.count == 2 && first.position.number == 1 && second.position.number == 2)
        #expect(second.retries.map(\.position.number) == [2] && second.hasSucceeded)
        endpoint.now += .seconds(86_400 * 31)
        try endpoint.read(5...9)
        #expect(endpoint.sent == [1, 2, 3, 4] && endpoint.found == [])
    }
}
