// The digests are SHA-256.

import LinkSessions
import Testing
import TokenGenerator

@Suite struct SHA256Tests {
    @Test(
        arguments: [
            // NIST's examples for FIPS 180-4, and the empty message.
            ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
            ),
        ])
    func `the standard's examples have the standard's digests`(text: String, hex: String) throws {
        let expected = try #require(SHA256Digest(hex: hex))
        #expect(try SHA256.digest(of: text) == expected)
        #expect(try SHA256.digest(of: Array(text.utf8)) == expected)
    }

    @Test func `a million bytes have the standard's digest`() throws {
        let expected = try #require(
            SHA256Digest(hex: "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"))
        #expect(try SHA256.digest(of: [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)) == expected)
        #expect(try SHA256.digest(of: String(repeating: "a", count: 1_000_000)) == expected)
    }

    @Test func `text is digested as its UTF-8 bytes, a NUL among them`() throws {
        let text = "a\0é😀"
        let bytes: [UInt8] = [0x61, 0x00, 0xC3, 0xA9, 0xF0, 0x9F, 0x98, 0x80]
        #expect(try SHA256.digest(of: text) == SHA256.digest(of: bytes))
        #expect(try SHA256.digest(of: "a\0b") != SHA256.digest(of: "a"))
    }

    @Test func `texts that Swift calls equal have different digests when their bytes differ`() throws {
        #expect("e\u{301}" == "\u{E9}")
        #expect(try SHA256.digest(of: "e\u{301}") != SHA256.digest(of: "\u{E9}"))
    }

    @Test func `many threads may make digests at once`() async throws {
        let expected = try #require(
            SHA256Digest(hex: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
        let wrong = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    try (0..<1000).count { _ in try SHA256.digest(of: "abc") != expected }
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(wrong == 0)
    }
}
