// The cookies of sign-ins: what a browser keeps while its user is at a supplier.

internal import HTTPServer
internal import LinkSessions
internal import NIOHTTP1

/// Each sign-in has a cookie of its own, so that a browser may be at several at once.
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
        for cookie in cookies(in: request) where cookie.name == name {
            guard let secret = parse(cookie.value), secret.id == id else { continue }
            return secret
        }
        return nil
    }

    /// The session of the sign-in that the browser began last.
    func latestToken(in request: Request) -> LinkToken? {
        cookies(in: request).last { $0.name.hasPrefix(prefix) }.flatMap { parse($0.value)?.token }
    }

    /// The `Set-Cookie` fields that add a sign-in's cookie to those that the request brought, and remove what is too
    /// many.
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
