// A link token has one spelling, holds its session's id, and does not show itself.

import Foundation
import LinkSessions
import Testing

@Suite struct LinkTokenTests {
    /// The bytes 0 to 39 but for the version and the variant of the id, and their base64url as other encoders write it.
    private static let secret: (UInt64, UInt64, UInt64) = (
        0x1011_1213_1415_1617, 0x1819_1A1B_1C1D_1E1F, 0x2021_2223_2425_2627
    )
    private static let id = "00010203-0405-7607-8809-0a0b0c0d0e0f"
    private static let text = "AAECAwQFdgeICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJw"
    private static let start = String(text.prefix(53))
    private static let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    /// The token's text with another character at a place.
    private static func text(with character: Character, at place: Int) -> String {
        var characters = Array(text)
        characters[place] = character
        return String(characters)
    }

    @Test func `the encoding is base64url without padding of the id and the secret, most significant bit first`() throws
    {
        let id = try #require(LinkSessionID(Self.id))
        #expect(LinkToken(id: id, secret: Self.secret).characters == Self.text)
        #expect(LinkToken(id: id, secret: Self.secret).id == id)
    }

    @Test func `no bits and all bits encode to the ends of the alphabet`() throws {
        let none = LinkToken(id: LinkSessionID(ticks: 0, shard: 0, random: 0), secret: (0, 0, 0))
        #expect(none.characters == "AAAAAAAAcACAAAAAAAAAAA" + String(repeating: "A", count: 32))
        let all = LinkToken(id: LinkSessionID(ticks: .max, shard: .max, random: .max), secret: (.max, .max, .max))
        #expect(all.characters == "________f_-" + String(repeating: "_", count: 42) + "w")
    }

    @Test func `the encoding is the one of Foundation`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<100 {
            let id = LinkSessionID(
                ticks: generator.next(), shard: .random(in: .min ... .max), random: generator.next())
            let words = [id.words.0, id.words.1, generator.next(), generator.next(), generator.next()]
            let bytes = words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) } }
            let expected = Data(bytes).base64EncodedString()
                .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
            #expect(LinkToken(id: id, secret: (words[2], words[3], words[4])).characters == expected)
        }
    }

    @Test func `what was encoded is accepted, kept as it is, and tells its session`() {
        #expect(LinkToken(Self.text)?.characters == Self.text)
        #expect(LinkToken("/\(Self.text)/".dropFirst().dropLast())?.characters == Self.text)
        #expect(LinkToken(Self.text)?.id.text == Self.id)
        #expect(LinkToken(Self.text)?.id.shard == 9)
    }

    @Test
    func `every character of the alphabet is accepted at every place but the last, the version's and the variant's`() {
        for place in 0..<53 where place != 8 && place != 10 {
            for character in Self.alphabet {
                #expect(LinkToken(Self.text(with: character, at: place)) != nil, "\(character) at \(place)")
            }
        }
    }

    @Test func `the last character is one of the 4 whose unused bits are zero`() {
        #expect(Self.alphabet.filter { LinkToken(Self.text(with: $0, at: 53)) != nil } == "AQgw")
    }

    @Test func `a token that begins with no UUIDv7 is refused`() {
        // Its version is four bits of one character, its variant two of another.
        #expect(Self.alphabet.filter { LinkToken(Self.text(with: $0, at: 8)) != nil } == "cdef")
        #expect(Self.alphabet.filter { LinkToken(Self.text(with: $0, at: 10)) != nil } == "CGKOSWaeimquy26-")
        #expect(LinkToken(String(repeating: "A", count: 54)) == nil)
        #expect(LinkToken(String(repeating: "_", count: 53) + "w") == nil)
    }

    @Test func `any other length is refused`() {
        let longer = String(repeating: Self.text, count: 3)
        for count in 0...162 where count != 54 {
            #expect(LinkToken(longer.prefix(count)) == nil, "\(count)")
            // An `A` is canonical as the last character of any length.
            guard count > 0 else { continue }
            #expect(LinkToken(longer.prefix(count - 1) + "A") == nil, "\(count)")
        }
    }

    @Test(arguments: ["+", "/", "=", ".", "~", " ", "%", "\0", "\n", "@", "[", "`", "{", ":", ",", "\u{7F}"])
    func `a character outside the alphabet is refused wherever it stands`(character: Character) {
        for place in 0..<54 { #expect(LinkToken(Self.text(with: character, at: place)) == nil, "\(place)") }
    }

    @Test func `54 characters that are more bytes are refused, and so are 54 bytes that are fewer characters`() {
        #expect(LinkToken(Self.start + "é") == nil)
        #expect(LinkToken(Self.start.dropLast() + "é") == nil)
        // FULLWIDTH LATIN CAPITAL LETTER A.
        #expect(LinkToken(String(repeating: "\u{FF21}", count: 54)) == nil)
        #expect(LinkToken(String(repeating: "\u{FF21}", count: 18)) == nil)
    }

    @Test func `padding is refused`() {
        #expect(LinkToken(Self.text + "=") == nil)
        #expect(LinkToken(Self.text + "==") == nil)
        #expect(LinkToken(Self.start + "=") == nil)
    }

    @Test func `a token neither prints, dumps nor mirrors itself`() throws {
        let token = try #require(LinkToken(Self.text))
        var dumped = ""
        dump(["key": [token]], to: &dumped)
        let shown = [
            "\(token)", String(describing: token), String(reflecting: token), "\([token])", "\(Optional(token) as Any)",
            String(reflecting: (token, 1)), dumped,
        ]
        for text in shown { #expect(!text.contains(Self.text)) }
        #expect(Mirror(reflecting: token).children.isEmpty)
    }
}
