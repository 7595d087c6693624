// The writer of answers: every text comes back out of a decoder as it went in.

import Foundation
import Testing

@testable import JSON

@Suite struct JSONWriterTests {
    @Test func `members are written in order, without blanks, slashes as they are`() {
        let written = write { object in
            object.add("link_url", "https://auth.nox.energy/ui?token=abc123&language=nl")
            object.add("created_at", 1_703_123_456)
            object.add("completed_at", orNull: nil as Int64?)
            object.add("expires_at", orNull: 1_703_124_056)
        }
        #expect(
            written == #"{"link_url":"https://auth.nox.energy/ui?token=abc123&language=nl","created_at":1703123456,"#
                + #""completed_at":null,"expires_at":1703124056}"#)
    }

    @Test func `an object without members is written as one`() {
        #expect(write { _ in } == "{}")
    }

    @Test func `objects within objects are parted by single commas`() {
        let name = "data\"base"
        let written = write { object in
            object.add("status", "ok")
            object.add("checks") { checks in
                checks.add(name) { $0.add("status", "ok") }
                checks.add("empty") { _ in }
                checks.add("last") { last in
                    last.add("a", "1")
                    last.add("b", "2")
                }
            }
            object.add("after", "x")
        }
        #expect(
            written == #"{"status":"ok","checks":{"data\"base":{"status":"ok"},"empty":{},"#
                + #""last":{"a":"1","b":"2"}},"after":"x"}"#)
    }

    @Test(arguments: [Int64.min, -1, 0, 1, 1_703_123_456, .max])
    func `numbers are written whole`(number: Int64) throws {
        let written = write {
            $0.add("a", number)
            $0.add("b", orNull: number)
        }
        #expect(written == "{\"a\":\(number),\"b\":\(number)}")
    }

    @Test(
        arguments: (0..<0x80).map { String(Unicode.Scalar(UInt8($0))) } + [
            "", "\"", "\\", "\"\\\"", "\\u0000", "\\n", "a\0b", "\r\n", "</script>", "é", "e\u{301}", "\u{212B}", "€",
            "😀", "👩🏽‍🚒", "\u{80}", "\u{85}",
            "\u{2028}\u{2029}", "\u{FEFF}", "\u{FFFF}", "\u{10FFFF}", "\u{D7FF}\u{E000}", "\u{202E}",
            #"","manufacturer":"Another","x":""#, "{\"a\":1}", String(repeating: "\"\\\u{1}é", count: 1000),
        ])
    func `a text comes back as it went in`(text: String) throws {
        let written = write {
            $0.add("before", "x")
            $0.add("text", text)
            $0.add(text + "!") { $0.add("after", text + "y" + text) }
        }
        let decoded = try JSONDecoder().decode(Decoded.self, from: Data(written.utf8))
        #expect(Array(decoded.text.utf8) == Array(text.utf8))
        let nested = try #require(decoded.others.first)
        #expect(decoded.others.count == 1)
        #expect(Array(nested.name.utf8) == Array((text + "!").utf8))
        #expect(Array((nested.members["after"] ?? "").utf8) == Array((text + "y" + text).utf8))
        // What we write we would read.
        #expect(throws: Never.self) { try JSONObject(Array(written.utf8)) }
    }

    @Test func `only quotes, backslashes and control characters are escaped`() {
        let written = write { $0.add("a", "\"\\/\u{1F}\u{20}\u{7F}\u{0}\n\t\u{85}é") }
        #expect(Array(written.utf8) == Array("{\"a\":\"\\\"\\\\/\\u001f \u{7F}\\u0000\\u000a\\u0009\u{85}é\"}".utf8))
    }

    @Test func `arrays and objects of strings are written in the order that is given`() {
        let written = write {
            $0.add("none", strings: [])
            $0.add("some", strings: ["b", "a\""])
            $0.add("nothing", members: [])
            $0.add("names", members: [("b\"", "1"), ("a", "\n")])
            $0.add("last", true)
        }
        #expect(
            written == #"{"none":[],"some":["b","a\""],"nothing":{},"names":{"b\"":"1","a":"\u000a"},"last":true}"#)
    }

    private func write(_ body: (inout JSONWriter) -> Void) -> String {
        String(decoding: JSONWriter.object(body), as: UTF8.self)
    }

    /// `text`, and every member that is an object of texts.
    private struct Decoded: Decodable {
        let text: String
        let others: [(name: String, members: [String: String])]

        private struct Name: CodingKey {
            let stringValue: String
            let intValue: Int? = nil
            init(stringValue: String) { self.stringValue = stringValue }
            init?(intValue: Int) { nil }
        }

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Name.self)
            text = try container.decode(String.self, forKey: Name(stringValue: "text"))
            others = try container.allKeys.filter { !["before", "text"].contains($0.stringValue) }.map { name in
                (name.stringValue, try container.decode([String: String].self, forKey: name))
            }
        }
    }
}
