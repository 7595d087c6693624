internal import Foundation
internal import LinkSessionRepository
internal import LinkSessions
internal import Logging
internal import Synchronization

/// Sends the events of one endpoint, for as long as this replica has its lease.
final class EndpointDelivery: Sendable {
    enum Signal: Sendable {
        case renewed(WebhookLease, until: ContinuousClock.Instant, most: Int)
        /// The manufacturer may have had events, which reached so far.
        case hint(FeedPosition)
        case drain
        case lost
        case loaded([WebhookRetry]?)
        case page(EndpointState.Source, FeedPage?, known: FeedPosition?)
        case finished(FeedPosition, WebhookAnswer?, WebhookAttempt?)
        case saved(Bool?)
        case prune
        case wake
    }

    /// What all endpoints share.
    struct Tools: Sendable {
        let webhooks: WebhookRepository
        let feed: EventFeedRepository
        let sender: WebhookSender
        let metrics = DeliveryMetrics()
        /// `nil` where the manufacturer is not known here yet.
        let body: @Sendable (FeedEvent) -> [UInt8]?
        let logger: Logger
    }

    private static let queryTime = Duration.seconds(2)
    private static let pause = Duration.milliseconds(250)
    private static let pageSize = 32
    /// Who waits to be stopped waits no longer.
    private static let longestDrain = Duration.seconds(12)
    /// An event that is not seen that much later, on whatever node it lies, is not there.
    private static let visibleWithin = Duration.seconds(10)

    let manufacturer: Manufacturer.ID
    let resumptions: Int64?
    private let first: WebhookLease
    private let tools: Tools
    private let signals: AsyncStream<Signal>
    private let continuation: AsyncStream<Signal>.Continuation
    private let known = Mutex(WebhookBacklog())

    init(_ lease: WebhookLease, _ tools: Tools) {
        first = lease
        manufacturer = lease.endpoint.manufacturer
        resumptions = lease.resumptions
        self.tools = tools
        (signals, continuation) = AsyncStream.makeStream()
    }

    var backlog: WebhookBacklog { known.withLock { $0 } }

    func signal(_ signal: Signal) { continuation.yield(signal) }

    func run() async {
        var state = EndpointState(first, now: .now)
        var endpoint = first.endpoint
        var seen: FeedPosition?
        var alarm: ContinuousClock.Instant?
        await withDiscardingTaskGroup { group in
            signals: for await signal in signals {
                var followUp: [EndpointState.Action] = []
                switch signal {
                case .renewed(let lease, let end, let most):
                    endpoint = lease.endpoint
                    state.renew(lease, until: end, most: most)
                case .hint(let last):
                    seen = last
                    state.hint()
                case .drain where state.isDraining: break
                case .drain:
                    state.drain()
                    group.addTask { [self] in await sleep(Self.longestDrain, then: .lost) }
                case .lost, .saved(false?): break signals
                case .loaded(let retries): state.load(retries, now: .now)
                case .page(let source, let page, let known): state.take(page, from: source, known: known)
                case .finished(let position, let answer, let attempt):
                    log(position, answer, attempt)
                    followUp = state.finish(position, answer, attempt, now: .now)
                case .saved(let isSaved): state.saved(isSaved == true)
                case .prune:
                    let id = endpoint.id
                    group.addTask { [self] in try? await tools.webhooks.prune(id, until: .now + Self.queryTime) }
                case .wake: alarm = nil
                }
                let (actions, wake) = state.next(now: .now)
                known.withLock { $0 = state.backlog }
                for action in followUp + actions {
                    log(action)
                    group.addTask { [self, seen, endpoint] in await perform(action, of: endpoint, seen: seen) }
                }
                if let wake, alarm.map({ wake < $0 }) ?? true {
                    alarm = wake
                    group.addTask { [self] in await sleep(wake - .now, then: .wake) }
                }
                if state.isDraining, state.isIdle { break }
            }
            group.cancelAll()
        }
        // What is under way elsewhere by now is no business of ours: the statement minds whose lease it is.
        if state.isDraining, state.isIdle {
            try? await tools.webhooks.release(endpoint.id, until: .now + Self.queryTime)
        }
    }

    private func sleep(_ time: Duration, then signal: Signal) async {
        if (try? await Task.sleep(for: time)) != nil { continuation.yield(signal) }
    }

    private func perform(_ action: EndpointState.Action, of endpoint: WebhookEndpoint, seen: FeedPosition?) async {
        let deadline = ContinuousClock.now + Self.queryTime
        do throws(RepositoryError) {
            switch action {
            case .loadRetries:
                continuation.yield(.loaded(try await tools.webhooks.retries(of: endpoint.id, until: deadline)))
            case .read(let source, let after):
                let page = try await tools.feed.page(
                    of: manufacturer, after: after, endpoint.kinds, limit: Self.pageSize, until: deadline)
                continuation.yield(.page(source, page, known: seen?.earlier(by: Self.visibleWithin)))
            case .send(let event, let attempt): await send(event, attempt: attempt, to: endpoint)
            case .find(let position, let session, let attempt):
                let events = try await tools.feed.events(of: session, until: deadline)
                guard let event = events.first(where: { $0.position == position }) else {
                    continuation.yield(.finished(position, nil, nil))
                    return
                }
                await send(event, attempt: attempt, to: endpoint)
            case .save(let progress):
                continuation.yield(.saved(try await tools.webhooks.save(progress, of: endpoint.id, until: deadline)))
            case .gaveUp, .paused, .stopped: break
            }
        } catch {
            await fail(action, error)
        }
    }

    /// The database did not answer: the same once more, soon.
    private func fail(_ action: EndpointState.Action, _ error: RepositoryError) async {
        switch error {
        case .unavailable, .nodeUnreachable, .overloaded:
            tools.logger.debug("webhook waits for the database", metadata: metadata(["cause": "\(error)"]))
        case .bug(let cause): tools.logger.error("webhook statement failed", metadata: metadata(["cause": "\(cause)"]))
        }
        try? await Task.sleep(for: Self.pause)
        switch action {
        case .loadRetries: continuation.yield(.loaded(nil))
        case .read(let source, _): continuation.yield(.page(source, nil, known: nil))
        case .find(let position, _, _):
            let answer = WebhookAnswer(outcome: .notSent, status: nil, text: "")
            continuation.yield(.finished(position, answer, nil))
        case .save: continuation.yield(.saved(nil))
        case .send, .gaveUp, .paused, .stopped: break
        }
    }

    private func send(_ event: FeedEvent, attempt number: Int, to endpoint: WebhookEndpoint) async {
        guard let body = tools.body(event) else {
            let answer = WebhookAnswer(outcome: .notSent, status: nil, text: "its manufacturer is not known here yet")
            tools.metrics.record(answer.outcome, in: .zero)
            continuation.yield(.finished(event.position, answer, nil))
            return
        }
        let start = ContinuousClock.now
        let answer = await tools.sender.send(body, of: event, to: endpoint)
        tools.metrics.record(answer.outcome, in: .now - start)
        let attempt = WebhookAttempt(
            position: event.position, session: event.session.id, number: number,
            endedAt: Int64(Date().timeIntervalSince1970 * 1_000_000), duration: .now - start, status: answer.status,
            answer: answer.text)
        continuation.yield(.finished(event.position, answer, answer.outcome == .notSent ? nil : attempt))
    }

    // MARK: The log: never the URL, which may hold a secret, nor anything of what was sent or answered.

    private func log(_ position: FeedPosition, _ answer: WebhookAnswer?, _ attempt: WebhookAttempt?) {
        guard let answer, answer.outcome != .taken, let attempt else { return }
        tools.logger.info(
            "webhook not taken",
            metadata: metadata([
                "event": "\(position.eventID)", "attempt": "\(attempt.number)",
                "cause": "\(attempt.status.map { "status \($0)" } ?? answer.text)",
                "milliseconds": "\(Int64(attempt.duration / .milliseconds(1)))",
            ]))
    }

    private func log(_ action: EndpointState.Action) {
        switch action {
        case .gaveUp(let position):
            tools.logger.error(
                "webhook gave up on an event that failed for three days: resume-webhook or resend sends it again",
                metadata: metadata(["event": "\(position.eventID)"]))
        case .paused:
            tools.logger.error(
                "webhook paused, it failed for three days: nothing is lost, resume-webhook goes on where it stopped",
                metadata: metadata([:]))
        case .stopped:
            tools.logger.error("webhook stopped, it answered 410: resume-webhook goes on", metadata: metadata([:]))
        case .loadRetries, .read, .send, .find, .save: break
        }
    }

    private func metadata(_ members: Logger.Metadata) -> Logger.Metadata {
        members.merging([
            "webhook": "\(first.endpoint.id.number)", "manufacturer": "\(manufacturer.number)",
        ]) { $1 }
    }
}
