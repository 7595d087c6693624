/// A link session's id: a UUIDv7 (RFC 9562, section 5.7). Public: it names the session in logs, events and support, and
/// opens nothing.
package struct LinkSessionID: Sendable, Hashable, Comparable {
    /// The 16 bytes, the first one first.
    package let words: (UInt64, UInt64)

    /// - Parameters:
    ///   - ticks: 4096ths of a millisecond since 1970. Their last 12 bits stand in place of random ones, so that ids
    ///     that are made one after the other ascend (section 6.2, method 3).
    ///   - shard: sessions with the same one lie together.
    ///   - random: of which the last 54 bits count.
    package init(ticks: UInt64, shard: UInt8, random: UInt64) {
        words = (
            (ticks >> 12) << 16 | 0x7000 | ticks & 0xFFF,
            0b10 << 62 | (random >> 48 & 0x3F) << 56 | UInt64(shard) << 48 | random & 0xFFFF_FFFF_FFFF
        )
    }

    /// The smallest id of a second, which is one of the years up to 9999.
    package static func first(at second: UnixSeconds) -> LinkSessionID {
        LinkSessionID(ticks: UInt64(max(0, second)) * 1000 << 12, shard: 0, random: 0)
    }

    /// `nil` unless they are the bytes of a UUIDv7.
    package init?(words: (UInt64, UInt64)) {
        guard words.0 >> 12 & 0xF == 7, words.1 >> 62 == 0b10 else { return nil }
        self.words = words
    }

    /// `nil` unless they are the 16 bytes of a UUIDv7.
    package init?(bytes: ArraySlice<UInt8>) {
        guard bytes.count == 16 else { return nil }
        func word(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        self.init(words: (word(bytes.prefix(8)), word(bytes.suffix(8))))
    }

    /// `nil` unless the text is a UUIDv7 as ``text`` writes it: one id has one spelling.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count == 36 else { return nil }
        let groups = text.split(separator: "-", omittingEmptySubsequences: false)
        guard groups.map(\.utf8.count) == [8, 4, 4, 4, 12], !text.utf8.contains(where: \.isASCIIUppercase),
            let bytes = Hexadecimal.decode(groups.joined())
        else { return nil }
        self.init(bytes: bytes[...])
    }

    /// What all sessions of one INSERT share: the tenth byte.
    package var shard: UInt8 { UInt8(truncatingIfNeeded: words.1 >> 48) }

    package var bytes: [UInt8] {
        let words = (words.0.bigEndian, words.1.bigEndian)
        return unsafe withUnsafeBytes(of: words) { unsafe Array($0) }
    }

    /// The canonical form: 36 characters, hexadecimal digits in lower case (RFC 9562, section 4).
    package var text: String {
        String(unsafeUninitializedCapacity: 36) { characters in
            var place = 0
            for index in 0..<16 {
                if index == 4 || index == 6 || index == 8 || index == 10 {
                    characters[place] = UInt8(ascii: "-")
                    place += 1
                }
                let byte = UInt8(truncatingIfNeeded: (index < 8 ? words.0 : words.1) >> (56 - index % 8 * 8))
                characters[place] = Hexadecimal.digits[Int(byte >> 4)]
                characters[place + 1] = Hexadecimal.digits[Int(byte & 0xF)]
                place += 2
            }
            return place
        }
    }

    package static func == (left: Self, right: Self) -> Bool { left.words == right.words }

    package static func < (left: Self, right: Self) -> Bool { left.words < right.words }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(words.0)
        hasher.combine(words.1)
    }
}
