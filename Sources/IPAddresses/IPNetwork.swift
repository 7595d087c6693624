/// The addresses that begin with the same bits (CIDR, RFC 4632).
package struct IPNetwork: Hashable, Sendable {
    let address: IPAddress
    /// Of all 128 bits.
    private let prefix: Int

    /// - Parameter prefix: how many bits they have in common: of 32 in an IPv4 address, else of 128.
    init(_ address: IPAddress, prefix: Int) {
        self.prefix = prefix + (address.isIPv4 ? 96 : 0)
        let (high, low) = Self.masks(self.prefix)
        self.address = IPAddress(high: address.high & high, low: address.low & low)
    }

    /// - Parameter text: an address, or one with its prefix such as `10.0.0.0/8` or `2001:db8::/32`; bits beyond the
    ///   prefix have to be zero, so that nobody means another network.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let address = IPAddress(parts[0]), parts.count <= 2 else { return nil }
        let longest = address.isIPv4 ? 32 : 128
        guard parts.count == 2 else {
            self.init(address, prefix: longest)
            return
        }
        guard let prefix = Int(parts[1]), (0...longest).contains(prefix), String(prefix) == parts[1] else { return nil }
        self.init(address, prefix: prefix)
        guard self.address == address else { return nil }
    }

    package func contains(_ other: IPAddress) -> Bool {
        let (high, low) = Self.masks(prefix)
        return other.high & high == address.high && other.low & low == address.low
    }

    private static func masks(_ prefix: Int) -> (UInt64, UInt64) {
        func mask(_ bits: Int) -> UInt64 { bits <= 0 ? 0 : ~0 << UInt64(64 - min(bits, 64)) }
        return (mask(prefix), mask(prefix - 64))
    }
}

extension IPNetwork: CustomStringConvertible {
    package var description: String { "\(address)/\(prefix - (address.isIPv4 ? 96 : 0))" }
}

extension IPAddress {
    /// Whether the address is anybody's on the internet: not one with a special purpose, such as private, loopback and
    /// link-local ones, and none that leads to such a one.
    package var isPublic: Bool {
        if isIPv4 { return !Self.special.contains { $0.contains(self) } }
        // NAT64 (RFC 6052): the IPv4 address is in the last 32 bits.
        if high == 0x0064_FF9B_0000_0000, low >> 32 == 0 { return IPAddress(ipv4: UInt32(low)).isPublic }
        // Global unicast (RFC 4291, section 2.4): all else is reserved, local or multicast.
        return high >> 61 == 1 && !Self.special.contains { $0.contains(self) }
    }

    /// IANA's registries of special-purpose addresses (RFC 6890) up to RFC 9780: whole, with the few addresses that they
    /// call globally reachable, since these are services of the network itself; and multicast (RFC 5771). Of IPv6 only
    /// what is in the global unicast block.
    private static let special = [
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        // Protocols' own (Teredo, ORCHID, benchmarking), documentation, 6to4, AS112, documentation again.
        "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
    ].compactMap { IPNetwork($0) }
}
