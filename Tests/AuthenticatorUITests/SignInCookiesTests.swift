// The cookies of sign-ins: which are read, which are set, and how many a browser keeps.

@testable import AuthenticatorUI
@testable import HTTPServer
import LinkSessionRepository
import LinkSessions
import NIOHTTP1
import Testing
import TokenGenerator

@Suite struct SignInCookiesTests {
    private func request(_ cookies: String...) -> Request {
        Request(
            id: "1", method: .GET, headers: HTTPHeaders(cookies.map { ("Cookie", $0) }), query: "", body: RequestBody(),
            parameter: "")
    }

    @Test func `a sign-in's cookie is found among others, and says whose it is`() throws {
        let (token, text) = (try TokenGenerator().makeToken(), try TokenGenerator().makeSecret())
        let secret = try #require(SignInSecret(text, token: token))
        let (id, another) = (secret.id.stateDigest, try SHA256.digest(of: text))
        for isSecure in [true, false] {
            let cookies = SignInCookies(isSecure: isSecure)
            let name = "\(isSecure ? "__Host-" : "")sign-in-\(id.hex)"
            let pair = "\(name)=\(text).\(token.characters)"
            for sent in [[pair], ["a=b; \(pair); c"], ["a=b;\(pair)"], ["a=b", pair], ["\(name)=x; \(pair)"]] {
                let request = Request(
                    id: "1", method: .GET, headers: HTTPHeaders(sent.map { ("Cookie", $0) }), query: "",
                    body: RequestBody(), parameter: "")
                let found = try #require(cookies.secret(of: id, in: request), "\(sent.count)")
                #expect(found.state == secret.state && found.token.characters == token.characters)
                #expect(cookies.latestToken(in: request)?.characters == token.characters)
            }
            let other = SignInCookies(isSecure: !isSecure)
            #expect(other.secret(of: id, in: request(pair)) == nil, "the prefix is part of the name")
            #expect(cookies.secret(of: another, in: request(pair)) == nil)
            #expect(cookies.secret(of: id, in: request()) == nil)
            #expect(cookies.latestToken(in: request("a=b")) == nil)
        }
    }

    @Test func `a cookie of another sign-in's name does not count for this one`() throws {
        let token = try TokenGenerator().makeToken()
        let (mine, other) = (try TokenGenerator().makeSecret(), try TokenGenerator().makeSecret())
        let secret = try #require(SignInSecret(mine, token: token))
        let name = "__Host-sign-in-\(secret.id.stateDigest.hex)"
        let cookies = SignInCookies(isSecure: true)
        for value in [
            "\(other).\(token.characters)", mine, "\(mine).", ".\(token.characters)", "",
            "\(mine).\(token.characters).", "\(mine).\(token.characters.dropLast())", "\"\(mine).\(token.characters)\"",
        ] {
            #expect(cookies.secret(of: secret.id.stateDigest, in: request("\(name)=\(value)")) == nil)
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
                + ["__Host-sign-in-\(secret.id.stateDigest.hex)=\(value); Max-Age=1500; \(attributes)"])
        #expect(
            SignInCookies(isSecure: false).added(secret, to: request("other=1"))
                == ["sign-in-\(secret.id.stateDigest.hex)=\(value); Max-Age=1500; Path=/; HttpOnly; SameSite=Lax"])
    }
}
