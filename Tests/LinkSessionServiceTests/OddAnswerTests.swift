// How providers answer the browser: errors by which users say no, members that nobody asked for, and posted forms.

import Foundation
import LinkSessions
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct OddAnswerTests {
        private static let declines = [
            "error=access_denied", "error=ACCESS_DENIED", "error=user_cancelled_login",
            "error=user_cancelled_authorize",
            "error=user_cancelled", "error=cancelled", "error=canceled", "error=consent_required",
            "error=interaction_required", "error=login_required", "error=account_selection_required",
            "error=access_denied&error_subcode=cancel", "error=server_error&error_subcode=cancel",
            "error=access_denied&error_description=AADB2C90091%3A+The+user+has+cancelled",
            "error=server_error&error_description=AADB2C90091%3A+The+user+has+cancelled",
        ]

        @Test func `users say no in many words, and each is a no; what providers cannot do is none`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let failures = [
                        "error=server_error", "error=temporarily_unavailable&error_description=authentication_expired",
                        "error=invalid_scope", "error=unauthorized_client", "error=",
                        "error=unmet_authentication_requirements",
                    ]
                    for (query, reason) in Self.declines.map({ ($0, "declined") })
                        + failures.map({ ($0, "supplier_failed") })
                    {
                        let token = try await service.createdToken()
                        let browser = TestBrowser(service)
                        let state = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)[
                            "state"]
                        let answer = try await browser.get("/ui/callback/mock-energy?\(query)&state=\(state)")
                        let page = try await browser.get(answer.location)
                        #expect(page.response.text.contains("declined") == (reason == "declined"), "\(query)")
                        let told = try await service.detail(token)
                        #expect(told.reason == reason, "\(query)")
                        #expect(told.detail.hasPrefix("the supplier answered with error"), "\(query): \(told.detail)")
                    }
                    #expect(provider.count("/token") == 0)
                }
            }
        }

        @Test func `what a provider says of its error is in the log and in admin sessions, short and without secrets`()
            async throws
        {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = TestBrowser(service)
                    let state = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)[
                        "state"]
                    let long = String(repeating: "word+", count: 100)
                    let answer = try await browser.get(
                        "/ui/callback/mock-energy?error=invalid_request&code=zq7code&error_description=AADSTS50105%3A+zq7code+of+jan%40x.nl%0A%1B[31m+\(state)+\(long)&state=\(state)"
                    )
                    #expect(try await browser.get(answer.location).name == "failed")
                    let told = try await service.detail(token)
                    #expect(
                        told.detail.hasPrefix(
                            "the supplier answered with error invalid_request: AADSTS50105: … of … [31m … word word "),
                        "\(told.detail)")
                    #expect(told.detail.count < 300 && told.detail.hasSuffix("…"))
                    try await service.process.waitForLog("AADSTS50105: … of … [31m … word", within: 5)
                    #expect(!service.process.log.contains("zq7code"))
                    let sessions = try await Command.run(
                        [
                            "admin", "sessions", "--manufacturer", "Acme Manufacturing", "--user-id",
                            Secrets.publishedUserID,
                        ],
                        environment: [
                            "DATABASE_URL": service.database.url, "OPERATOR_DATABASE_URL": service.database.operatorURL,
                        ])
                    #expect(sessions.output.contains("AADSTS50105: … of … [31m … word"), "\(sessions.summary)")
                }
            }
        }

        @Test func `an error without a state is told to the user, and uses up nothing`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = TestBrowser(service)
                    let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                    let page = try await browser.get("/ui/callback/mock-energy?error=access_denied")
                    #expect((page.status, page.name) == (400, "refused"))
                    #expect(page.response.text.contains("Mock Energy"))
                    #expect(page.link("again").hasPrefix("/ui?token=\(token)"))
                    #expect(ReturnedResult(page.link("back")) == nil)
                    let told = try await service.detail(token)
                    #expect(told == ("state_unknown", "the supplier answered with error access_denied"))
                    #expect(
                        try await TestBrowser(service).get("/ui/callback/mock-energy?error=access_denied").status == 404
                    )
                    let answer = try await browser.get(browser.callback(provider.code(for: request), request))
                    #expect(try await browser.get(answer.location).name == "confirm")
                }
            }
        }

        @Test func `members that nobody asked for change nothing`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    for more in [
                        "session_state=a.b", "scope=openid+email", "authuser=0&hd=x.nl&prompt=none",
                        "id_token=eyJhbGciOiJub25lIn0.e30.", "id_token=a&id_token=b", "client_info=%zz",
                        "error_description=x",
                        "expires_in=3600&token_type=bearer", "iss=\(provider.issuer)",
                    ] {
                        let browser = TestBrowser(service)
                        let request = AuthenticationRequest(
                            url: try await browser.start(try await service.createdToken(), at: "mock-energy").goTo)
                        let answer = try await browser.get(
                            browser.callback(provider.code(for: request), request) + "&\(more)")
                        #expect(try await browser.get(answer.location).name == "confirm", "\(more)")
                    }
                }
            }
        }

        @Test func `an answer when the session is over costs no code`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    for (status, change) in [("completed", ""), ("expired", "20 minutes")] {
                        let token = try await service.createdToken()
                        let browser = TestBrowser(service)
                        let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                        if change.isEmpty {
                            let (path, _) = try await browser.signIn(token, at: provider)
                            #expect(try await browser.post(path).name == "returning")
                        } else {
                            try await service.age(token, by: change)
                        }
                        let answer = try await browser.get(browser.callback(provider.code(for: request), request))
                        #expect(try await browser.get(answer.location).name == status)
                        #expect(provider.count("/token") == 1)
                        #expect(try await service.events(token).last == "completion_refused \(status)")
                    }
                }
            }
        }

        // MARK: Posted forms

        private static let foreign = [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://login.example")]

        @Test func `an answer that the supplier's page posts goes on by a page of ours, and only that counts`()
            async throws
        {
            try await ScriptedProvider.with { provider in
                provider.script.withLock { $0.metadata = ["response_modes_supported": ["form_post", "fragment"]] }
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = TestBrowser(service)
                    let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                    #expect(request["response_mode"] == "form_post")
                    let fields = [
                        ("code", provider.code(for: request)), ("state", request["state"]), ("id_token", "x"),
                        ("user", #"{"name":{"firstName":"Jan","lastName":"<script>"},"email":"jan@example.com"}"#),
                    ]
                    let before = try await service.events(token)
                    // No cookie of ours comes with it.
                    for _ in 0..<2 {
                        let page = try await TestBrowser(service).post(
                            "/ui/callback/mock-energy", fields, headers: Self.foreign)
                        #expect((page.status, page.name) == (200, "answer"))
                        #expect(page.response.header("Set-Cookie") == nil)
                        #expect(
                            page.response.text.contains(
                                #"<form id="posted" method="post" action="/ui/callback/mock-energy">"#))
                        #expect(page.response.text.contains("<button") && !page.response.text.contains("firstName"))
                        #expect(page.field("code") == fields[0].1 && page.field("state") == fields[1].1)
                        #expect(page.response.header("Content-Security-Policy")?.hasSuffix("script-src 'self'") == true)
                    }
                    #expect(try await service.events(token) == before)
                    #expect(provider.count("/token") == 0)
                    let answer = try await browser.post("/ui/callback/mock-energy", Array(fields[0...1]))
                    #expect(answer.status == 303)
                    #expect(try await browser.get(answer.location).name == "confirm")
                    #expect(try await browser.post(answer.location).name == "returning")
                    // Once.
                    #expect(try await browser.post("/ui/callback/mock-energy", Array(fields[0...1])).status == 303)
                    #expect(provider.count("/token") == 1)
                }
            }
        }

        @Test func `a posted error, one of another browser and one that says a thing twice`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    try await service.change("UPDATE suppliers SET response_mode = 'form_post'")
                    let token = try await service.createdToken()
                    let browser = TestBrowser(service)
                    let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                    #expect(request["response_mode"] == "form_post")
                    let (path, state) = ("/ui/callback/mock-energy", ("state", request["state"]))
                    for fields in [
                        [], [("x", "y")], [state, state], [state, ("code", "a"), ("code", "b")],
                        [state, ("code", String(repeating: "x", count: 20_000))],
                    ] {
                        let page = try await browser.post(path, fields, headers: Self.foreign)
                        #expect((page.status, page.name) == (404, "unknown"), "\(fields.map(\.0))")
                    }
                    for other in ["/ui/callback/none", "/ui/callback/x%20y"] {
                        #expect(try await browser.post(other, [state], headers: Self.foreign).status == 404, "\(other)")
                    }
                    #expect(try await TestBrowser(service).post(path, [state, ("code", "x")]).status == 400)
                    let page = try await browser.post(
                        path, [state, ("error", "user_cancelled_authorize")], headers: Self.foreign)
                    #expect(page.field("error") == "user_cancelled_authorize")
                    let answer = try await browser.post(path, [state, ("error", "user_cancelled_authorize")])
                    #expect(try await browser.get(answer.location).name == "failed")
                    #expect(try await service.events(token).last == "sign_in_refused declined")
                }
            }
        }
    }
}
