// What every page carries for the browser's security, and what it is in itself: headers, cookies, weight, escapes.

import Foundation
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct PageSecurityTests {
        private static let policy =
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

        /// What every page carries, besides its length.
        ///
        /// - Parameter script: whether our own script may run.
        private func headers(isSecure: Bool, script: Bool = false) -> Set<String> {
            Set(
                [
                    "content-type: text/html; charset=utf-8", "cache-control: no-store",
                    "content-security-policy: \(Self.policy)\(script ? "; script-src 'self'" : "")",
                    "x-content-type-options: nosniff",
                    "x-frame-options: DENY", "referrer-policy: strict-origin",
                    "cross-origin-resource-policy: same-origin",
                ] + (isSecure ? ["strict-transport-security: max-age=31536000"] : []))
        }

        /// The headers of an answer without its length and without what it does besides.
        private func lasting(_ page: TestPage) -> Set<String> {
            Set(
                page.response.lastingHeaders.filter {
                    !$0.hasPrefix("content-length:") && !$0.hasPrefix("set-cookie:") && !$0.hasPrefix("location:")
                })
        }

        @Test(arguments: ["https://auth.example", "http://127.0.0.1:8080", "http://localhost:8080"])
        func `every page has exactly these headers, and HSTS only where the public base is https`(base: String)
            async throws
        {
            try await Service.run(environment: ["PUBLIC_BASE_URL": base]) { service in
                let (token, browser) = (try await service.createdToken(), TestBrowser(service))
                let going = try await browser.start(token, at: "sandbox")
                let state = AuthenticationRequest(url: going.goTo)["state"]
                let answer = try await browser.get("/ui/callback/sandbox?state=\(state)&code=approve")
                let pages = [
                    try await browser.get("/ui?token=\(token)"), going, answer, try await browser.get(answer.location),
                    try await browser.get("/ui/sandbox?state=\(state)"), try await browser.get("/ui?token=x"),
                    try await browser.post("/ui/sign-ins", [("token", token)], headers: [("Origin", "null")]),
                    try await browser.get("/ui/callback/sandbox?state=x"), try await browser.post(answer.location),
                ]
                #expect(pages.map(\.status) == [200, 200, 303, 200, 200, 404, 403, 400, 200])
                for page in pages {
                    let expected = headers(
                        isSecure: base.hasPrefix("https"), script: ["link", "confirm"].contains(page.name))
                    #expect(lasting(page) == expected, "\(page.status) \(page.name)")
                }
            }
        }

        @Test func `a sign-in's cookie is of this host alone, and out of reach of scripts`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                let page = try await TestBrowser(service).start(token, at: "sandbox")
                let state = AuthenticationRequest(url: page.goTo)["state"]
                let fields = page.response.headers.filter { $0.name.lowercased() == "set-cookie" }.map(\.value)
                try #require(fields.count == 1)
                let parts = fields[0].components(separatedBy: "; ")
                #expect(
                    parts[0].wholeMatch(of: /__Host-sign-in-[0-9a-f]{64}=[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{54}/) != nil)
                // The name is the digest of the state, which is public; the value is the secret and the token.
                #expect(parts[0].hasPrefix("__Host-sign-in-\(TestKeys.digest(state))="))
                #expect(parts[0].hasSuffix(".\(token)") && !parts[0].contains(state))
                #expect(parts.dropFirst() == ["Max-Age=1500", "Path=/", "HttpOnly", "SameSite=Lax", "Secure"])
            }
        }

        @Test(arguments: ["http://127.0.0.1:8080", "http://localhost:8080"])
        func `on a developer's machine the cookie has no prefix and may go without encryption`(base: String)
            async throws
        {
            try await Service.run(environment: ["PUBLIC_BASE_URL": base]) { service in
                let (token, browser) = (try await service.createdToken(), TestBrowser(service))
                let form = [("token", token), ("language", "en"), ("supplier", "sandbox")]
                let page = try await browser.post("/ui/sign-ins", form, headers: [("Origin", base)])
                let field = try #require(page.response.header("Set-Cookie"))
                #expect(field.hasPrefix("sign-in-"))
                #expect(
                    field.components(separatedBy: "; ").dropFirst()
                        == ["Max-Age=1500", "Path=/", "HttpOnly", "SameSite=Lax"])
                let state = AuthenticationRequest(url: page.goTo)["state"]
                let answer = try await browser.get("/ui/callback/sandbox?state=\(state)&code=approve")
                let done = try await browser.post(answer.location, headers: [("Origin", base)])
                #expect(ReturnedResult(done.goTo)?.members["iss"] == .string(base))
            }
        }

        // MARK: Escapes

        @Test func `names and URLs from the database stand escaped on every page`() async throws {
            let hostile = #"<script>alert("x")</script> & 'Co' &lt;"#
            let escaped = "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; &#39;Co&#39; &amp;lt;"
            let redirect = "https://your-app.com/callback?a='x'&b=%22%3E%3Cscript%3E&amp;c=1"
            let literal = hostile.replacing("'", with: "''")
            try await ScriptedProvider.with { provider in
                for columns in ["name = '\(literal)', brand = NULL", "name = 'Acme', brand = '\(literal)'"] {
                    try await Service.run(with: provider) { service in
                        try await service.database.execute(
                            """
                            UPDATE manufacturers SET \(columns) WHERE name = 'Acme Manufacturing';
                            UPDATE suppliers SET name = '\(literal)'
                            """)
                        try await wait(until: "the API knows the new name") {
                            try await service.create().json["manufacturer"] != .string("Acme Manufacturing")
                        }
                        func session() async throws -> String {
                            try await service.createdToken(user: "zq7user", redirect: redirect)
                        }
                        let (token, browser) = (try await session(), TestBrowser(service))
                        let open = try await browser.get("/ui?token=\(token)")
                        let going = try await browser.start(token, at: "mock-energy")
                        let request = AuthenticationRequest(url: going.goTo)
                        let denied = try await browser.get(
                            "/ui/callback/mock-energy?state=\(request["state"])&error=access_denied")
                        let declined = try await browser.get(denied.location)
                        let (path, confirm) = try await browser.signIn(token, at: provider)
                        let stranger = try await TestBrowser(service).get(path)
                        let done = try await browser.post(path)
                        let completed = try await TestBrowser(service).get("/ui?token=\(token)")
                        let expired = try await session()
                        try await service.age(expired)
                        let late = try await browser.get("/ui?token=\(expired)")
                        let pages = [open, going, declined, confirm, stranger, done, completed, late]
                        #expect(
                            pages.map(\.name) == [
                                "link", "continue", "failed", "confirm", "refused", "returning", "completed", "expired",
                            ])
                        for page in pages {
                            let text = page.response.text
                            #expect(!text.contains("<script>"), "\(page.name)")
                            #expect(
                                text.components(separatedBy: "<script").count
                                    == (["link", "confirm"].contains(page.name) ? 2 : 1), "\(page.name)")
                            #expect(!text.contains("alert(\""), "\(page.name)")
                            #expect(text.contains(escaped), "\(page.name)")
                            // Not twice either.
                            #expect(!text.contains("&amp;lt;script"), "\(page.name)")
                            let back = page.link("back")
                            #expect(back.isEmpty == ["continue", "returning"].contains(page.name), "\(page.name)")
                            #expect(back.isEmpty || back.hasPrefix(redirect), "\(page.name): \(back)")
                            let raw =
                                "href=\"https://your-app.com/callback?a=&#39;x&#39;&amp;b=%22%3E%3Cscript%3E&amp;amp;c=1"
                            #expect(back.isEmpty || text.contains(raw), "\(page.name)")
                        }
                        #expect(completed.link("back") == redirect)
                        #expect(done.goTo.hasPrefix(redirect + "&data="))
                    }
                }
            }
        }

        @Test func `what an account is called by its supplier stands escaped`() async throws {
            try await ScriptedProvider.with { provider in
                provider.script.withLock {
                    $0.changeClaims = { $0.email = #"<b>@<script>alert("x")</script>.example"# }
                }
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let (_, page) = try await TestBrowser(service).signIn(token, at: provider)
                    #expect(page.name == "confirm")
                    #expect(page.response.text.contains("&lt;•••@&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;"))
                    #expect(!page.response.text.replacing("<script src=\"/ui/page.js", with: "").contains("<script"))
                }
            }
        }

        // MARK: Out of order

        @Test func `with the database down every page says so within 2 s, in the language asked for`() async throws {
            try await PostgresServer.with { server in
                try await TestDatabase.with(on: server.url) { database in
                    try await database.addManufacturers()
                    try await Service.serving(database) { service in
                        let (token, browser) = (try await service.createdToken(), TestBrowser(service))
                        let path = try await service.sandboxSignIn(token, browser)
                        try server.killHard()
                        let form = [("token", token), ("language", "en"), ("supplier", "sandbox")]
                        for (what, language, ask) in [
                            ("the session's page", "nl", { try await browser.get("/ui?token=\(token)") }),
                            ("in French", "fr", { try await browser.get("/ui?token=\(token)&language=fr") }),
                            ("a sign-in's page", "en", { try await browser.get(path) }),
                            ("a start", "nl", { try await browser.post("/ui/sign-ins", form) }),
                            ("a confirmation", "en", { try await browser.post(path) }),
                            (
                                "a callback", "nl",
                                { try await browser.get("/ui/callback/sandbox?state=x&code=approve") }
                            ),
                        ] as [(String, String, () async throws -> TestPage)] {
                            let (duration, page) = try await timed { try await ask() }
                            #expect(
                                (page.status, page.name, page.language) == (503, "unavailable", language), "\(what)")
                            #expect(duration < .seconds(2), "\(what): \(duration)")
                            #expect(
                                lasting(page) == headers(isSecure: true).union(["retry-after: 1"]), "\(what)")
                            #expect(page.response.header("Set-Cookie") == nil, "\(what)")
                            #expect(page.link("back").isEmpty && page.goTo.isEmpty, "\(what)")
                        }
                        // What needs no database is there.
                        for url in [
                            "/ui/style.css", "/ui/icon.svg", "/.well-known/jwks.json", "/.well-known/security.txt",
                        ] {
                            #expect(try await browser.get(url).status == 200, "\(url)")
                        }
                        try await server.start()
                        try await wait(until: "the page is back") {
                            try await browser.get("/ui?token=\(token)").status == 200
                        }
                        #expect(try await browser.post(path).name == "returning")
                    }
                }
            }
        }

        // MARK: Weight, stylesheet and icon

        @Test func `a page with its stylesheet and its icon weighs under 30 kB`() async throws {
            try await Service.run(
                environment: ["SUPPLIER_MOCK_SECRET": Service.supplierSecret],
                prepare: { database in
                    for number in 1...40 {
                        try await database.addSupplier(
                            "grid-\(number)", name: "Grid \(String(repeating: "é", count: 40)) \(number)",
                            issuer: "https://login.example/\(number)")
                    }
                }
            ) { service in
                let token = try await service.createdToken()
                let browser = TestBrowser(service)
                let page = try await browser.get("/ui?token=\(token)&language=fr")
                #expect(page.response.text.components(separatedBy: "<button ").count == 42)
                let style = try #require(page.response.text.firstMatch(of: /rel="stylesheet" href="([^"]+)"/)).1
                let icon = try #require(page.response.text.firstMatch(of: /rel="icon" href="([^"]+)"/)).1
                var weight = page.response.body.count
                for (url, type) in [(style, "text/css; charset=utf-8"), (icon, "image/svg+xml")] {
                    let file = try await browser.get(String(url))
                    #expect(file.status == 200, "\(url)")
                    #expect(file.response.header("Content-Type") == type)
                    #expect(file.response.header("Cache-Control") == "public, max-age=86400")
                    #expect(file.response.header("X-Content-Type-Options") == "nosniff")
                    #expect(!file.response.body.isEmpty)
                    weight += file.response.body.count
                }
                #expect(weight < 30_000, "\(weight) bytes")
                // The stylesheet loads nothing, and reads its whole self as it lies in the sources.
                let css = try await browser.get(String(style)).response.text
                #expect(!css.contains("url(") && !css.contains("@import"))
                let sources = TestEnvironment.projectDirectory.appending(path: "Sources/AuthenticatorUI/Resources")
                #expect(css == (try String(contentsOf: sources.appending(path: "style.css"), encoding: .utf8)))
            }
        }

        @Test func `security.txt says whom to tell, and until when it holds`() async throws {
            for base in ["https://auth.example", "http://127.0.0.1:8080"] {
                try await Service.run(environment: ["PUBLIC_BASE_URL": base]) { service in
                    let page = try await TestBrowser(service).get("/.well-known/security.txt")
                    #expect(page.status == 200)
                    #expect(page.response.header("Content-Type") == "text/plain; charset=utf-8")
                    let lines = page.response.text.split(separator: "\n").map(String.init)
                    let fields = Dictionary(
                        lines.map { line in
                            let parts = line.components(separatedBy: ": ")
                            return (parts[0], Array(parts.dropFirst()))
                        }, uniquingKeysWith: +)
                    #expect(lines.allSatisfy { $0.contains(": ") })
                    // RFC 9116, sections 2.5.3 and 2.5.5: a URI at least; a time exactly once, under a year ahead.
                    let contact = try #require(fields["Contact"]?.first)
                    #expect(contact.hasPrefix("mailto:") || contact.hasPrefix("https://"))
                    let expires = try #require(fields["Expires"])
                    try #require(expires.count == 1)
                    let date = try Date(expires[0], strategy: .iso8601)
                    #expect((1...365).contains(date.timeIntervalSinceNow / 86_400), "\(expires[0])")
                    #expect(fields["Preferred-Languages"] == ["en, nl, fr, es"])
                    #expect(fields["Canonical"] == ["\(base)/.well-known/security.txt"])
                }
            }
        }
    }
}
