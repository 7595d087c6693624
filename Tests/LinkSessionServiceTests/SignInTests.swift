// Signing in at a supplier: what a browser and a provider may do, and what comes of it. RFC 9700 is the checklist.

import Foundation
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct SignInTests {
        // MARK: The whole way

        @Test func `from the session's page to the completed session and back to the app`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = Browser(service)
                    let page = try await browser.get("/ui?token=\(token)&language=en")
                    #expect((page.status, page.name, page.language) == (200, "link", "en"))
                    #expect(browser.cookies.withLock { $0.isEmpty })

                    let going = try await browser.start(token, at: "mock-energy")
                    #expect((going.status, going.name) == (200, "continue"))
                    let request = AuthenticationRequest(url: going.goTo)
                    #expect(request.url.hasPrefix("\(provider.issuer)/authorize?"))
                    for (name, value) in [
                        ("response_type", "code"), ("response_mode", "query"), ("client_id", "client-1"),
                        ("redirect_uri", "https://auth.example/ui/callback/mock-energy"), ("scope", "openid email"),
                        ("code_challenge_method", "S256"), ("ui_locales", "en"),
                    ] { #expect(request[name] == value, "\(name)") }
                    for name in ["state", "nonce", "code_challenge"] { #expect(request[name].count == 43, "\(name)") }
                    #expect(Set([request["state"], request["nonce"], request["code_challenge"]]).count == 3)
                    #expect(!request.url.contains(token))

                    let answer = try await browser.get(browser.callback(provider.code(for: request), request))
                    #expect(answer.status == 303)
                    #expect(answer.location.hasPrefix("/ui/sign-ins/"))
                    let confirm = try await browser.get(answer.location)
                    #expect((confirm.status, confirm.name) == (200, "confirm"))
                    #expect(confirm.response.text.contains("j•••@example.com"))
                    #expect(!confirm.response.text.contains("jan.jansen"))
                    #expect(try await service.status(token) == "open")

                    let done = try await browser.post(answer.location)
                    #expect((done.status, done.name) == (200, "returning"))
                    #expect(done.goTo == done.link("return"))
                    let result = try #require(ReturnedResult(done.goTo))
                    #expect(result.members["status"] == .string("completed"))
                    #expect(result.members["supplier"] == .string("mock-energy"))
                    #expect(result.members["brand"] == .string("acme manufacturing"))
                    #expect(result.members["manufacturer_user_id"] == .string(Secrets.publishedUserID))
                    #expect(try await service.status(token) == "completed")
                    #expect(
                        try await service.events(token) == ["sign_in_started", "signed_in", "completed"])

                    let exchange = try #require(provider.requests.withLock { $0.first { $0.path == "/token" } })
                    #expect(exchange.form["grant_type"] == "authorization_code")
                    #expect(exchange.form["redirect_uri"] == request["redirect_uri"])
                    let basic = Data("client-1:\(Service.supplierSecret)".utf8).base64EncodedString()
                    #expect(exchange.authorization == "Basic \(basic)")
                    #expect(exchange.form["client_secret"] == nil)
                }
            }
        }

        @Test func `a provider that knows no basic authentication gets the secret in the body`() async throws {
            try await ScriptedProvider.with { provider in
                provider.script.withLock {
                    $0.metadata = ["token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"]]
                }
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    #expect(try await Browser(service).signIn(token, at: provider).page.name == "confirm")
                    let exchange = try #require(provider.requests.withLock { $0.first { $0.path == "/token" } })
                    #expect(exchange.authorization == nil)
                    #expect(exchange.form["client_id"] == "client-1")
                    #expect(exchange.form["client_secret"] == Service.supplierSecret)
                }
            }
        }

        @Test func `a sign-in goes on at another replica`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { first in
                    try await Service.serving(
                        first.database, environment: ["SUPPLIER_MOCK_SECRET": Service.supplierSecret]
                    ) { second in
                        let token = try await first.createdToken()
                        let browser = Browser(first)
                        let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                        let other = Browser(second)
                        other.cookies.withLock { $0 = browser.cookies.withLock { $0 } }
                        let answer = try await other.get(other.callback(provider.code(for: request), request))
                        #expect(try await other.get(answer.location).name == "confirm")
                        let done = try await browser.post(answer.location)
                        #expect(done.name == "returning")
                        #expect(try await other.get("/ui?token=\(token)").link("back") == done.goTo)
                    }
                }
            }
        }

        // MARK: RFC 9700

        @Test func `login CSRF: a supplier's answer to another browser signs nobody in`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let attacker = Browser(service)
                    let request = AuthenticationRequest(url: try await attacker.start(token, at: "mock-energy").goTo)
                    let callback = attacker.callback(provider.code(for: request), request)
                    let victim = Browser(service)
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
                    let attacker = Browser(service)
                    let request = AuthenticationRequest(url: try await attacker.start(token, at: "mock-energy").goTo)
                    let victim = Browser(service)
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
                    for (what, offered, change) in [
                        ("another supplier's URI", false, { $0.replacing("mock-energy", with: "other-energy") }),
                        ("no supplier's URI", false, { $0.replacing("mock-energy", with: "none") }),
                        ("another issuer", false, { $0 + "&iss=https%3A%2F%2Fevil.example" }),
                        ("an empty issuer", false, { $0 + "&iss=" }),
                        ("two issuers, none of them offered", false, { "\($0)&iss=x&iss=\(provider.issuer)" }),
                        ("an issuer that cannot be read", false, { $0 + "&iss=%zz" }),
                        ("two codes", false, { $0 + "&code=other" }),
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
                            let browser = Browser(service)
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
                        let browser = Browser(service)
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
                    let browser = Browser(service)
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

        @Test func `open redirect: nothing that a visitor sends shapes where a page leads`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = Browser(service)
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
                    let browser = Browser(service)
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
                    let browser = Browser(service)
                    let form = [("token", token), ("language", "en"), ("supplier", "mock-energy")]
                    let foreign: [[(String, String)]] = [
                        [("Sec-Fetch-Site", "cross-site")], [("Sec-Fetch-Site", "same-site")],
                        [("Sec-Fetch-Site", "none")],
                        [("Sec-Fetch-Site", "")], [("Sec-Fetch-Site", "cross-site"), ("Origin", Browser.base)],
                        [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")], [], [("Origin", "null")],
                        [("Origin", "https://evil.example")], [("Origin", "http://auth.example")],
                        [("Origin", "https://auth.example.evil.example")], [("Origin", "https://auth.example:444")],
                        [("Origin", "")], [("Origin", Browser.base), ("Origin", "null")],
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
                    let done = try await browser.post(path, headers: [("Origin", Browser.base)])
                    #expect(done.name == "returning")
                }
            }
        }

        @Test func `only the browser that began may confirm, or see the account`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = Browser(service)
                    let (path, _) = try await browser.signIn(token, at: provider)
                    let other = Browser(service)
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

        // MARK: ID tokens

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
                        let browser = Browser(service)
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
                    let (_, page) = try await Browser(service).signIn(try await service.createdToken(), at: provider)
                    #expect(page.name == "confirm")
                }
            }
        }

        @Test func `a new key is fetched when a token names it, and an unknown one at most once a minute`() async throws
        {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let browser = Browser(service)
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
                    #expect(provider.count("/keys") == 1)
                }
            }
        }

        // MARK: Providers that fail

        @Test func `a provider whose metadata cannot be used is told apart from the user's fault, at once`()
            async throws
        {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let path = "/.well-known/openid-configuration"
                    let large = #"{"issuer":"\#(provider.issuer)","x":"\#(String(repeating: "x", count: 300_000))"}"#
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
                        ("too much", { $0.answers[path] = (200, [], large) }),
                        ("too slow", { $0.delay = .seconds(8) }),
                    ]
                    for (what, change) in changes {
                        provider.script.withLock {
                            $0 = ScriptedProvider.Script()
                            change(&$0)
                        }
                        let token = try await service.createdToken()
                        let browser = Browser(service)
                        let (duration, page) = try await timed { try await browser.start(token, at: "mock-energy") }
                        #expect((page.status, page.name) == (502, "failed"), "\(what)")
                        #expect(duration < .seconds(5), "\(what): \(duration)")
                        #expect(page.link("again").contains(token) && !page.link("back").isEmpty, "\(what)")
                        #expect(browser.cookies.withLock { $0.isEmpty }, "\(what)")
                        #expect(try await service.events(token) == ["sign_in_refused supplier_unavailable"], "\(what)")
                    }
                    #expect(provider.count("/elsewhere") == 0)
                    // Nothing of it is remembered.
                    provider.script.withLock { $0 = ScriptedProvider.Script() }
                    #expect(
                        try await Browser(service).start(try await service.createdToken(), at: "mock-energy").name
                            == "continue")
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
                        let browser = Browser(service)
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

        // MARK: Time, and what changed meanwhile

        @Test func `an answer after the session's end completes nothing`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = Browser(service)
                    let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                    try await service.update(
                        token,
                        "created_at = created_at - interval '20 min', expires_at = expires_at - interval '20 min'")
                    let answer = try await browser.get(browser.callback(provider.code(for: request), request))
                    let page = try await browser.get(answer.location)
                    #expect((page.status, page.name) == (410, "expired"))
                    #expect(ReturnedResult(page.link("back"))?.members["status"] == .string("expired"))
                    #expect(try await browser.post(answer.location).status == 410)
                    #expect(try await service.status(token) == "expired")
                    #expect(try await service.events(token).last == "completion_refused expired")
                    #expect(try await browser.start(token, at: "mock-energy").status == 410)
                }
            }
        }

        @Test func `a manufacturer, a redirect URL or a supplier that is off by then completes nothing`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    for (what, sql, back, status) in [
                        (
                            "the manufacturer", "UPDATE manufacturers SET enabled = false",
                            "UPDATE manufacturers SET enabled = true", 404
                        ),
                        (
                            "the redirect URL",
                            "UPDATE manufacturers SET redirect_urls = '{https://your-app.com/other}'",
                            "UPDATE manufacturers SET redirect_urls = '{https://your-app.com/callback}'", 404
                        ),
                        (
                            "the supplier", "UPDATE suppliers SET enabled = false",
                            "UPDATE suppliers SET enabled = true", 409
                        ),
                    ] {
                        let token = try await service.createdToken()
                        let browser = Browser(service)
                        let (path, _) = try await browser.signIn(token, at: provider)
                        try await service.database.execute(sql)
                        #expect(try await browser.get(path).status == status, "\(what)")
                        #expect(try await browser.post(path).status == status, "\(what)")
                        #expect(
                            try await service.database.count(
                                "SELECT count(*) FROM link_sessions WHERE completed_at IS NOT NULL") == 0, "\(what)")
                        try await service.database.execute(back)
                        // Every replica follows within a second.
                        try await Task.sleep(for: .seconds(1))
                    }
                }
            }
        }

        @Test func `at most ten sign-ins are begun of one session, however many ask at once`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let pages = try await withThrowingTaskGroup(of: TestPage.self) { group in
                        for _ in 0..<24 { group.addTask { try await Browser(service).start(token, at: "mock-energy") } }
                        return try await group.reduce(into: []) { $0.append($1) }
                    }
                    #expect(pages.count { $0.status == 200 && $0.name == "continue" } == 10)
                    #expect(pages.count { $0.status == 429 && $0.name == "refused" } == 14)
                    #expect(pages.allSatisfy { $0.status == 200 || !$0.link("back").isEmpty })
                    #expect(try await service.database.count("SELECT count(*) FROM sign_ins") == 10)
                }
            }
        }

        @Test func `two browsers that race with different accounts: one wins, the other learns nothing of it`()
            async throws
        {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    for round in 0..<5 {
                        let token = try await service.createdToken()
                        let browsers = [Browser(service), Browser(service)]
                        var paths: [String] = []
                        for (index, browser) in browsers.enumerated() {
                            paths.append(try await browser.signIn(token, at: provider, as: "subject-\(index)").path)
                        }
                        let asked = paths
                        let pages = try await withThrowingTaskGroup(of: (Int, TestPage).self) { group in
                            for index in 0..<2 {
                                group.addTask { (index, try await browsers[index].post(asked[index])) }
                            }
                            return try await group.reduce(into: [Int: TestPage]()) { $0[$1.0] = $1.1 }
                        }
                        let winner = try #require(pages.first { $0.value.name == "returning" }, "round \(round)")
                        let loser = try #require(pages.first { $0.value.status == 409 }, "round \(round)")
                        #expect(winner.key != loser.key)
                        #expect(loser.value.name == "completed")
                        #expect(loser.value.link("back") == "https://your-app.com/callback")
                        let result = try #require(ReturnedResult(winner.value.goTo))
                        for secret in [
                            result.data, "subject-\(winner.key)", try #require(result.members["nox_user_id"]?.string),
                        ] {
                            #expect(!loser.value.response.text.contains(secret))
                        }
                        let stored = try await service.database.rows(
                            "SELECT supplier_user_id FROM link_sessions WHERE token_hash = decode('\(TestKeys.digest(token))', 'hex')"
                        )
                        #expect(stored == [["subject-\(winner.key)"]])
                        #expect(try await service.events(token).contains("completion_refused completed_by_another"))
                        // Neither does a later look.
                        let later = try await browsers[loser.key].get("/ui?token=\(token)")
                        #expect((later.name, later.link("back")) == ("completed", "https://your-app.com/callback"))
                    }
                }
            }
        }
    }
}
