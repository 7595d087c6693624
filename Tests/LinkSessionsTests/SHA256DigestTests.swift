// A digest is 32 bytes, however it is written.

import LinkSessions
import Testing

@Suite struct SHA256DigestTests {
    private static let hex = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1eff"
    private static let bytes = Array(UInt8(0)..<31) + [0xFF]

    @Test func `bytes come back as they went in`() throws {
        let digest = try #require(SHA256Digest(bytes: Self.bytes))
        #expect(digest.bytes == Self.bytes)
    }

    @Test func `words are big-endian, the first 8 bytes first`() {
        let digest = SHA256Digest(
            words: (0x0001_0203_0405_0607, 0x0809_0A0B_0C0D_0E0F, 0x1011_1213_1415_1617, 0x1819_1A1B_1C1D_1EFF))
        #expect(digest.bytes == Self.bytes)
    }

    @Test func `hexadecimal digits of either case are read`() {
        #expect(SHA256Digest(hex: Self.hex)?.bytes == Self.bytes)
        #expect(SHA256Digest(hex: Self.hex.uppercased())?.bytes == Self.bytes)
        #expect(SHA256Digest(hex: " \(Self.hex) ".dropFirst().dropLast())?.bytes == Self.bytes)
    }

    @Test(arguments: [0, 1, 31, 33, 64])
    func `another number of bytes is refused`(count: Int) {
        #expect(SHA256Digest(bytes: [UInt8](repeating: 1, count: count)) == nil)
    }

    @Test(arguments: [0, 1, 2, 62, 63, 65, 66, 128])
    func `another number of hexadecimal digits is refused`(count: Int) {
        #expect(SHA256Digest(hex: String(repeating: "a", count: count)) == nil)
    }

    @Test(arguments: ["g", "G", "/", ":", "@", "`", " ", "-", "+", "x", "\0", "\n"])
    func `a character that is no hexadecimal digit is refused wherever it stands`(character: String) {
        for place in 0..<64 {
            var digits = [String](repeating: "0", count: 64)
            digits[place] = character
            #expect(SHA256Digest(hex: digits.joined()) == nil)
        }
    }

    @Test func `64 bytes of other characters and 64 other digits are refused`() {
        #expect(SHA256Digest(hex: String(repeating: "é", count: 32)) == nil)
        // FULLWIDTH DIGIT ZERO.
        #expect(SHA256Digest(hex: String(repeating: "\u{FF10}", count: 64)) == nil)
    }

    @Test func `digests are equal only when all 256 bits are`() throws {
        let digest = try #require(SHA256Digest(bytes: Self.bytes))
        #expect(digest == SHA256Digest(hex: Self.hex))
        for bit in 0..<256 {
            var bytes = Self.bytes
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(try #require(SHA256Digest(bytes: bytes)) != digest)
        }
    }

    @Test func `a set tells digests apart that differ in their last bit alone`() throws {
        let one = try #require(SHA256Digest(bytes: Self.bytes))
        let other = try #require(SHA256Digest(bytes: Self.bytes.dropLast() + [0xFE]))
        #expect(Set([one, other, one]).count == 2)
    }
}
