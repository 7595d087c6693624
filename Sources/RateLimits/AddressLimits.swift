package import IPAddresses
internal import Synchronization

/// A rate limit for each client address: of IPv6 for each /64, which is one site's network, and for each /48 together,
/// of which one attacker can have all.
///
/// A bucket that is full again is as good as none, so that only those who came in the last seconds take memory. Where
/// they are too many, those who took least are forgotten: they lose nothing by it, and whoever takes much stays.
package final class AddressLimits: Sendable {
    private let limit: RateLimit
    private let capacity: Int
    private let buckets = Mutex<[IPNetwork: TokenBucket]>([:])

    /// So many times the limit of one address is that of a /48: mobile networks have as many customers in one.
    private static let timesOfSite = 16

    /// - Parameter capacity: at most so many addresses and networks are remembered.
    package init(_ limit: RateLimit, capacity: Int = 65_536) {
        self.limit = limit
        self.capacity = capacity
    }

    package func take(_ address: IPAddress, now: ContinuousClock.Instant) -> TokenBucket.Decision {
        buckets.withLock { buckets in
            if !address.isIPv4 {
                let site = Self.take(
                    of: limit.times(Self.timesOfSite), address.network(ipv4: 32, ipv6: 48), &buckets, now: now)
                guard case .taken = site else { return site }
            }
            let decision = Self.take(of: limit, address.network(ipv4: 32, ipv6: 64), &buckets, now: now)
            if buckets.count > capacity { forget(&buckets, now: now) }
            return decision
        }
    }

    package var count: Int { buckets.withLock { $0.count } }

    private static func take(
        of limit: RateLimit, _ network: IPNetwork, _ buckets: inout [IPNetwork: TokenBucket],
        now: ContinuousClock.Instant
    ) -> TokenBucket.Decision {
        buckets[network, default: TokenBucket(now: now)].take(of: limit, now: now)
    }

    /// Half of them, so that a flood pays for it seldom.
    private func forget(_ buckets: inout [IPNetwork: TokenBucket], now: ContinuousClock.Instant) {
        buckets = buckets.filter { !$0.value.isFull(limit, now: now) }
        guard buckets.count > capacity / 2 else { return }
        func taken(_ bucket: TokenBucket) -> Double { bucket.taken(of: limit, share: 1, now: now) }
        let sorted = buckets.values.map(taken).sorted()
        let least = sorted[sorted.count - capacity / 2]
        buckets = buckets.filter { taken($0.value) > least }
    }
}
