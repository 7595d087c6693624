// What binds a sign-in to its browser, and whether a request comes from a page of ours.

@testable import AuthenticatorUI
@testable import HTTPServer
import LinkSessions
import NIOHTTP1
import Testing
import TokenGenerator

@Suite struct SignInSecretTests {
    private let token: LinkToken
    private let text: String

    init() throws {
        token = try TokenGenerator().makeToken()
        text = try TokenGenerator().makeSecret()
    }

    @Test func `all that is derived from a secret is 43 characters of base64url, and all of it differs`() throws {
        let secret = try #require(SignInSecret(text, token: token))
        let derived = [secret.state, secret.nonce, secret.codeVerifier, try #require(secret.codeChallenge)]
        for value in derived {
            #expect(value.utf8.count == 43)
            #expect(Base64URL.decode(value)?.count == 32)
        }
        #expect(Set(derived + [Base64URL.encode(secret.id.bytes), text, token.characters]).count == 7)
    }

    @Test func `the challenge is S256 of the verifier, and the id is the digest of the state`() throws {
        let secret = try #require(SignInSecret(text, token: token))
        #expect(secret.id == (try SHA256.digest(of: secret.state)))
        #expect(secret.codeChallenge == Base64URL.encode(try SHA256.digest(of: secret.codeVerifier).bytes))
        let bytes = try #require(Base64URL.decode(text))
        let hmac = try #require(HMACSHA256(secret: bytes))
        for (purpose, value) in [
            ("state", secret.state), ("nonce", secret.nonce), ("code_verifier", secret.codeVerifier),
        ] {
            let code = try hmac.code(of: Array(purpose.utf8))
            #expect(Base64URL.encode(code.bytes) == value, "\(purpose)")
        }
    }

    @Test func `the same secret derives the same, another one nothing of it`() throws {
        let (one, same) = (
            try #require(SignInSecret(text, token: token)), try #require(SignInSecret(text[...], token: token))
        )
        #expect([one.state, one.nonce, one.codeVerifier] == [same.state, same.nonce, same.codeVerifier])
        #expect(one.id == same.id && one.cookieValue == same.cookieValue)
        let other = try #require(SignInSecret(try TokenGenerator().makeSecret(), token: token))
        #expect(
            Set([one.state, one.nonce, one.codeVerifier]).isDisjoint(with: [
                other.state, other.nonce, other.codeVerifier,
            ]))
        #expect(one.id != other.id && one.cookieValue != other.cookieValue)
    }

    @Test func `a secret that is none of 256 bits is refused`() throws {
        for count in [0, 1, 31, 33, 64] {
            #expect(
                SignInSecret(Base64URL.encode([UInt8](repeating: 7, count: count)), token: token) == nil, "\(count)")
        }
        for text in [text + "=", String(text.dropLast()), text + "A", String(text.dropLast()) + "B", " " + text] {
            #expect(SignInSecret(text, token: token) == nil)
        }
    }
}

@Suite struct OriginCheckTests {
    private func request(_ headers: [(String, String)]) -> Request {
        Request(
            id: "1", method: .POST, headers: HTTPHeaders(headers), query: "", body: RequestBody(), parameter: "")
    }

    private let site = "Sec-Fetch-Site"

    @Test func `Fetch Metadata decides where a browser sends it`() {
        let check = OriginCheck(publicBaseURL: "https://auth.example")
        #expect(check.isOwn(request([(site, "same-origin")])))
        // A browser that keeps its Origin to itself, or sends it as null, has still said where the request comes from.
        #expect(check.isOwn(request([(site, "same-origin"), ("Origin", "null")])))
        for value in ["cross-site", "same-site", "none", "", "SAME-ORIGIN", "same-origin, same-origin", "same-origin "]
        {
            #expect(!check.isOwn(request([(site, value)])), "\(value)")
            #expect(!check.isOwn(request([(site, value), ("Origin", "https://auth.example")])), "\(value)")
        }
        #expect(!check.isOwn(request([(site, "same-origin"), (site, "same-origin")])))
        #expect(!check.isOwn(request([(site, "same-origin"), (site, "cross-site")])))
    }

    @Test(
        arguments: [
            ("https://auth.example", "https://auth.example"), ("https://auth.example:443", "https://auth.example"),
            ("https://auth.example:8443", "https://auth.example:8443"),
            ("https://Auth.Example", "https://auth.example"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"), ("http://localhost:80", "http://localhost"),
            ("http://localhost:443", "http://localhost:443"), ("https://auth.example:80", "https://auth.example:80"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ])
    func `without it the one Origin of the public base is ours`(base: String, origin: String) {
        let check = OriginCheck(publicBaseURL: base)
        #expect(check.isOwn(request([("Origin", origin)])))
        #expect(!check.isOwn(request([])))
        for other in [
            "null", "", origin + "/", origin + ":1", origin + ".evil.example", "x" + origin, origin + " ",
            "\(origin), \(origin)", "https://evil.example", origin.replacing("http", with: "ftp"),
        ] {
            #expect(!check.isOwn(request([("Origin", other)])), "\(other)")
        }
        #expect(!check.isOwn(request([("Origin", origin), ("Origin", origin)])))
        #expect(!check.isOwn(request([("Origin", origin), ("Origin", "null")])))
        #expect(
            !check.isOwn(
                request([("Referer", base + "/ui"), ("Host", String(origin.drop { $0 != "/" }.dropFirst(2)))])))
    }
}

@Suite struct SignInCookiesTests {
    private func request(_ cookies: String...) -> Request {
        Request(
            id: "1", method: .GET, headers: HTTPHeaders(cookies.map { ("Cookie", $0) }), query: "", body: RequestBody(),
            parameter: "")
    }

    @Test func `a sign-in's cookie is found among others, and says whose it is`() throws {
        let (token, text) = (try TokenGenerator().makeToken(), try TokenGenerator().makeSecret())
        let secret = try #require(SignInSecret(text, token: token))
        let another = try SHA256.digest(of: text)
        for isSecure in [true, false] {
            let cookies = SignInCookies(isSecure: isSecure)
            let name = "\(isSecure ? "__Host-" : "")sign-in-\(secret.id.hex)"
            let pair = "\(name)=\(text).\(token.characters)"
            for sent in [[pair], ["a=b; \(pair); c"], ["a=b;\(pair)"], ["a=b", pair], ["\(name)=x; \(pair)"]] {
                let request = Request(
                    id: "1", method: .GET, headers: HTTPHeaders(sent.map { ("Cookie", $0) }), query: "",
                    body: RequestBody(), parameter: "")
                let found = try #require(cookies.secret(of: secret.id, in: request), "\(sent.count)")
                #expect(found.state == secret.state && found.token.characters == token.characters)
                #expect(cookies.latestToken(in: request)?.characters == token.characters)
            }
            let other = SignInCookies(isSecure: !isSecure)
            #expect(other.secret(of: secret.id, in: request(pair)) == nil, "the prefix is part of the name")
            #expect(cookies.secret(of: another, in: request(pair)) == nil)
            #expect(cookies.secret(of: secret.id, in: request()) == nil)
            #expect(cookies.latestToken(in: request("a=b")) == nil)
        }
    }

    @Test func `a cookie of another sign-in's name does not count for this one`() throws {
        let token = try TokenGenerator().makeToken()
        let (mine, other) = (try TokenGenerator().makeSecret(), try TokenGenerator().makeSecret())
        let secret = try #require(SignInSecret(mine, token: token))
        let name = "__Host-sign-in-\(secret.id.hex)"
        let cookies = SignInCookies(isSecure: true)
        for value in [
            "\(other).\(token.characters)", mine, "\(mine).", ".\(token.characters)", "",
            "\(mine).\(token.characters).", "\(mine).\(token.characters.dropLast())", "\"\(mine).\(token.characters)\"",
        ] {
            #expect(cookies.secret(of: secret.id, in: request("\(name)=\(value)")) == nil)
        }
    }

    @Test func `a browser keeps twelve, and loses the oldest when it begins anew`() throws {
        let token = try TokenGenerator().makeToken()
        let cookies = SignInCookies(isSecure: true)
        let names = (0..<14).map { "__Host-sign-in-\($0)" }
        let text = try TokenGenerator().makeSecret()
        let secret = try #require(SignInSecret(text, token: token))
        let value = "\(text).\(token.characters)"
        let sent = names.map { "\($0)=x" }.joined(separator: "; ") + "; other=1"
        let attributes = "Path=/; HttpOnly; SameSite=Lax; Secure"
        #expect(
            cookies.added(secret, to: request(sent))
                == names.prefix(3).map { "\($0)=; Max-Age=0; \(attributes)" }
                + ["__Host-sign-in-\(secret.id.hex)=\(value); Max-Age=1500; \(attributes)"])
        #expect(
            SignInCookies(isSecure: false).added(secret, to: request("other=1"))
                == ["sign-in-\(secret.id.hex)=\(value); Max-Age=1500; Path=/; HttpOnly; SameSite=Lax"])
    }
}
