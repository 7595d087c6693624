// Suppliers that decline, fail or cannot be reached: what their user is told, and that it leaves nothing behind.

import Foundation
import LinkSessions
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct SupplierFailureTests {
        @Test func `a provider whose metadata cannot be used is told apart from the user's fault, at once`()
            async throws
        {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let path = "/.well-known/openid-configuration"
                    let changes: [(String, @Sendable (inout ScriptedProvider.Script) -> Void)] = [
                        ("another issuer", { $0.metadata = ["issuer": "https://evil.example"] }),
                        ("a slash more", { $0.metadata = ["issuer": "\(provider.issuer)/"] }),
                        (
                            "an endpoint in clear text",
                            { $0.metadata = ["token_endpoint": "http://evil.example/token"] }
                        ),
                        (
                            "an endpoint that is no URL",
                            { $0.metadata = ["authorization_endpoint": "javascript:alert(1)"] }
                        ),
                        ("status 500", { $0.answers[path] = (500, [], "{}") }),
                        (
                            "a redirect",
                            { $0.answers[path] = (302, [("location", "\(provider.issuer)/elsewhere")], "") }
                        ),
                        ("no JSON", { $0.answers[path] = (200, [], "<html>") }),
                        ("too much", { $0.metadata = ["x": String(repeating: "x", count: 300_000)] }),
                        ("too slow", { $0.delay = .seconds(8) }),
                        ("byte by byte", { $0.byteDelay = .milliseconds(100) }),
                    ]
                    for (what, change) in changes {
                        provider.script.withLock {
                            $0 = ScriptedProvider.Script()
                            change(&$0)
                        }
                        let token = try await service.createdToken()
                        let browser = TestBrowser(service)
                        let (duration, page) = try await timed { try await browser.start(token, at: "mock-energy") }
                        #expect((page.status, page.name) == (424, "failed"), "\(what)")
                        #expect(duration < .seconds(5), "\(what): \(duration)")
                        #expect(page.link("again").contains(token) && !page.link("back").isEmpty, "\(what)")
                        #expect(browser.cookies.withLock { $0.isEmpty }, "\(what)")
                        #expect(try await service.events(token) == ["sign_in_refused supplier_unavailable"], "\(what)")
                    }
                    #expect(provider.count("/elsewhere") == 0)
                    // Nothing of it is remembered.
                    provider.script.withLock { $0 = ScriptedProvider.Script() }
                    #expect(
                        try await TestBrowser(service).start(try await service.createdToken(), at: "mock-energy").name
                            == "continue")
                }
            }
        }

        @Test func `in production a provider whose address is not public is asked nothing, and the log says why`()
            async throws
        {
            let production = ["LINK_SESSION_ENV": "production", "HTTP_HOST": "127.0.0.1", "SANDBOX_SIGNING_KEY": ""]
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider, environment: production) { service in
                    let key = TestKeys.manufacturer("acme", for: .live)
                    try await service.database.addKey(key, manufacturer: "Acme Manufacturing")
                    try await wait(until: "the key works") { try await service.create(key: key).status == 201 }
                    let token = try await service.createdToken(key: key)
                    let page = try await TestBrowser(service).start(token, at: "mock-energy")
                    #expect((page.status, page.name) == (424, "failed"))
                    #expect(try await service.events(token) == ["sign_in_refused supplier_unavailable"])
                    try await service.process.waitForLog("the address is not public", within: 10)
                    #expect(provider.requests.withLock { $0.isEmpty })
                }
            }
        }

        @Test func `a token endpoint that fails, or sends us elsewhere, signs nobody in, and no secret follows`()
            async throws
        {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let elsewhere = [("location", "\(provider.issuer)/elsewhere")]
                    for (what, answer, reason) in [
                        ("status 500", (500, [], "{}"), "supplier_failed"),
                        ("a redirect", (307, elsewhere, ""), "supplier_failed"),
                        ("no ID token", (200, [], #"{"access_token":"a"}"#), "supplier_failed"),
                        ("no JSON", (200, [], "<html>"), "supplier_failed"),
                        ("status 401", (401, [], #"{"error":"invalid_client"}"#), "supplier_failed"),
                        ("another client's code", (401, [], #"{"error":"invalid_grant"}"#), "code_refused"),
                    ] as [(String, ScriptedProvider.Answer, String)] {
                        provider.script.withLock { $0.answers["/token"] = answer }
                        let token = try await service.createdToken()
                        let (_, page) = try await TestBrowser(service).signIn(token, at: provider)
                        #expect((page.status, page.name) == (200, "failed"), "\(what)")
                        #expect(try await service.events(token).last == "sign_in_refused \(reason)", "\(what)")
                        #expect(try await service.status(token) == "open", "\(what)")
                    }
                    #expect(provider.count("/elsewhere") == 0)
                }
            }
        }

        @Test func `a supplier that declines or fails leaves the session open, and the user a way on`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    for (query, name, reason) in [
                        ("error=access_denied", "failed", "declined"), ("error=login_required", "failed", "declined"),
                        ("error=server_error&error_description=secret", "failed", "supplier_failed"),
                        ("error=%3Cscript%3E", "failed", "supplier_failed"), ("", "failed", "supplier_failed"),
                        ("code=", "failed", "supplier_failed"), ("code=unknown", "failed", "code_refused"),
                    ] {
                        let token = try await service.createdToken()
                        let browser = TestBrowser(service)
                        let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                        let answer = try await browser.get(
                            "/ui/callback/mock-energy?state=\(request["state"])&\(query)")
                        let page = try await browser.get(answer.location)
                        #expect((page.status, page.name) == (200, name), "\(query)")
                        #expect(try await service.events(token).last == "sign_in_refused \(reason)", "\(query)")
                        #expect(try await service.status(token) == "open", "\(query)")
                        #expect(page.link("again") == "/ui?token=\(token)&language=en", "\(query)")
                        #expect(ReturnedResult(page.link("back"))?.members["status"] == .string("failed"), "\(query)")
                        #expect(!page.response.text.contains("<script>") && !page.response.text.contains("secret"))
                        // And the user may try again.
                        #expect(try await browser.signIn(token, at: provider).page.name == "confirm", "\(query)")
                    }
                }
            }
        }
    }
}
