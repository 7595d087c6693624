/// The secret that identifies a link session: 256 random bits as 43 characters of base64url without padding (RFC 4648, section 5).
///
/// Whoever holds the token holds the session, so its text appears in answers to its owner and nowhere else.
package struct LinkToken: Sendable, Redacted {
    /// The 43 characters. A secret: for the answer that carries it and for its digest.
    package let characters: String

    /// `nil` unless the text is the canonical encoding of 32 bytes: the last character's two unused bits are zero
    /// (RFC 4648, section 3.5), so that one token has one spelling.
    package init?(_ text: Substring) {
        // Contiguous, which a part of another text need not be.
        var characters = String(text)
        let isCanonical = characters.withUTF8 { bytes in
            guard bytes.count == 43 else { return false }
            var last: UInt8 = 0
            for byte in bytes {
                guard let value = Base64URL.value(of: byte) else { return false }
                last = value
            }
            return last & 0b11 == 0
        }
        guard isCanonical else { return nil }
        self.characters = characters
    }

    package init?(_ text: String) {
        self.init(text[...])
    }

    /// Encodes 256 random bits.
    package init(words: (UInt64, UInt64, UInt64, UInt64)) {
        let bytes = (words.0.bigEndian, words.1.bigEndian, words.2.bigEndian, words.3.bigEndian)
        characters = unsafe withUnsafeBytes(of: bytes) { unsafe Base64URL.encode($0) }
    }
}
