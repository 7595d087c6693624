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

    @Test(arguments: ["0", "abc", "0g", "g0", "+1", " 1", "0x", "é", "１２"])
    func `what is no pair of digits is refused`(text: String) {
        #expect(Hexadecimal.decode(text) == nil)
    }
}
