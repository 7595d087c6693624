// The secret of a sign-in, and all that is derived from it.

internal import LinkSessions
internal import TokenGenerator

/// What binds a sign-in to the browser that began it.
///
/// The secret is in that browser's cookie alone. `state`, `nonce` and code verifier, which the supplier sees, are
/// HMACs under it, and the database keeps a digest of the state: so neither knows the secret, and a browser that has
/// the secret of a sign-in is the one that began it.
///
/// The session's link token stands beside the secret in the cookie, since the browser needs it again when it comes
/// back: no URL at the supplier carries it, and the database keeps only its digest.
struct SignInSecret {
    let token: LinkToken
    private let secret: String
    /// `state` of RFC 6749, section 4.1.1.
    let state: String
    /// `nonce` of OpenID Connect Core 1.0, section 3.1.2.1; derived as section 15.5.2 has it.
    let nonce: String
    /// RFC 7636, section 4.1.
    let codeVerifier: String
    /// The digest of the state: names the sign-in.
    let id: SHA256Digest

    /// `nil` where the secret is none of 256 bits, or OpenSSL refuses.
    init?(_ secret: some StringProtocol, token: LinkToken) {
        guard let bytes = Base64URL.decode(secret), bytes.count == 32, let hmac = HMACSHA256(secret: bytes),
            let state = try? hmac.code(of: Array("state".utf8)), let nonce = try? hmac.code(of: Array("nonce".utf8)),
            let verifier = try? hmac.code(of: Array("code_verifier".utf8))
        else { return nil }
        self.state = Base64URL.encode(state.bytes)
        guard let id = try? SHA256.digest(of: self.state) else { return nil }
        self.token = token
        self.secret = String(secret)
        self.nonce = Base64URL.encode(nonce.bytes)
        codeVerifier = Base64URL.encode(verifier.bytes)
        self.id = id
    }

    /// For the browser's cookie alone.
    var cookieValue: String { "\(secret).\(token.characters)" }

    /// `S256` of RFC 7636, section 4.2; `nil` where OpenSSL refuses.
    var codeChallenge: String? {
        (try? SHA256.digest(of: codeVerifier)).map { Base64URL.encode($0.bytes) }
    }
}
