// Names and labels: what people read is what is stored.

import LinkSessions
import Testing

@Suite struct DisplayTextTests {
    @Test func `names of the world are taken as they are`() throws {
        for text in [
            "Acme", "O'Hara & Søns", "日本ヒートポンプ", "שלום", "a\u{301}", "x", String(repeating: "é", count: 200), "👩‍🔧",
        ] {
            #expect(try DisplayText(text).text == text)
        }
    }

    @Test func `what is empty, too long or blank at its ends is refused`() {
        for text in ["", String(repeating: "x", count: 201), " x", "x ", "x\u{A0}", "\u{3000}x", " "] {
            #expect(throws: DisplayTextError.self, "\(text.debugDescription)") { try DisplayText(text) }
        }
    }

    static let deceiving: [Unicode.Scalar] =
        ["\u{0}", "\t", "\n", "\r", "\u{1B}", "\u{7F}", "\u{85}", "\u{9B}", "\u{61C}", "\u{200E}", "\u{200F}"]
        + ["\u{2028}", "\u{2029}", "\u{202A}", "\u{202B}", "\u{202C}", "\u{202D}", "\u{202E}"]
        + ["\u{2066}", "\u{2067}", "\u{2068}", "\u{2069}", "\u{AD}", "\u{200B}", "\u{2060}", "\u{FEFF}"]

    @Test func `control, bidirectional and invisible characters are refused, and escaped where they are shown`() {
        for scalar in Self.deceiving {
            let text = "a\(scalar)b"
            #expect {
                try DisplayText(text)
            } throws: {
                ($0 as? DisplayTextError)?.expectation
                    == "text without control, bidirectional or invisible characters"
            }
            let hex = String(scalar.value, radix: 16, uppercase: true)
            #expect(DisplayText.escaped(text) == "a\\u{\(hex)}b")
        }
        #expect(DisplayText.escaped("Søn 日本") == "Søn 日本")
    }

    @Test func `a brand is more than the marks that part its words`() throws {
        #expect(try DisplayText(brand: "alpha-innotec").text == "alpha-innotec")
        for text in ["-", "_-", "- _"] {
            #expect(throws: DisplayTextError.self) { try DisplayText(brand: text) }
        }
    }
}
