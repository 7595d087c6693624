internal import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
internal import TokenGenerator

/// What a browser keeps while its user is at a supplier: for each sign-in a cookie of its own, so that it may be at
/// several at once.
struct SignInCookies: Sendable {
    /// In seconds: a session's ten minutes, the ten in which its result may be fetched, and some to spare.
    private static let maximumAge = 1500
    /// A browser that has more cookies of sign-ins loses the oldest, so that its requests never grow too large.
    private static let limit = 12

    /// Whether browsers reach us by https. The cookie is then this host's alone and never travels in clear text
    /// (RFC 6265bis, section 4.1.3.2); over http, on a developer's machine, not every browser takes such a cookie.
    let isSecure: Bool

    private var prefix: String { isSecure ? "__Host-sign-in-" : "sign-in-" }

    /// The secret of a sign-in, where the request brings it. The name proves nothing, since others may have set the
    /// cookie: the secret must derive the sign-in's id.
    func secret(of id: SHA256Digest, in request: Request) -> SignInSecret? {
        let name = prefix + id.hex
        return cookies(in: request).lazy.filter { $0.name == name }.compactMap { parse($0.value) }.first {
            $0.id.stateDigest == id
        }
    }

    /// The session of the sign-in that the browser began last.
    func latestToken(in request: Request) -> LinkToken? { tokens(in: request).last }

    /// The token of a session of which the browser began a sign-in.
    func token(of session: LinkSessionID, in request: Request) -> LinkToken? {
        tokens(in: request).last { $0.id == session }
    }

    private func tokens(in request: Request) -> [LinkToken] {
        cookies(in: request).filter { $0.name.hasPrefix(prefix) }.compactMap { parse($0.value)?.token }
    }

    /// The `Set-Cookie` fields that add a sign-in's cookie to those that the request brought, and remove what is too
    /// many.
    func added(_ secret: SignInSecret, to request: Request) -> [String] {
        let old = cookies(in: request).filter { $0.name.hasPrefix(prefix) }
        let attributes = "Path=/; HttpOnly; SameSite=Lax" + (isSecure ? "; Secure" : "")
        let removed = old.dropLast(Self.limit - 1).map { "\($0.name)=; Max-Age=0; \(attributes)" }
        return removed + [
            "\(prefix)\(secret.id.stateDigest.hex)=\(secret.cookieValue); Max-Age=\(Self.maximumAge); \(attributes)"
        ]
    }

    private func parse(_ value: Substring) -> SignInSecret? {
        let parts = value.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let token = LinkToken(parts[1]) else { return nil }
        return SignInSecret(parts[0], token: token)
    }

    private func cookies(in request: Request) -> [(name: Substring, value: Substring)] {
        request.headers["cookie"].flatMap { $0.split(separator: ";") }.compactMap { pair in
            let parts = pair.drop { $0 == " " }.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return parts.count == 2 ? (parts[0], parts[1]) : nil
        }
    }
}

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
    /// `S256` of RFC 7636, section 4.2.
    let codeChallenge: String
    /// The session and the digest of the state: names the sign-in.
    let id: SignIn.ID

    /// `nil` where the secret is none of 256 bits, or OpenSSL refuses.
    init?(_ secret: some StringProtocol, token: LinkToken) {
        guard let bytes = Base64URL.decode(secret), bytes.count == 32, let hmac = HMACSHA256(secret: bytes) else {
            return nil
        }
        do throws(OpenSSLError) {
            // The session's id stands in it too, so that what comes back with it is found where the session lies.
            state = Base64URL.encode(token.id.bytes + (try hmac.code(of: Array("state".utf8)).bytes))
            id = SignIn.ID(session: token.id, stateDigest: try SHA256.digest(of: state))
            nonce = Base64URL.encode(try hmac.code(of: Array("nonce".utf8)).bytes)
            codeVerifier = Base64URL.encode(try hmac.code(of: Array("code_verifier".utf8)).bytes)
            codeChallenge = Base64URL.encode(try SHA256.digest(of: codeVerifier).bytes)
        } catch {
            return nil
        }
        self.token = token
        self.secret = String(secret)
    }

    /// For the browser's cookie alone.
    var cookieValue: String { "\(secret).\(token.characters)" }
}

extension SignIn.ID {
    /// For the `state` of a callback.
    init?(state: String) {
        guard let bytes = Base64URL.decode(state), bytes.count == 48,
            let session = LinkSessionID(bytes: bytes.prefix(16)), let digest = try? SHA256.digest(of: state)
        else { return nil }
        self.init(session: session, stateDigest: digest)
    }

    /// For the path of a sign-in's page: ``text``.
    init?(_ text: String) {
        guard let bytes = Hexadecimal.decode(text), bytes.count == 48,
            let session = LinkSessionID(bytes: bytes.prefix(16)),
            let digest = SHA256Digest(bytes: Array(bytes.suffix(32)))
        else { return nil }
        self.init(session: session, stateDigest: digest)
    }

    /// 96 hexadecimal digits.
    var text: String { Hexadecimal.encode(session.bytes + stateDigest.bytes) }
}
