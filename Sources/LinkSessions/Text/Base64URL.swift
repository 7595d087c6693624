/// Base64url (RFC 4648, section 5) without padding, for what goes into URLs, cookies and JSON web tokens.
package enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

    package static func encode(_ bytes: [UInt8]) -> String {
        bytes.withUnsafeBytes { unsafe encode($0) }
    }

    /// 256 bits, the first word's first byte first: 43 characters.
    package static func encode(words: (UInt64, UInt64, UInt64, UInt64)) -> String {
        let bytes = (words.0.bigEndian, words.1.bigEndian, words.2.bigEndian, words.3.bigEndian)
        return unsafe withUnsafeBytes(of: bytes) { unsafe encode($0) }
    }

    static func encode(_ bytes: UnsafeRawBufferPointer) -> String {
        // A global is looked up whenever it is named.
        let alphabet = alphabet
        let length = (bytes.count * 4 + 2) / 3
        return String(unsafeUninitializedCapacity: length) { characters in
            for index in 0..<length {
                // The six bits of a character lie in one byte or in two.
                let (byte, bit) = (index * 6).quotientAndRemainder(dividingBy: 8)
                let next = byte + 1 < bytes.count ? unsafe bytes[byte + 1] : 0
                let pair = unsafe Int(bytes[byte]) << 8 | Int(next)
                characters[index] = alphabet[pair >> (10 - bit) & 0x3F]
            }
            return length
        }
    }

    /// `nil` unless the text is the canonical encoding of some bytes: unused last bits are zero (RFC 4648, section 3.5).
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        var bytes: [UInt8] = []
        var bits = 0
        var count = 0
        for character in text.utf8 {
            guard let value = value(of: character) else { return nil }
            bits = bits << 6 | Int(value)
            count += 6
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(bits >> count))
                bits &= (1 << count) - 1
            }
        }
        return count < 6 && bits == 0 ? bytes : nil
    }

    private static func value(of character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): character - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0") + 52
        case UInt8(ascii: "-"): 62
        case UInt8(ascii: "_"): 63
        default: nil
        }
    }
}
