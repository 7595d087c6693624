/// The secret that opens a link session: its id and 192 random bits, as 54 characters of base64url without padding
/// (RFC 4648, section 5).
///
/// Whoever holds the token holds the session, so its text appears in answers to its owner and nowhere else.
package struct LinkToken: Sendable, Redacted {
    /// The 54 characters. A secret: for the answer that carries it and for its digest.
    package let characters: String
    package let id: LinkSessionID

    /// `nil` unless the text is the canonical encoding of an id and 24 bytes: the last character's four unused bits are
    /// zero (RFC 4648, section 3.5), so that one token has one spelling.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count == 54, let bytes = Base64URL.decode(text), let id = LinkSessionID(bytes: bytes.prefix(16))
        else { return nil }
        // Contiguous, which a part of another text need not be.
        characters = String(text)
        self.id = id
    }

    /// - Parameter secret: random bits.
    package init(id: LinkSessionID, secret: (UInt64, UInt64, UInt64)) {
        let words = (
            id.words.0.bigEndian, id.words.1.bigEndian, secret.0.bigEndian, secret.1.bigEndian, secret.2.bigEndian
        )
        characters = unsafe withUnsafeBytes(of: words) { unsafe Base64URL.encode($0) }
        self.id = id
    }
}
