// Hexadecimal digits, there and back.

import LinkSessions
import Testing

@Suite struct HexadecimalTests {
    @Test func `every byte is two digits in lower case, and read in either case`() {
        let bytes = Array(UInt8.min...UInt8.max)
        let text = Hexadecimal.encode(bytes)
        #expect(text.hasPrefix("000102") && text.contains("7f8081") && text.hasSuffix("fdfeff"))
        #expect(Hexadecimal.decode(text) == bytes)
        #expect(Hexadecimal.decode(text.uppercased()) == bytes)
        #expect(Hexadecimal.encode([]) == "")
        #expect(Hexadecimal.decode("") == [])
    }

    @Test func `a number is 16 digits, the most significant first`() {
        #expect(Hexadecimal.encode(0x0123_4567_89AB_CDEF as UInt64) == "0123456789abcdef")
        #expect(Hexadecimal.encode(0 as UInt64) == "0000000000000000")
    }

    @Test(arguments: ["0", "abc", "0g", "g0", "+1", " 1", "0x", "é", "１２"])
    func `what is no pair of digits is refused`(text: String) {
        #expect(Hexadecimal.decode(text) == nil)
    }
}
