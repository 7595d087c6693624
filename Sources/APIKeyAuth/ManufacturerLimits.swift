package import LinkSessionRepository
internal import LinkSessions
package import Logging
package import RateLimits
internal import ServiceLifecycle
internal import Synchronization

/// The rate limits of manufacturers, which hold over all replicas: every second each replica tells the others how much
/// it was asked for, and takes the part of a limit that its callers are of all. ``run()`` must be running.
package final class ManufacturerLimits: Service {
    /// What a limit is of: each has a bucket of its own.
    package enum Kind: Sendable {
        case creates
        /// Everything else: ten times as many.
        case requests
    }

    private struct Use {
        var bucket: TokenBucket
        /// Since the last exchange, refused ones too.
        var asked = 0
        /// So many a second, here and elsewhere.
        var demand = 0.0
        var demandElsewhere = 0.0

        /// The part of the limit that may be taken here: what the others leave, or as much as the callers here are of
        /// all, whichever is more.
        func share(of limit: RateLimit) -> Double {
            guard demandElsewhere > 0 else { return 1 }
            let rate = Double(limit.perSecond)
            let fair = demand / (demand + demandElsewhere)
            return min(1, max(fair, 1 - demandElsewhere / rate, 0.01))
        }

        mutating func measure(over seconds: Double) {
            demand = (demand + Double(asked) / seconds) / 2
            asked = 0
        }

        /// Nobody asks, and nobody was asked elsewhere by the last exchange: what is known stays true.
        var isSettled: Bool { demand < 0.1 && demandElsewhere == 0 }
    }

    private struct Uses {
        var creates: Use
        var requests: Use
    }

    private static let interval = Duration.seconds(1)

    /// Holds those back that are beyond their limits.
    package let delay: RefusalDelay
    private let limit: RateLimit?
    private let repository: RateDemandRepository
    private let logger: Logger
    /// At most one for each manufacturer.
    private let uses = Mutex<[Manufacturer.ID: Uses]>([:])

    /// - Parameter limit: of creates, where a manufacturer has none of its own; `nil`: there is none.
    package init(limit: RateLimit?, delay: RefusalDelay, repository: RateDemandRepository, logger: Logger) {
        self.delay = delay
        self.limit = limit
        self.repository = repository
        self.logger = logger
    }

    /// - Returns: `nil` where there is no limit.
    package func take(
        _ kind: Kind, of caller: ManufacturerCaller, now: ContinuousClock.Instant = .now
    ) -> (decision: TokenBucket.Decision, status: RateLimitStatus)? {
        guard let creates = caller.createLimit ?? limit else { return nil }
        return uses.withLock { uses in
            let new = Use(bucket: TokenBucket(now: now))
            switch kind {
            case .creates:
                return Self.take(
                    "creates", creates,
                    from: &uses[caller.manufacturer.id, default: Uses(creates: new, requests: new)].creates, now: now)
            case .requests:
                return Self.take(
                    "requests", creates.times(10),
                    from: &uses[caller.manufacturer.id, default: Uses(creates: new, requests: new)].requests, now: now)
            }
        }
    }

    private static func take(
        _ name: StaticString, _ limit: RateLimit, from use: inout Use, now: ContinuousClock.Instant
    ) -> (decision: TokenBucket.Decision, status: RateLimitStatus) {
        use.asked += 1
        let share = use.share(of: limit)
        let decision = use.bucket.take(of: limit, share: share, now: now)
        let left =
            switch decision {
            case .taken(let left): left
            case .refused: 0
            }
        return (
            decision,
            RateLimitStatus(name, limit, left: left, fullAfter: use.bucket.fullAfter(limit, share: share, now: now))
        )
    }

    /// Exchanges demands until graceful shutdown or cancellation. While the database does not answer, shares stay.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            var last = ContinuousClock.now
            while !Task.isCancelled {
                try? await Task.sleep(for: Self.interval)
                let now = ContinuousClock.now
                await exchange(after: now - last)
                last = now
            }
        }
    }

    func exchange(after time: Duration) async {
        let demands = uses.withLock { uses in
            for id in uses.keys {
                uses[id]?.creates.measure(over: time / .seconds(1))
                uses[id]?.requests.measure(over: time / .seconds(1))
            }
            return uses.filter { !$1.creates.isSettled || !$1.requests.isSettled }.map {
                RateDemand(manufacturer: $0, creates: $1.creates.demand, requests: $1.requests.demand)
            }
        }
        guard !demands.isEmpty else { return }
        do throws(RepositoryError) {
            let others = try await repository.exchange(demands, until: .now + .milliseconds(900))
            let elsewhere = Dictionary(others.map { ($0.manufacturer, $0) }) { $1 }
            uses.withLock { uses in
                for id in uses.keys {
                    uses[id]?.creates.demandElsewhere = elsewhere[id]?.creates ?? 0
                    uses[id]?.requests.demandElsewhere = elsewhere[id]?.requests ?? 0
                }
            }
        } catch {
            switch error {
            case .unavailable, .nodeUnreachable, .overloaded:
                logger.debug("rate limits not shared", metadata: ["cause": "\(error)"])
            case .bug(let cause): logger.error("rate limits not shared", metadata: ["cause": "\(cause)"])
            }
        }
    }
}
