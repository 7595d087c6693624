package import LinkSessionRepository
internal import LinkSessions
package import Logging
package import OutboundHTTP
internal import ServiceLifecycle
internal import Synchronization

/// Sends events to the endpoints of their manufacturers: at least once each, from one replica at a time, which has a
/// lease for that in the database. ``run()`` must be running.
package final class WebhookDeliverer: Service {
    /// How many requests to endpoints are under way at once, at most.
    package static let places = 448
    private static let mostOfEndpoint = 8
    private static let interval = Duration.milliseconds(250)
    private static let leaseInterval = Duration.milliseconds(1500)
    /// Before a lease is over nothing is sent under it any more.
    private static let margin = Duration.seconds(1)
    private static let queryTime = Duration.milliseconds(900)
    /// How often all endpoints look whether they missed something, while the feed goes on.
    private static let wholeInterval = Duration.seconds(10)
    private static let pruneInterval = Duration.seconds(60)

    private let tools: EndpointDelivery.Tools
    private let deliveries = Mutex<[WebhookEndpoint.ID: EndpointDelivery]>([:])

    /// - Parameters:
    ///   - http: has room for so many requests as are under way at once.
    ///   - body: an event as it is sent; `nil` where its manufacturer is not known here yet.
    package init(
        webhooks: WebhookRepository, feed: EventFeedRepository, http: OutboundHTTPClient, signer: WebhookSigner,
        logger: Logger, body: @escaping @Sendable (FeedEvent) -> [UInt8]?
    ) {
        tools = EndpointDelivery.Tools(
            webhooks: webhooks, feed: feed, sender: WebhookSender(http: http, signer: signer), body: body,
            logger: logger)
    }

    /// How many endpoints this replica sends to, and what they have not taken yet.
    package var statistics: (endpoints: Int, backlog: WebhookBacklog) {
        let all = deliveries.withLock { Array($0.values) }
        var backlog = WebhookBacklog()
        for delivery in all { backlog.add(delivery.backlog) }
        return (all.count, backlog)
    }

    /// Sends until graceful shutdown: then what is under way is waited for, and others can have the endpoints at once.
    package func run() async throws {
        await withDiscardingTaskGroup { group in
            let (leases, hand) = AsyncStream<WebhookLease>.makeStream()
            group.addTask { [self] in
                await cancelWhenGracefulShutdown { await self.watch { hand.yield($0) } }
                hand.finish()
            }
            for await lease in leases {
                guard let delivery = deliveries.withLock({ $0[lease.endpoint.id] }) else { continue }
                group.addTask { [self] in
                    await delivery.run()
                    deliveries.withLock { deliveries in
                        if deliveries[lease.endpoint.id] === delivery { deliveries[lease.endpoint.id] = nil }
                    }
                }
            }
            for delivery in deliveries.withLock({ Array($0.values) }) { delivery.signal(.drain) }
        }
    }

    private func watch(_ begin: (WebhookLease) -> Void) async {
        var (seen, leaseIsDue, wholeIsDue, pruneIsDue) = (
            FeedPosition?.none, ContinuousClock.now, ContinuousClock.now, ContinuousClock.now + Self.pruneInterval
        )
        while !Task.isCancelled {
            let now = ContinuousClock.now
            do throws(RepositoryError) {
                if now >= leaseIsDue {
                    leaseIsDue = now + Self.leaseInterval
                    try await lease(begin)
                }
                let isWhole = now >= wholeIsDue
                if isWhole { wholeIsDue = now + Self.wholeInterval }
                seen = try await look(since: seen, isWhole: isWhole)
            } catch {
                switch error {
                case .unavailable, .nodeUnreachable, .overloaded:
                    tools.logger.debug("webhooks not looked at", metadata: ["cause": "\(error)"])
                case .bug(let cause): tools.logger.error("webhooks not looked at", metadata: ["cause": "\(cause)"])
                }
            }
            if now >= pruneIsDue {
                pruneIsDue = now + Self.pruneInterval
                for delivery in deliveries.withLock({ Array($0.values) }) { delivery.signal(.prune) }
            }
            try? await Task.sleep(for: Self.interval * Double.random(in: 0.8...1.2))
        }
    }

    private func lease(_ begin: (WebhookLease) -> Void) async throws(RepositoryError) {
        let asked = ContinuousClock.now
        let count = deliveries.withLock { $0.count }
        let leases = try await tools.webhooks.lease(most: max(0, Self.places - count), until: asked + Self.queryTime)
        let end = asked + WebhookRepository.leaseTime - Self.margin
        let most = max(1, min(Self.mostOfEndpoint, Self.places / max(1, leases.count)))
        let ids = Set(leases.map(\.endpoint.id))
        let old = deliveries.withLock { $0 }
        for (id, delivery) in old where !ids.contains(id) { delivery.signal(.lost) }
        for lease in leases {
            let id = lease.endpoint.id
            // One that an operator resumed begins anew.
            if let delivery = old[id], delivery.resumptions == lease.resumptions {
                delivery.signal(.renewed(lease, until: end, most: most))
                if lease.isWanted { delivery.signal(.drain) }
                continue
            }
            old[id]?.signal(.lost)
            let delivery = EndpointDelivery(lease, tools)
            deliveries.withLock { $0[id] = delivery }
            delivery.signal(.renewed(lease, until: end, most: most))
            if lease.isWanted { delivery.signal(.drain) }
            begin(lease)
        }
    }

    /// Tells the endpoints whose manufacturers had events.
    ///
    /// - Returns: until where the feed was looked at; `nil` while there is no endpoint here.
    private func look(since seen: FeedPosition?, isWhole: Bool) async throws(RepositoryError) -> FeedPosition? {
        let all = deliveries.withLock { Array($0.values) }
        guard !all.isEmpty else { return nil }
        let deadline = ContinuousClock.now + Self.queryTime
        let feed = try await tools.feed.state(after: seen ?? .start, until: deadline)
        var concerned: Set<Manufacturer.ID>?
        if let seen, !isWhole {
            guard feed.last > seen else { return seen }
            let manufacturers = Array(Set(all.map(\.manufacturer)))
            let changes = try await tools.feed.changes(of: manufacturers, after: seen, feed, until: deadline)
            concerned = changes.map { Set($0.map(\.manufacturer)) }
        }
        for delivery in all where concerned?.contains(delivery.manufacturer) ?? true {
            delivery.signal(.hint(feed.last))
        }
        return feed.last
    }
}
