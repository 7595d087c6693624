// A link token has one spelling, and does not show it.

import Foundation
import LinkSessions
import Testing

@Suite struct LinkTokenTests {
    /// The bytes 0 to 31 as big-endian words, and their base64url as other encoders write it.
    private static let words: (UInt64, UInt64, UInt64, UInt64) = (
        0x0001_0203_0405_0607, 0x0809_0A0B_0C0D_0E0F, 0x1011_1213_1415_1617, 0x1819_1A1B_1C1D_1E1F
    )
    private static let text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    private static let start = String(text.prefix(42))

    @Test func `the encoding is base64url without padding, most significant bit first`() {
        #expect(LinkToken(words: Self.words).characters == Self.text)
    }

    @Test func `no bits and all bits encode to the ends of the alphabet`() {
        #expect(LinkToken(words: (0, 0, 0, 0)).characters == String(repeating: "A", count: 43))
        #expect(LinkToken(words: (.max, .max, .max, .max)).characters == String(repeating: "_", count: 42) + "8")
    }

    @Test func `the encoding is the one of Foundation`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<100 {
            let words = [generator.next(), generator.next(), generator.next(), generator.next()]
            let bytes = words.flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) } }
            let expected = Data(bytes).base64EncodedString()
                .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
            #expect(LinkToken(words: (words[0], words[1], words[2], words[3])).characters == expected)
        }
    }

    @Test func `what was encoded is accepted, and kept as it is`() {
        #expect(LinkToken(Self.text)?.characters == Self.text)
        #expect(LinkToken("/\(Self.text)/".dropFirst().dropLast())?.characters == Self.text)
    }

    @Test func `every character of the alphabet is accepted at every place but the last`() {
        for character in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
            #expect(LinkToken(String(repeating: character, count: 42) + "A") != nil)
        }
    }

    @Test func `the last character is one of the 16 whose unused bits are zero`() {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        let accepted = alphabet.filter { LinkToken(Self.start + String($0)) != nil }
        #expect(accepted == "AEIMQUYcgkosw048")
    }

    @Test(arguments: [0, 1, 42, 44, 86])
    func `any other length is refused`(count: Int) {
        #expect(LinkToken(String(repeating: "A", count: count)) == nil)
    }

    @Test(arguments: ["+", "/", "=", ".", "~", " ", "%", "\0", "\n", "@", "[", "`", "{", ":", ",", "\u{7F}"])
    func `a character outside the alphabet is refused wherever it stands`(character: String) {
        for place in 0..<43 {
            var characters = Array(String(repeating: "A", count: 43)).map(String.init)
            characters[place] = character
            #expect(LinkToken(characters.joined()) == nil)
        }
    }

    @Test func `43 characters that are more bytes are refused, and so are 43 bytes that are fewer characters`() {
        #expect(LinkToken(String(repeating: "A", count: 42) + "é") == nil)
        #expect(LinkToken(String(repeating: "A", count: 41) + "é") == nil)
        // FULLWIDTH LATIN CAPITAL LETTER A.
        #expect(LinkToken(String(repeating: "\u{FF21}", count: 43)) == nil)
    }

    @Test func `padding is refused`() {
        #expect(LinkToken(Self.text + "=") == nil)
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
