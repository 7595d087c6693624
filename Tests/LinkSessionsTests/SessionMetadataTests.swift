// What a manufacturer may keep with a session.

import LinkSessions
import Testing

@Suite struct SessionMetadataTests {
    private func members(_ count: Int, value: String = "v") -> [(name: String, value: String)] {
        (0..<count).map { ("name-\($0)", value) }
    }

    @Test func `texts within the bounds are kept, in the order of their names`() throws {
        let all = try SessionMetadata([
            ("b", "2"), ("é", ""), ("a", "1"), ("e\u{301}", String(repeating: "ü", count: 500)),
        ])
        #expect(all.members.map(\.name) == ["a", "b", "e\u{301}", "é"])
        #expect(all.members.map(\.value).first == "1")
        #expect(try SessionMetadata([]).members.isEmpty)
        #expect(try SessionMetadata(members(20, value: "<b> \" \u{1F600}")).members.count == 20)
        #expect(try SessionMetadata([(String(repeating: "\u{1F600}", count: 40), "x")]).members.count == 1)
        // 4096 bytes.
        #expect(
            try SessionMetadata(
                (0..<8).map { ("n-\($0)", String(repeating: "x", count: 500)) } + [
                    ("rest", String(repeating: "x", count: 68))
                ]
            ).members.count == 9)
    }

    @Test func `what breaks a bound is refused with a sentence about metadata that does not repeat it`() {
        let refused: [[(name: String, value: String)]] = [
            members(21), [("", "x")], [(String(repeating: "n", count: 41), "x")],
            [("zq7", String(repeating: "v", count: 501))], [("zq7\u{0}", "v")], [("zq7", "a\nb")], [("zq7", "\u{85}")],
            [("zq7", "1"), ("zq7", "1")],
            (0..<8).map { ("n-\($0)", String(repeating: "x", count: 500)) } + [
                ("rest", String(repeating: "x", count: 69))
            ],
        ]
        for members in refused {
            let error = #expect(throws: ValidationError.self) { try SessionMetadata(members) }
            #expect(error?.rule == .metadata)
            #expect(error?.message.hasPrefix("metadata ") == true && error?.message.contains("zq7") == false)
        }
    }

    @Test func `it does not print itself`() throws {
        let metadata = try SessionMetadata([("name", "zq7secret")])
        #expect(!"\(metadata) \(String(reflecting: LinkSessionOptions(metadata: metadata)))".contains("zq7secret"))
    }
}
