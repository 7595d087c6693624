// The manufacturer's own user id: what is refused, and that nothing else is touched.

import LinkSessions
import Testing

@Suite struct ManufacturerUserIDTests {
    @Test(
        arguments: [
            "manufacturer_user_id_123", "0", "a b", " a", "a ", "\u{A0}a\u{2003}", "ü", "用户", "👩🏽‍🚒", "🇳🇱",
            "{\"user\":\"\\\"}", "<script>", "'; DROP TABLE link_sessions; --", "%00", "\\u0000", "null",
            // Next to the control characters on either side, and the ends of Unicode.
            "a\u{A0}", "~", "\u{FEFF}a", "\u{FFFF}", "\u{10FFFF}", "\u{E000}",
        ])
    func `an id is kept byte for byte`(text: String) throws {
        #expect(try Array(ManufacturerUserID(text).text.utf8) == Array(text.utf8))
    }

    @Test(
        arguments: [
            ("e\u{301}", [0x65, 0xCC, 0x81]), ("\u{E9}", [0xC3, 0xA9]), ("\u{212B}", [0xE2, 0x84, 0xAB]),
            ("\u{1100}\u{1161}", [0xE1, 0x84, 0x80, 0xE1, 0x85, 0xA1]), ("\u{FB01}", [0xEF, 0xAC, 0x81]),
        ] as [(String, [UInt8])])
    func `an id is never normalised`(text: String, bytes: [UInt8]) throws {
        #expect(try Array(ManufacturerUserID(text).text.utf8) == bytes)
    }

    @Test(arguments: ["a", "é", "€", "😀", "\u{301}"])
    func `256 Unicode scalars are accepted and 257 are refused, however many bytes they are`(scalar: String) throws {
        let longest = String(repeating: scalar, count: 256)
        #expect(try ManufacturerUserID(longest).text.unicodeScalars.count == 256)
        expectRefused(longest + scalar, "at most 256")
    }

    @Test func `scalars are counted, not characters`() throws {
        // 128 letters with an accent each: 128 characters, 256 scalars.
        let accented = String(repeating: "e\u{301}", count: 128)
        #expect(try ManufacturerUserID(accented).text.unicodeScalars.count == 256)
        expectRefused(accented + "\u{301}", "at most 256")
        // 7 scalars each, joined: far fewer than 257 characters.
        expectRefused(String(repeating: "👨‍👩‍👧‍👦", count: 37), "at most 256")
    }

    @Test func `blanks count towards the length`() {
        expectRefused("a" + String(repeating: " ", count: 256), "at most 256")
    }

    @Test func `an empty id is refused`() {
        expectRefused("", "empty")
    }

    @Test(
        arguments: [
            " ", "   ", "\u{A0}", "\u{1680}", "\u{2000}", "\u{2003}", "\u{2009}", "\u{2028}", "\u{2029}", "\u{202F}",
            "\u{205F}", "\u{3000}", " \u{A0}\u{2003} ",
        ])
    func `blanks alone are refused`(text: String) {
        expectRefused(text, "blanks")
    }

    @Test(
        arguments: Array(0x00...0x1F) + Array(0x7F...0x9F))
    func `a control character is refused wherever it stands`(value: UInt32) throws {
        let control = String(try #require(Unicode.Scalar(value)))
        for text in [control, control + "a", "a" + control, "a" + control + "b", control + "\u{301}"] {
            expectRefused(text, "control characters")
        }
    }

    @Test func `a line break hides in no character`() {
        expectRefused("a\r\nb", "control characters")
    }

    @Test func `an id neither prints, dumps nor mirrors itself, and no refusal repeats it`() throws {
        let id = try ManufacturerUserID("sesame")
        var dumped = ""
        dump([id], to: &dumped)
        for text in ["\(id)", String(reflecting: id), "\([id])", "\(Optional(id) as Any)", dumped] {
            #expect(!text.contains("sesame"))
        }
        #expect(Mirror(reflecting: id).children.isEmpty)
        for text in ["sesame\0", String(repeating: "sesame", count: 100)] {
            let refusal = #expect(throws: ValidationError.self) { try ManufacturerUserID(text) }
            #expect(refusal?.message.contains("sesame") == false)
        }
    }

    @Test func `ids are equal byte for byte: texts that only look equal are two users`() throws {
        for (one, other) in [
            ("e\u{301}", "\u{E9}"), ("\u{212B}", "\u{C5}"), ("\u{1100}\u{1161}", "\u{AC00}"),
        ] {
            #expect(one == other, "Swift calls these texts equal")
            #expect(try ManufacturerUserID(one) != ManufacturerUserID(other))
            #expect(try ManufacturerUserID(one) == ManufacturerUserID(one))
        }
        for (one, other) in [("a", "A"), ("a", "a "), ("a", "\u{430}"), ("\u{FB01}", "fi"), ("a", "aa")] {
            #expect(try ManufacturerUserID(one) != ManufacturerUserID(other))
        }
    }

    private func expectRefused(_ text: String, _ reason: String, sourceLocation: SourceLocation = #_sourceLocation) {
        let refusal = #expect(throws: ValidationError.self, sourceLocation: sourceLocation) {
            try ManufacturerUserID(text)
        }
        guard let refusal else { return }
        #expect(refusal.rule == .userID, sourceLocation: sourceLocation)
        #expect(refusal.message.hasPrefix("user_id "), sourceLocation: sourceLocation)
        #expect(refusal.message.contains(reason), sourceLocation: sourceLocation)
    }
}
