package import LinkSessions

/// A secret behind creates with an Idempotency-Key. The token of such a session is not random but derived, so that a
/// create that is sent again is answered with the same one, and nothing that is stored gives it away.
package struct IdempotencySecret: Sendable, Redacted {
    private let hmac: HMACSHA256
    /// By which a replica finds the secret again that a session's token was derived under. No secret: eight bytes of a
    /// code tell nothing of what it was made with.
    package let id: Int64

    /// - Parameter secret: 32 bytes or more.
    package init?(secret: [UInt8]) {
        guard let hmac = HMACSHA256(secret: secret), let code = try? hmac.code(of: Array("id".utf8)) else { return nil }
        self.hmac = hmac
        id = Int64(bitPattern: code.leadingWords.0)
    }

    /// The token of the session that a manufacturer made under a key.
    package func token(
        of session: LinkSessionID, _ manufacturer: Manufacturer.ID, _ key: IdempotencyKey
    ) throws(OpenSSLError) -> LinkToken {
        // What precedes the key is always of one length, so that no two sessions have one message.
        let message = Array("token ".utf8) + manufacturer.bytes + session.bytes + key.bytes
        return LinkToken(id: session, secret: try hmac.code(of: message).leadingWords)
    }

    /// What tells a request from one with other fields, and tells nobody else anything about these.
    package func digest(of request: NewLinkSession) throws(OpenSSLError) -> SHA256Digest {
        try hmac.code(of: Array("request ".utf8) + request.canonicalForm)
    }
}

extension IdempotencyKey {
    /// By which the key is found. Made without a secret, so that it stays the same when those change: whoever has a copy
    /// of the database can see whether a key that he guesses was used, and such a key opens nothing.
    package func digest(of manufacturer: Manufacturer.ID) throws(OpenSSLError) -> SHA256Digest {
        try SHA256.digest(of: manufacturer.bytes + bytes)
    }
}

extension Manufacturer.ID {
    fileprivate var bytes: [UInt8] {
        let number = number.bigEndian
        return unsafe withUnsafeBytes(of: number) { unsafe Array($0) }
    }
}
