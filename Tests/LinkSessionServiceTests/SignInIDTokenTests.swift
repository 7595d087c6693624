// ID tokens and key sets of a provider, over the whole way: what they are refused for, and how often keys are fetched.

import Foundation
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct SignInIDTokenTests {
        @Test func `an ID token that is not for this sign-in, from this issuer, signed by its key signs nobody in`()
            async throws
        {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    @Sendable func header(_ json: String) -> String {
                        Data(json.utf8).base64EncodedString().replacing("=", with: "")
                    }
                    let now = Date().timeIntervalSince1970
                    let changes: [(String, @Sendable (inout ScriptedProvider.Script) -> Void)] = [
                        ("another audience", { $0.changeClaims = { $0.aud = ["client-2"] } }),
                        ("no audience", { $0.changeClaims = { $0.aud = [] } }),
                        (
                            "two audiences and nobody named",
                            { $0.changeClaims = { $0.aud = ["client-1", "client-2"] } }
                        ),
                        ("another party", { $0.changeClaims = { $0.azp = "client-2" } }),
                        ("another issuer", { $0.changeClaims = { $0.iss += "/" } }),
                        ("another nonce", { $0.changeClaims = { $0.nonce = String(repeating: "A", count: 43) } }),
                        ("no nonce", { $0.changeClaims = { $0.nonce = nil } }),
                        ("expired", { $0.changeClaims = { $0.exp = now - 120 } }),
                        ("of the future", { $0.changeClaims = { $0.iat = now + 600 } }),
                        ("no subject", { $0.changeClaims = { $0.sub = nil } }),
                        ("an empty subject", { $0.changeClaims = { $0.sub = "" } }),
                        ("a subject with a control character", { $0.changeClaims = { $0.sub = "a\nb" } }),
                        ("a subject of 256", { $0.changeClaims = { $0.sub = String(repeating: "s", count: 256) } }),
                        ("another key under the same id", { $0.keyID = "foreign" }),
                        ("a key that is not published", { $0.keyID = "key-2" }),
                        (
                            "a changed claim",
                            {
                                $0.changeToken = { token in
                                    var parts = token.split(separator: ".").map(String.init)
                                    parts[1] = String(parts[1].dropLast(4)) + "AAAA"
                                    return parts.joined(separator: ".")
                                }
                            }
                        ),
                        (
                            "no signature",
                            { $0.changeToken = { $0.prefix { $0 != "." } + "." + $0.split(separator: ".")[1] + "." } }
                        ),
                        ("no algorithm", { $0.changeToken = { header(#"{"alg":"none"}"#) + $0.drop { $0 != "." } } }),
                        (
                            "a shared secret",
                            { $0.changeToken = { header(#"{"alg":"HS256","kid":"key-1"}"#) + $0.drop { $0 != "." } } }
                        ),
                        (
                            "another algorithm",
                            { $0.changeToken = { header(#"{"alg":"RS256","kid":"key-1"}"#) + $0.drop { $0 != "." } } }
                        ),
                        (
                            "a critical extension",
                            {
                                $0.changeToken = {
                                    header(#"{"alg":"ES256","kid":"key-1","crit":["x"]}"#) + $0.drop { $0 != "." }
                                }
                            }
                        ),
                        ("no token at all", { $0.changeToken = { _ in "nonsense" } }),
                    ]
                    for (what, change) in changes {
                        let script = provider.script.withLock { script in
                            let before = script
                            change(&script)
                            return before
                        }
                        let token = try await service.createdToken()
                        let browser = TestBrowser(service)
                        let (path, page) = try await browser.signIn(token, at: provider)
                        #expect((page.status, page.name) == (200, "failed"), "\(what)")
                        #expect(try await browser.post(path).name == "failed", "\(what)")
                        #expect(try await service.status(token) == "open", "\(what)")
                        #expect(try await service.events(token).last == "sign_in_refused id_token_invalid", "\(what)")
                        #expect(ReturnedResult(page.link("back"))?.members["status"] == .string("failed"), "\(what)")
                        provider.script.withLock { $0 = script }
                    }
                    // Two audiences are fine where the party is named.
                    provider.script.withLock {
                        $0.changeClaims = { ($0.aud, $0.azp) = (["x", "client-1"], "client-1") }
                    }
                    let (_, page) = try await TestBrowser(service).signIn(
                        try await service.createdToken(), at: provider)
                    #expect(page.name == "confirm")
                }
            }
        }

        @Test func `a new key is fetched when a token names it, and an unknown one at most once a minute`() async throws
        {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let browser = TestBrowser(service)
                    let page = { () async throws -> String in
                        try await browser.signIn(try await service.createdToken(), at: provider).page.name
                    }
                    let (first, second) = (try await page(), try await page())
                    #expect((first, second) == ("confirm", "confirm"))
                    #expect(provider.count("/keys") == 1)
                    #expect(provider.count("/.well-known/openid-configuration") == 1)
                    provider.script.withLock { $0.keyID = "key-2" }
                    for _ in 0..<3 {
                        let name = try await page()
                        #expect(name == "failed")
                    }
                    #expect(provider.count("/keys") == 2)
                }
            }
        }
    }
}
