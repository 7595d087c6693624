// A link session's id is a UUIDv7 with one spelling.

import LinkSessions
import Testing

@Suite struct LinkSessionIDTests {
    private static let text = "018c8f5d-4a3b-7abc-b0de-123456789abc"
    private static let words: (UInt64, UInt64) = (0x018C_8F5D_4A3B_7ABC, 0xB0DE_1234_5678_9ABC)

    /// The text with other characters from a place on.
    private static func text(with characters: String, at place: Int) -> String {
        text.prefix(place) + characters + text.dropFirst(place + characters.count)
    }

    // MARK: Layout

    @Test func `the first 48 bits are the milliseconds, the next ones the version and the 4096th of a millisecond`() {
        let id = LinkSessionID(ticks: 0x018C_8F5D_4A3B << 12 | 0xABC, shard: 0, random: 0)
        #expect(id.words.0 == Self.words.0)
    }

    @Test func `then come the variant, 6 random bits, the shard, and 48 random bits`() {
        #expect(LinkSessionID(ticks: 0, shard: 0, random: 0).words.1 == 0x8000_0000_0000_0000)
        #expect(LinkSessionID(ticks: 0, shard: 0xDE, random: 0).words.1 == 0x80DE_0000_0000_0000)
        #expect(LinkSessionID(ticks: 0, shard: 0, random: 0x003F_FFFF_FFFF_FFFF).words.1 == 0xBF00_FFFF_FFFF_FFFF)
        // The ten bits before them are not used.
        #expect(LinkSessionID(ticks: 0, shard: 0, random: 0xFFC0_0000_0000_0000).words.1 == 0x8000_0000_0000_0000)
    }

    @Test func `whatever it is made of, version and variant stay, and the shard is the tenth byte`() {
        var generator = SystemRandomNumberGenerator()
        for shard in UInt8.min ... .max {
            let id = LinkSessionID(ticks: generator.next(), shard: shard, random: generator.next())
            #expect(id.bytes.count == 16)
            #expect(id.bytes[6] >> 4 == 7)
            #expect(id.bytes[8] >> 6 == 0b10)
            #expect(id.bytes[9] == shard)
            #expect(id.shard == shard)
            #expect(LinkSessionID(words: id.words) == id)
            #expect(LinkSessionID(bytes: id.bytes[...]) == id)
            #expect(LinkSessionID(id.text) == id)
        }
    }

    @Test func `an id of a later tick is greater, whatever its shard and its random bits are`() {
        let ticks: [UInt64] = [0, 1, 0xFFF, 0x1000, 0x1001, 0x018C_8F5D_4A3B_FFF, 0x018C_8F5D_4A3C_000]
        let ids = ticks.enumerated().map { place, ticks in
            place % 2 == 0
                ? LinkSessionID(ticks: ticks, shard: .max, random: .max)
                : LinkSessionID(ticks: ticks, shard: 0, random: 0)
        }
        for (earlier, later) in zip(ids, ids.dropFirst()) {
            #expect(earlier < later)
            #expect(!(later < earlier))
            // PostgreSQL compares a UUID's bytes, and so does a list of texts.
            #expect(earlier.bytes.lexicographicallyPrecedes(later.bytes))
            #expect(earlier.text < later.text)
        }
    }

    @Test func `ids are equal only when all 128 bits are`() throws {
        let id = try #require(LinkSessionID(Self.text))
        for bit in 0..<128 where !(48..<52).contains(bit) && !(64..<66).contains(bit) {
            var bytes = id.bytes
            bytes[bit / 8] ^= 0x80 >> UInt8(bit % 8)
            let other = try #require(LinkSessionID(bytes: bytes[...]))
            #expect(other != id)
            #expect(Set([id, other, id]).count == 2)
            #expect((other < id) != (id < other))
        }
    }

    // MARK: Text

    @Test func `the text is 36 characters, hexadecimal digits in lower case`() throws {
        let id = try #require(LinkSessionID(words: Self.words))
        #expect(id.text == Self.text)
        #expect(LinkSessionID(Self.text)?.words.0 == Self.words.0)
        #expect(LinkSessionID(Self.text)?.words.1 == Self.words.1)
        #expect(LinkSessionID("/\(Self.text)/".dropFirst().dropLast()) == id)
    }

    @Test func `an upper-case digit is refused wherever it stands`() {
        #expect(LinkSessionID(Self.text.uppercased()) == nil)
        for (place, character) in Self.text.enumerated() where character.isLetter {
            #expect(LinkSessionID(Self.text(with: character.uppercased(), at: place)) == nil, "\(place)")
        }
    }

    @Test func `another version or variant is refused`() {
        let digits = "0123456789abcdef"
        #expect(digits.filter { LinkSessionID(Self.text(with: String($0), at: 14)) != nil } == "7")
        #expect(digits.filter { LinkSessionID(Self.text(with: String($0), at: 19)) != nil } == "89ab")
        for text in ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"] {
            #expect(LinkSessionID(text) == nil)
        }
        for (first, second) in [(0, 0), (.max, .max), (Self.words.0 ^ 0x1000, Self.words.1), (Self.words.0, 0)]
            as [(UInt64, UInt64)]
        {
            #expect(LinkSessionID(words: (first, second)) == nil)
        }
    }

    @Test func `braces, a prefix, 32 digits, and hyphens in wrong places are refused`() {
        let digits = Self.text.replacing("-", with: "")
        for text in [
            "{\(Self.text)}", "urn:uuid:\(Self.text)", "(\(Self.text))", digits, "0x\(digits)",
            "{\(digits.dropLast(2))}",
            "\(digits)----", "----\(digits)", "018c8f5d4-a3b-7abc-b0de-123456789abc",
            "018c8f5d-4a3b7-abc-b0de-123456789abc",
            "018c8f5d-4a3b-7abc-b0de1-23456789abc", "018c-8f5d-4a3b-7abc-b0de123456789abc",
            "018c8f5d-4a3b-7abc--b0de123456789abc", "-18c8f5d-4a3b-7abc-b0de-123456789abc",
            "018c8f5d-4a3b-7abc-b0de-123456789ab-", "018c8f5d_4a3b_7abc_b0de_123456789abc",
            "018c8f5d 4a3b 7abc b0de 123456789abc", "018c8f5d\u{2010}4a3b\u{2010}7abc\u{2010}b0de\u{2010}1234567",
        ] {
            #expect(LinkSessionID(text) == nil, "\(text)")
        }
    }

    @Test func `every other length is refused`() {
        for count in 0..<36 { #expect(LinkSessionID(Self.text.prefix(count)) == nil, "\(count)") }
        for more in ["0", "c", "-", " ", "\n", "\0", Self.text] {
            #expect(LinkSessionID(Self.text + more) == nil, "\(more.debugDescription)")
            #expect(LinkSessionID(more + Self.text) == nil, "\(more.debugDescription)")
        }
    }

    @Test(arguments: ["g", "/", ":", "@", "`", " ", "+", "x", "-", "\0", "\n", "\u{7F}"])
    func `a character that is no hexadecimal digit is refused wherever a digit stands`(character: String) {
        for (place, digit) in Self.text.enumerated() where digit != "-" {
            #expect(LinkSessionID(Self.text(with: character, at: place)) == nil, "\(place)")
        }
    }

    @Test func `36 bytes of other characters and 36 other characters are refused`() {
        // A letter of two bytes, in place of two digits and of one.
        #expect(LinkSessionID(Self.text.dropLast(2) + "é") == nil)
        #expect(LinkSessionID(Self.text.dropLast() + "é") == nil)
        #expect(LinkSessionID("é" + Self.text.dropFirst(2)) == nil)
        #expect(LinkSessionID(String(repeating: "é", count: 18)) == nil)
        // FULLWIDTH DIGIT ZERO.
        #expect(LinkSessionID(Self.text.replacing("0", with: "\u{FF10}")) == nil)
        #expect(LinkSessionID(Self.text.dropLast(3) + "\u{FF10}") == nil)
    }

    @Test(arguments: [0, 1, 15, 17, 32]) func `another number of bytes is refused`(count: Int) {
        let bytes = [UInt8](repeating: 0x77, count: 6) + [0x7A, 0xBC, 0xB0] + [UInt8](repeating: 0x77, count: 23)
        #expect(LinkSessionID(bytes: bytes.prefix(16)) != nil)
        #expect(LinkSessionID(bytes: bytes.prefix(count)) == nil)
    }

    @Test func `its bytes may be a part of a longer array`() throws {
        let id = try #require(LinkSessionID(Self.text))
        #expect(LinkSessionID(bytes: ([1, 2, 3] + id.bytes + [4])[3..<19]) == id)
        #expect(LinkSessionID(bytes: ([1, 2, 3] + id.bytes + [4])[2..<18]) == nil)
    }
}
