// Attacks on a sign-in, each by its name in RFC 9700 where it has one there, and what comes of them.

import Foundation
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct SignInAttackTests {
        @Test func `login CSRF: a callback in another browser signs nobody in`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let attacker = TestBrowser(service)
                    let request = AuthenticationRequest(url: try await attacker.start(token, at: "mock-energy").goTo)
                    let callback = attacker.callback(provider.code(for: request), request)
                    let victim = TestBrowser(service)
                    let without = try await victim.get(callback)
                    #expect((without.status, without.name) == (400, "refused"))
                    // Another sign-in's cookie is none for this one.
                    _ = try await victim.start(try await service.createdToken(), at: "mock-energy")
                    #expect(try await victim.get(callback).status == 400)
                    #expect(provider.count("/token") == 0)
                    #expect(try await service.status(token) == "open")
                    #expect(
                        try await service.events(token)
                            == ["sign_in_started", "sign_in_refused other_browser", "sign_in_refused other_browser"])
                    #expect(ReturnedResult(without.link("back")) == nil)
                    // And it did not use up the state of the browser that began.
                    #expect(try await attacker.get(callback).status == 303)
                }
            }
        }

        @Test func `session fixation: a cookie that somebody else chose binds no sign-in`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let attacker = TestBrowser(service)
                    let request = AuthenticationRequest(url: try await attacker.start(token, at: "mock-energy").goTo)
                    let victim = TestBrowser(service)
                    let (name, value) = try #require(attacker.cookies.withLock { $0.first })
                    let other = String(repeating: "A", count: 43)
                    for (what, cookie) in [
                        ("another secret", "\(other).\(token)"), ("no token", String(value.prefix(43))),
                        ("another token's form", "\(value.prefix(43)).x"), ("nothing", ""),
                    ] {
                        victim.cookies.withLock { $0 = [(name, cookie)] }
                        let page = try await victim.get(victim.callback(provider.code(for: request), request))
                        #expect((page.status, page.name) == (400, "refused"), "\(what)")
                    }
                    // The server chooses the secret anew at every start, whatever the browser brings.
                    victim.cookies.withLock { $0 = [(name, value)] }
                    _ = try await victim.start(token, at: "mock-energy")
                    #expect(victim.cookies.withLock { Set($0.map(\.value)).count } == 2)
                    #expect(try await service.status(token) == "open")
                }
            }
        }

        @Test func `mix-up: an answer at another supplier's redirect URI, or of another issuer, signs nobody in`()
            async throws
        {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    try await service.database.addSupplier(
                        "other-energy", name: "Other Energy", issuer: "\(provider.issuer)/other")
                    try await service.catchUp()
                    for (what, offered, change) in [
                        ("another supplier's URI", false, { $0.replacing("mock-energy", with: "other-energy") }),
                        ("no supplier's URI", false, { $0.replacing("mock-energy", with: "none") }),
                        ("another issuer", false, { $0 + "&iss=https%3A%2F%2Fevil.example" }),
                        ("an empty issuer", false, { $0 + "&iss=" }),
                        ("two issuers, none of them offered", false, { "\($0)&iss=x&iss=\(provider.issuer)" }),
                        ("an issuer that cannot be read", false, { $0 + "&iss=%zz" }),
                        ("two codes", false, { $0 + "&code=other" }),
                        ("two errors", false, { $0 + "&error=server_error&error=access_denied" }),
                        ("two issuers", true, { "\($0)&iss=\(provider.issuer)&iss=\(provider.issuer)" }),
                        ("no issuer where one is offered", true, { $0 }),
                    ] as [(String, Bool, (String) -> String)] {
                        provider.script.withLock {
                            $0.metadata = ["authorization_response_iss_parameter_supported": offered]
                        }
                        try await Service.serving(
                            service.database, environment: ["SUPPLIER_MOCK_SECRET": Service.supplierSecret]
                        ) { service in
                            let token = try await service.createdToken()
                            let browser = TestBrowser(service)
                            let request = AuthenticationRequest(
                                url: try await browser.start(token, at: "mock-energy").goTo)
                            let answer = try await browser.get(
                                change(browser.callback(provider.code(for: request), request)))
                            let page = try await browser.get(answer.location)
                            #expect((page.status, page.name) == (200, "failed"), "\(what)")
                            #expect(try await service.events(token).last == "sign_in_refused mix_up", "\(what)")
                            #expect(try await service.status(token) == "open", "\(what)")
                            #expect(try await browser.post(answer.location).name == "failed", "\(what)")
                            #expect(try await service.status(token) == "open", "\(what)")
                        }
                    }
                    #expect(provider.count("/token") == 0)
                    // The right issuer is right.
                    try await Service.serving(
                        service.database, environment: ["SUPPLIER_MOCK_SECRET": Service.supplierSecret]
                    ) { service in
                        let browser = TestBrowser(service)
                        let request = AuthenticationRequest(
                            url: try await browser.start(try await service.createdToken(), at: "mock-energy").goTo)
                        let answer = try await browser.get(
                            browser.callback(provider.code(for: request), request) + "&iss=\(provider.issuer)")
                        #expect(try await browser.get(answer.location).name == "confirm")
                    }
                }
            }
        }

        @Test func `code injection: a code of another sign-in signs nobody in, with or without PKCE at the provider`()
            async throws
        {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let (mine, theirs) = (try await service.createdToken(), try await service.createdToken())
                    let browser = TestBrowser(service)
                    let other = AuthenticationRequest(url: try await browser.start(theirs, at: "mock-energy").goTo)
                    let stolen = provider.code(for: other, subject: "victim")
                    let request = AuthenticationRequest(url: try await browser.start(mine, at: "mock-energy").goTo)
                    let answer = try await browser.get(browser.callback(stolen, request))
                    #expect(try await browser.get(answer.location).name == "failed")
                    #expect(try await service.events(mine).last == "sign_in_refused code_refused")
                    // A provider that does not look at the verifier: the nonce tells.
                    let again = AuthenticationRequest(url: try await browser.start(mine, at: "mock-energy").goTo)
                    let careless = "victim~\(other["nonce"])~\(again["code_challenge"])"
                    let second = try await browser.get(browser.callback(careless, again))
                    #expect(try await browser.get(second.location).name == "failed")
                    #expect(try await service.events(mine).last == "sign_in_refused id_token_invalid")
                    #expect(try await service.status(mine) == "open")
                }
            }
        }

        @Test func `open redirect: nothing that a browser sends shapes where a page leads`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = TestBrowser(service)
                    let evil = "https%3A%2F%2Fevil.example%2F"
                    let noise =
                        "&redirect_url=\(evil)&redirect_uri=\(evil)&return=\(evil)&next=\(evil)&language=\(evil)"
                    let headers = [
                        ("Host", "evil.example"), ("X-Forwarded-Host", "evil.example"),
                        ("Referer", "https://evil.example/"),
                    ]
                    var pages = [try await browser.get("/ui?token=\(token)\(noise)", headers: headers)]
                    #expect(pages[0].link("back").hasPrefix("https://your-app.com/callback?data="))
                    let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                    let answer = try await browser.get(
                        browser.callback(provider.code(for: request), request) + noise, headers: headers)
                    #expect(answer.location.hasPrefix("/ui/sign-ins/"))
                    pages += [answer, try await browser.get(answer.location + noise, headers: headers)]
                    pages.append(
                        try await browser.post(answer.location + noise, [("redirect_url", "https://evil.example/")]))
                    #expect(pages[3].goTo.hasPrefix("https://your-app.com/callback?data="))
                    for page in pages {
                        #expect(!page.response.text.contains("evil.example"))
                        #expect(!page.location.contains("evil"))
                    }
                }
            }
        }

        @Test func `a state is good once, and a changed one is none`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = TestBrowser(service)
                    let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                    let code = provider.code(for: request)
                    let state = request["state"]
                    for changed in [
                        String(state.dropLast()) + (state.hasSuffix("A") ? "E" : "A"), state + "A", "", "x",
                    ] {
                        let page = try await browser.get(browser.callback(code, request, state: changed))
                        #expect((page.status, page.name) == (400, "refused"), "\(changed)")
                        #expect(page.link("again").hasPrefix("/ui?token=\(token)"))
                    }
                    let twice = browser.callback(code, request) + "&state=\(state)"
                    #expect(try await browser.get(twice).status == 400)
                    #expect(try await service.events(token).filter { $0 == "sign_in_refused state_unknown" }.count == 5)
                    #expect(provider.count("/token") == 0)

                    // Ten at once: one exchange.
                    let callback = browser.callback(code, request)
                    let answers = try await withThrowingTaskGroup(of: TestPage.self) { group in
                        for _ in 0..<10 { group.addTask { try await browser.get(callback) } }
                        return try await group.reduce(into: []) { $0.append($1) }
                    }
                    #expect(answers.allSatisfy { $0.status == 303 })
                    #expect(provider.count("/token") == 1)
                    #expect(try await browser.get(answers[0].location).name == "confirm")
                    #expect(try await service.events(token).filter { $0 == "sign_in_refused state_used" }.count == 9)
                }
            }
        }

        @Test func `CSRF: begin and confirm need a page of ours`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = TestBrowser(service)
                    let form = [("token", token), ("language", "en"), ("supplier", "mock-energy")]
                    let foreign: [[(String, String)]] = [
                        [("Sec-Fetch-Site", "cross-site")], [("Sec-Fetch-Site", "same-site")],
                        [("Sec-Fetch-Site", "none")],
                        [("Sec-Fetch-Site", "")], [("Sec-Fetch-Site", "cross-site"), ("Origin", TestBrowser.base)],
                        [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")], [], [("Origin", "null")],
                        [("Origin", "https://evil.example")], [("Origin", "http://auth.example")],
                        [("Origin", "https://auth.example.evil.example")], [("Origin", "https://auth.example:444")],
                        [("Origin", "")], [("Origin", TestBrowser.base), ("Origin", "null")],
                        [("Referer", "https://auth.example/ui")],
                    ]
                    for headers in foreign {
                        let page = try await browser.post("/ui/sign-ins", form, headers: headers)
                        #expect((page.status, page.name) == (403, "refused"), "\(headers)")
                        #expect(page.response.header("Set-Cookie") == nil, "\(headers)")
                    }
                    #expect(
                        try await service.events(token)
                            == foreign.map { _ in "sign_in_refused cross_origin" })
                    let (path, confirm) = try await browser.signIn(token, at: provider)
                    #expect(confirm.name == "confirm")
                    for headers in foreign {
                        let page = try await browser.post(path, headers: headers)
                        #expect((page.status, page.name) == (403, "refused"), "\(headers)")
                    }
                    #expect(try await service.status(token) == "open")
                    #expect(
                        try await service.events(token).filter { $0 == "completion_refused cross_origin" }.count
                            == foreign.count)
                    let done = try await browser.post(path, headers: [("Origin", TestBrowser.base)])
                    #expect(done.name == "returning")
                }
            }
        }

        @Test func `only the browser that began may confirm, or see the account`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = TestBrowser(service)
                    let (path, _) = try await browser.signIn(token, at: provider)
                    let other = TestBrowser(service)
                    let seen = try await other.get(path)
                    #expect((seen.status, seen.name) == (403, "refused"))
                    #expect(!seen.response.text.contains("•••"))
                    #expect(try await other.post(path).status == 403)
                    #expect(try await service.status(token) == "open")
                    #expect(try await service.events(token).last == "completion_refused other_browser")
                    for path in ["/ui/sign-ins/\(String(repeating: "0", count: 64))", "/ui/sign-ins/x"] {
                        #expect(try await browser.get(path).status == 404, "\(path)")
                    }
                }
            }
        }
    }
}
