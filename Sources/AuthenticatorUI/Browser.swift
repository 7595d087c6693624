// What comes from a browser: form fields, the cookie of a sign-in, and where a request was made.

internal import HTTPServer
internal import LinkSessions
internal import NIOHTTP1
internal import TokenGenerator

/// The fields of a query or of a form (URL standard, section 5.1). A field that occurs twice, or cannot be read, is none.
struct FormFields {
    private var fields: [String: String] = [:]
    /// The names of fields that are none, as far as they could be read.
    private(set) var unusable: Set<String> = []

    init(_ text: some StringProtocol) {
        for field in text.utf8.split(separator: UInt8(ascii: "&")) {
            let parts = field.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decoded(parts[0]) else { continue }
            guard let value = parts.count > 1 ? Self.decoded(parts[1]) : "", fields[name] == nil else {
                unusable.insert(name)
                continue
            }
            fields[name] = value
        }
        for name in unusable { fields[name] = nil }
    }

    subscript(name: String) -> String? { fields[name] }

    /// `nil` for what is not percent-encoded UTF-8.
    private static func decoded(_ text: some Sequence<UInt8>) -> String? {
        let withBlanks = text.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }
        return PercentEncoding.decode(withBlanks[...]).flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// Name and value pairs as a query or a form.
    static func encode(_ fields: [(String, String)]) -> String {
        fields.map { "\($0)=\(PercentEncoding.encode($1))" }.joined(separator: "&")
    }
}

extension Language {
    /// The one of ours that a browser's user likes best (RFC 9110, section 12.5.4); `nil` where there is none.
    init?(acceptLanguage: String) {
        var best: (language: Language, weight: Double)?
        for range in acceptLanguage.split(separator: ",") {
            let parts = range.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
            guard let tag = parts.first?.prefix(while: { $0 != "-" }), let language = Language(rawValue: String(tag))
            else { continue }
            let weight = parts.dropFirst().first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 } ?? 1
            if weight > 0, weight > best?.weight ?? 0 { best = (language, weight) }
        }
        guard let best else { return nil }
        self = best.language
    }
}

/// What binds a sign-in to the browser that began it. The secret is in the browser's cookie alone; all that the
/// supplier gets to see is derived from it, and all that the database keeps is a digest of that: whoever has the secret
/// of a sign-in's id is the browser that began.
///
/// The token is in the cookie because no URL has it after the supplier, and the database never.
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

    /// A secret: for the browser alone.
    var cookieValue: String { "\(secret).\(token.characters)" }

    /// `S256` of RFC 7636, section 4.2; `nil` where OpenSSL refuses.
    var codeChallenge: String? {
        (try? SHA256.digest(of: codeVerifier)).map { Base64URL.encode($0.bytes) }
    }
}

/// The cookies of sign-ins, one each, so that a browser may be at several at once.
struct SignInCookies: Sendable {
    /// Whole life of a session and of its result, and some minutes more.
    private static let maximumAge = 1500
    /// A browser that has more loses the oldest, so that its requests never grow too large.
    private static let limit = 12

    /// By https: of this host alone, and never in clear text (RFC 6265bis, section 4.1.3.2).
    let isSecure: Bool

    private var prefix: String { isSecure ? "__Host-sign-in-" : "sign-in-" }

    /// The cookie of a sign-in, where the browser sent it and it belongs to it.
    func secret(of id: SHA256Digest, in request: Request) -> SignInSecret? {
        let name = prefix + id.hex
        for cookie in cookies(in: request) where cookie.name == name {
            guard let secret = parse(cookie.value), secret.id == id else { continue }
            return secret
        }
        return nil
    }

    /// The session of the latest sign-in that the browser remembers.
    func latestToken(in request: Request) -> LinkToken? {
        cookies(in: request).last { $0.name.hasPrefix(prefix) }.flatMap { parse($0.value)?.token }
    }

    /// `Set-Cookie` fields that add a sign-in's cookie to those that the request brought.
    func added(_ secret: SignInSecret, to request: Request) -> [String] {
        let old = cookies(in: request).filter { $0.name.hasPrefix(prefix) }
        let attributes = "Path=/; HttpOnly; SameSite=Lax" + (isSecure ? "; Secure" : "")
        let removed = old.dropLast(Self.limit - 1).map { "\($0.name)=; Max-Age=0; \(attributes)" }
        return removed + ["\(prefix)\(secret.id.hex)=\(secret.cookieValue); Max-Age=\(Self.maximumAge); \(attributes)"]
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

/// Whether a request was made by one of our own pages (Fetch Metadata, section 2.3; RFC 6454, section 7).
struct OriginCheck: Sendable {
    private let origin: String

    init(publicBaseURL: String) {
        let lower = publicBaseURL.lowercased()
        let port = lower.hasPrefix("https:") ? ":443" : ":80"
        origin = lower.hasSuffix(port) ? String(lower.dropLast(port.count)) : lower
    }

    func isOwn(_ request: Request) -> Bool {
        let sites = request.headers["sec-fetch-site"]
        if !sites.isEmpty { return sites == ["same-origin"] }
        return request.headers["origin"] == [origin]
    }
}
