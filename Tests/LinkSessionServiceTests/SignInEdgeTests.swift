// Signing in when something is odd: profiles, key sets, noise, and two looks at once.

import Foundation
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct SignInEdgeTests {
        @Test func `whatever a user's profile says, the account is shown masked and short`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let accents = String(repeating: "\u{301}", count: 400)
                    let profiles: [@Sendable (inout ScriptedProvider.Claims) -> Void] = [
                        { $0.email = "jan@x.nl" + accents },
                        { ($0.email, $0.preferred_username) = (nil, "e" + accents) },
                        { ($0.email, $0.preferred_username) = (nil, "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}") },
                        { $0.email = "jan@" + String(repeating: "\u{200B}", count: 60) },
                        { $0.email = "@" }, { $0.email = "" },
                        { ($0.email, $0.preferred_username) = (nil, "\u{202E}gnp.exe") },
                        { ($0.email, $0.name) = (nil, 5) },
                        { ($0.email, $0.sub) = (nil, String(repeating: "\u{1F600}", count: 255)) },
                    ]
                    for (index, profile) in profiles.enumerated() {
                        provider.script.withLock { $0.changeClaims = profile }
                        let token = try await service.createdToken()
                        let browser = TestBrowser(service)
                        let (path, page) = try await browser.signIn(token, at: provider)
                        #expect((page.status, page.name) == (200, "confirm"), "\(index)")
                        #expect(!page.response.text.contains("\u{202E}"), "\(index)")
                        #expect(try await browser.post(path).name == "returning", "\(index)")
                    }
                    let longest = try await service.database.value(
                        "SELECT max(char_length(account))::text FROM sign_ins")
                    #expect(longest == "200")
                }
            }
        }

        @Test func `odd keys beside the right one do no harm, and a key of another curve or use is none`() async throws
        {
            for (odd, curve, use, name) in [
                ("null", "P-256", "sig", "confirm"), (#""x",5"#, "P-256", "sig", "confirm"),
                (#"{"kty":"RSA","use":["sig"]}"#, "P-256", "sig", "confirm"),
                (#"{"kty":"RSA"}"#, "P-384", "sig", "failed"),
                (#"{"kty":"EC","crv":"P-256","kid":"key-1"}"#, "P-256", "sig", "confirm"),
                (#"{"kty":"RSA"}"#, "P-256", "enc", "failed"),
            ] {
                try await ScriptedProvider.with { provider in
                    provider.script.withLock { ($0.oddKeys, $0.curve, $0.use) = (odd, curve, use) }
                    try await Service.run(with: provider) { service in
                        let page = try await TestBrowser(service).signIn(try await service.createdToken(), at: provider)
                            .page
                        #expect(page.name == name, "\(odd) \(curve) \(use)")
                    }
                }
            }
        }

        @Test func `the sandbox's page is none for another supplier's sign-in`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let browser = TestBrowser(service)
                    let token = try await service.createdToken()
                    let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                    let page = try await browser.get("/ui/sandbox?state=\(request["state"])")
                    #expect((page.status, page.name) == (404, "unknown"))
                }
            }
        }

        @Test func `the sandbox's result leads back plainly once there is no sandbox`() async throws {
            try await Service.run { first in
                let token = try await first.createdToken()
                let browser = TestBrowser(first)
                let sandbox = try await browser.get(try await browser.start(token, at: "sandbox").goTo)
                let answer = try await browser.get("/ui/callback/sandbox?code=approve&state=\(sandbox.field("state"))")
                #expect(try await browser.post(answer.location).name == "returning")
                try await Service.serving(first.database, environment: ["SANDBOX_SIGNING_KEY": ""]) { second in
                    let other = TestBrowser(second)
                    other.cookies.withLock { $0 = browser.cookies.withLock { $0 } }
                    let page = try await other.get("/ui?token=\(token)")
                    #expect((page.status, page.link("back")) == (200, "https://your-app.com/callback"))
                    #expect(try await other.get("/ui/sandbox?state=\(sandbox.field("state"))").status == 404)
                }
            }
        }

        @Test func `noise of strangers hides nothing of what happened to a session`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let stranger = TestBrowser(service)
                    for _ in 0..<120 {
                        let page = try await stranger.post("/ui/sign-ins", [("token", token)], headers: [])
                        #expect(page.status == 403)
                    }
                    let browser = TestBrowser(service)
                    let (path, _) = try await browser.signIn(token, at: provider)
                    let done = try await browser.post(path)
                    let code = try #require(ReturnedResult(done.goTo)?.members["code"]?.string)
                    let confirmed = try await service.request(
                        "POST", "\(Service.sessions)/\(token)/confirm",
                        headers: [("x-api-key", TestKeys.acme), ("Content-Type", "application/json")],
                        body: Array(#"{"user_id":"\#(Secrets.publishedUserID)","code":"\#(code)"}"#.utf8))
                    #expect(confirmed.status == 200)
                    let events = try await service.events(token)
                    #expect(events.filter { $0 == "sign_in_refused cross_origin" }.count == 100)
                    #expect(events.suffix(4) == ["sign_in_started", "signed_in", "completed", "confirmed"])
                }
            }
        }

        @Test func `a look while the callback is being evaluated says so, and calls nothing failed`()
            async throws
        {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = TestBrowser(service)
                    let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                    provider.script.withLock { $0.delay = .seconds(1) }
                    let callback = browser.callback(provider.code(for: request), request)
                    async let first = browser.get(callback)
                    try await Task.sleep(for: .milliseconds(400))
                    let second = try await browser.get(callback)
                    let early = try await browser.get(second.location)
                    #expect((early.status, early.name) == (200, "pending"))
                    #expect(early.link("reload") == second.location)
                    #expect(early.link("back") == "https://your-app.com/callback")
                    #expect(try await first.location == second.location)
                    #expect(try await browser.get(early.link("reload")).name == "confirm")
                    // One whose answer was lost with its replica is failed after a while, and the user may try again.
                    try await service.database.execute(
                        "UPDATE sign_ins SET outcome = NULL, supplier_user_id = NULL, account = NULL, answered_at = now() - interval '21 seconds'"
                    )
                    let late = try await browser.get(second.location)
                    #expect(late.name == "failed")
                    #expect(try await browser.post(second.location).name == "failed")
                    #expect(try await service.status(token) == "open")
                }
            }
        }

        @Test func `the Authenticator API completes nothing that the pages would not, and repeats what it did`()
            async throws
        {
            try await Service.run { service in
                func complete(_ token: String) async throws -> TestResponse {
                    try await service.request(
                        "POST", "\(Service.authenticatorSessions)/\(token)/complete",
                        headers: [("x-api-key", TestKeys.authenticator), ("Content-Type", "application/json")],
                        body: Array(#"{"supplier":"sandbox","supplier_user_id":"u-1"}"#.utf8))
                }
                let done = try await service.createdToken()
                let first = try await complete(done)
                #expect(first.status == 200)
                for (change, back) in [
                    ("UPDATE manufacturers SET enabled = false", "UPDATE manufacturers SET enabled = true"),
                    (
                        "UPDATE manufacturers SET redirect_urls = '{}'",
                        "UPDATE manufacturers SET redirect_urls = '{https://your-app.com/callback}'"
                    ),
                ] {
                    let token = try await service.createdToken()
                    try await service.change(change)
                    service.expect(try await complete(token), 409, "link_session_blocked", change)
                    #expect(try await complete(done).text == first.text, "\(change)")
                    try await service.change(back)
                    #expect(try await service.events(token) == ["completion_refused blocked"], "\(change)")
                    let later = try await complete(token)
                    #expect(later.status == 200, "\(change)")
                }
            }
        }
    }
}
