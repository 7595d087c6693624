// The codes are HMAC-SHA-256.

import LinkSessions
import Testing
import TokenGenerator

@Suite struct HMACSHA256Tests {
    @Test(
        arguments: [
            // RFC 4231, sections 4.2, 4.3 and 4.5: their keys are shorter than 32 bytes, but RFC 2104 fills a key up with
            // zeros, so that one with zeros at its end is the same key.
            (
                [UInt8](repeating: 0x0B, count: 20), Array("Hi There".utf8),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                Array("Jefe".utf8), Array("what do ya want for nothing?".utf8),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                Array(UInt8(1)...25), [UInt8](repeating: 0xCD, count: 50),
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"
            ),
            // Sections 4.7 and 4.8: a key longer than SHA-256's block.
            (
                [UInt8](repeating: 0xAA, count: 131),
                Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
            (
                [UInt8](repeating: 0xAA, count: 131),
                Array(
                    "This is a test using a larger than block-size key and a larger than block-size data. The key needs to be hashed before being used by the HMAC algorithm."
                        .utf8),
                "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"
            ),
        ] as [([UInt8], [UInt8], String)])
    func `the standard's examples have the standard's codes`(key: [UInt8], message: [UInt8], hex: String) throws {
        let filled = key + [UInt8](repeating: 0, count: max(0, 32 - key.count))
        let hmac = try #require(HMACSHA256(secret: filled))
        #expect(try hmac.code(of: message) == SHA256Digest(hex: hex))
    }

    @Test func `a secret of 32 bytes or more is accepted and a shorter one refused`() {
        for count in 0..<32 {
            #expect(HMACSHA256(secret: [UInt8](repeating: 1, count: count)) == nil, "\(count) bytes")
        }
        for count in [32, 33, 64, 65, 1024] {
            #expect(HMACSHA256(secret: [UInt8](repeating: 1, count: count)) != nil, "\(count) bytes")
        }
    }

    @Test func `the code depends on the secret, on the message and on nothing else`() throws {
        let secret = [UInt8](repeating: 1, count: 32)
        let (one, same) = (try #require(HMACSHA256(secret: secret)), try #require(HMACSHA256(secret: secret)))
        let other = try #require(HMACSHA256(secret: [UInt8](repeating: 1, count: 31) + [2]))
        #expect(try one.code(of: [1, 2]) == same.code(of: [1, 2]))
        #expect(try one.code(of: [1, 2]) == one.code(of: [1, 2]))
        #expect(try one.code(of: [1, 2]) != other.code(of: [1, 2]))
        #expect(try one.code(of: [1, 2]) != one.code(of: [1, 3]))
        #expect(try one.code(of: []) != one.code(of: [0]))
        let long = [UInt8](repeating: 7, count: 100_000)
        #expect(try one.code(of: long) != one.code(of: long.dropLast()))
    }

    @Test func `a secret neither prints, dumps nor mirrors itself`() throws {
        let hmac = try #require(HMACSHA256(secret: [UInt8](repeating: 217, count: 32)))
        var dumped = ""
        dump(["key": [hmac]], to: &dumped)
        for text in ["\(hmac)", String(reflecting: hmac), "\([hmac])", "\(Optional(hmac) as Any)", dumped] {
            #expect(!text.contains("217"))
        }
        #expect(Mirror(reflecting: hmac).children.isEmpty)
    }
}
