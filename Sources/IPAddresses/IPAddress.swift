internal import Foundation

/// An address of the Internet Protocol, version 4 or 6.
///
/// An IPv4 address and its IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) are the same one: which of the two a
/// system shows depends on how it listens.
package struct IPAddress: Hashable, Sendable {
    /// Of its 128 bits; an IPv4 address has its mapped form.
    let high: UInt64
    let low: UInt64

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// - Parameter text: four decimal numbers, or the text of RFC 4291, section 2.2, without a zone.
    package init?(_ text: some StringProtocol) {
        // C would take the text up to there.
        guard !text.utf8.contains(0) else { return nil }
        let text = String(text)
        var four = in_addr()
        if unsafe inet_pton(AF_INET, text, &four) == 1 {
            self.init(ipv4: UInt32(bigEndian: four.s_addr))
            return
        }
        var six = in6_addr()
        guard unsafe inet_pton(AF_INET6, text, &six) == 1 else { return nil }
        let words = unsafe withUnsafeBytes(of: six) { bytes in
            unsafe (bytes.load(fromByteOffset: 0, as: UInt64.self), bytes.load(fromByteOffset: 8, as: UInt64.self))
        }
        self.init(high: UInt64(bigEndian: words.0), low: UInt64(bigEndian: words.1))
    }

    init(ipv4: UInt32) {
        self.init(high: 0, low: 0xFFFF_0000_0000 | UInt64(ipv4))
    }

    package var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

    /// The network of the address with a prefix of so many bits, by its version.
    package func network(ipv4 bits: Int, ipv6 ipv6Bits: Int) -> IPNetwork {
        IPNetwork(self, prefix: isIPv4 ? bits : ipv6Bits)
    }
}

extension IPAddress: CustomStringConvertible {
    package var description: String {
        guard !isIPv4 else {
            return stride(from: 24, through: 0, by: -8).map { String(low >> UInt64($0) & 0xFF) }.joined(separator: ".")
        }
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        var words = (high.bigEndian, low.bigEndian)
        guard unsafe inet_ntop(AF_INET6, &words, &text, socklen_t(text.count)) != nil else { return "" }
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
