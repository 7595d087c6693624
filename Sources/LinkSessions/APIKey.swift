/// A manufacturer's API key: `nox_live_` or `nox_test_`, 256 random bits as 43 characters of base64url (RFC 4648, section 5), then the CRC-32 of
/// all that as 6 base62 digits.
///
/// The form lets secret scanners find a leaked key, and a mistyped one be told from an unknown one.
package struct APIKey: Sendable, Redacted {
    /// What a key is for: a live one is of no use in a test environment, nor the other way about.
    ///
    /// The raw value is what its keys begin with.
    package enum Environment: String, Sendable, CaseIterable {
        case live = "nox_live_"
        case test = "nox_test_"
    }

    /// A secret: for the manufacturer, and for its digest.
    package let characters: String

    package init(for environment: Environment, words: (UInt64, UInt64, UInt64, UInt64)) {
        let body = environment.rawValue + Base64URL.encode(words: words)
        characters = body + Self.checksum(of: body.utf8)
    }

    /// Whether the text can be a key that counts in the environment.
    package static func isWellFormed(_ text: String, in environment: Environment) -> Bool {
        let (bytes, kind) = (text.utf8, environment.rawValue.utf8)
        let body = bytes.dropLast(6)
        return bytes.count == kind.count + 43 + 6 && bytes.starts(with: kind)
            && Base64URL.decode(Substring(body.dropFirst(kind.count))) != nil
            && checksum(of: body).utf8.elementsEqual(bytes.suffix(6))
    }

    /// Whether the text holds the beginning of a key, wherever it stands.
    package static func isMentioned(in text: String) -> Bool {
        Environment.allCases.contains { text.contains($0.rawValue) }
    }

    private static func checksum(of bytes: some Sequence<UInt8>) -> String {
        var rest = bytes.reduce(UInt32.max) { crc, byte in crc >> 8 ^ table[Int((crc ^ UInt32(byte)) & 0xFF)] } ^ .max
        var digits: [UInt8] = []
        for _ in 0..<6 {
            digits.append(base62[Int(rest % 62)])
            rest /= 62
        }
        return String(decoding: digits.reversed(), as: UTF8.self)
    }

    /// CRC-32 as in ISO 3309 and RFC 1952, section 8: polynomial `EDB88320`, reflected.
    private static let table = (0..<256 as Range<UInt32>).map { byte in
        (0..<8).reduce(byte) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xEDB8_8320 : crc >> 1 }
    }

    private static let base62 = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
}
