// Base64url has one spelling for every text of bytes.

import Foundation
import LinkSessions
import Testing

@Suite struct Base64URLTests {
    private static let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

    @Test(
        arguments: [
            // RFC 4648, section 10, without padding.
            ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"),
            ("foobar", "Zm9vYmFy"),
        ])
    func `the standard's examples are encoded and decoded so`(text: String, encoded: String) {
        #expect(Base64URL.encode(Array(text.utf8)) == encoded)
        #expect(Base64URL.decode(encoded) == Array(text.utf8))
    }

    @Test func `the two characters that differ from plain base64 are the hyphen and the underscore`() {
        #expect(Base64URL.encode([0xFB, 0xEF, 0xBE]) == "----")
        #expect(Base64URL.encode([0xFF, 0xFF, 0xFF]) == "____")
        #expect(Base64URL.decode("-_-_") == [0xFB, 0xFF, 0xBF])
        #expect(Base64URL.encode((0..<48).map { UInt8($0 * 4 / 3) }).count == 64)
    }

    @Test func `bytes of every length come back as they went in, and are written as Foundation writes them`() {
        var generator = SystemRandomNumberGenerator()
        for count in 0...130 {
            let bytes = (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            let encoded = Base64URL.encode(bytes)
            #expect(encoded.utf8.count == (count * 4 + 2) / 3)
            #expect(Base64URL.decode(encoded) == bytes)
            let expected = Data(bytes).base64EncodedString()
                .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
            #expect(encoded == expected)
        }
    }

    @Test func `a part of a text is decoded as if it stood alone`() {
        #expect(Base64URL.decode("xZm9vYmFyx".dropFirst().dropLast()) == Array("foobar".utf8))
    }

    @Test func `a last character whose unused bits are not zero is refused`() {
        func accepted(after start: String) -> String {
            Self.alphabet.filter { Base64URL.decode(start + String($0)) != nil }
        }
        #expect(accepted(after: "Z") == "AQgw")
        #expect(accepted(after: "Zm") == "AEIMQUYcgkosw048")
        #expect(accepted(after: "Zm9") == Self.alphabet)
        #expect(accepted(after: "Zm9vY") == "AQgw")
    }

    @Test func `a length that no bytes have is refused`() {
        for count in stride(from: 1, through: 65, by: 4) {
            #expect(Base64URL.decode(String(repeating: "A", count: count)) == nil, "\(count) characters")
        }
    }

    @Test(arguments: ["Zg=", "Zg==", "Zm8=", "=", "====", "Zm9v="])
    func `padding is refused`(text: String) {
        #expect(Base64URL.decode(text) == nil)
    }

    @Test func `a character outside the alphabet is refused wherever it stands`() throws {
        let inside = Set(Self.alphabet.utf8)
        for byte in UInt8(0)..<0x80 where !inside.contains(byte) {
            for place in 0..<8 {
                var bytes = Array("Zm9vYmFy".utf8)
                bytes[place] = byte
                let text = try #require(String(validating: bytes, as: UTF8.self))
                #expect(Base64URL.decode(text) == nil, "\(text.debugDescription)")
            }
        }
        // FULLWIDTH LATIN CAPITAL LETTER A, and a letter with its accent apart.
        for text in ["\u{FF21}AAA", "AAA\u{FF21}", "AAAe\u{301}", "AAAé"] { #expect(Base64URL.decode(text) == nil) }
    }
}
