// The pages that a browser gets: which, in which language, and that looking changes nothing.

@testable import AuthenticatorUI
import Foundation
import LinkSessions
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct PagesTests {
        /// A page of each kind, of sessions of their own: what it is, the page, and the prefix of its texts.
        private func all(
            _ service: Service, _ language: String
        ) async throws -> [(what: String, page: TestPage, status: Int, name: String, text: String)] {
            let query = "language=\(language)"
            func sandbox(_ answer: String) async throws -> (token: String, browser: TestBrowser, path: String) {
                let (token, browser) = (try await service.createdToken(), TestBrowser(service))
                let path = try await service.sandboxSignIn(token, browser, answer)
                return (token, browser, path.replacing("language=en", with: query))
            }
            let open = try await service.createdToken()
            let browser = TestBrowser(service)
            let going = try await browser.start(open, at: "sandbox", language: language)
            let state = AuthenticationRequest(url: going.goTo)["state"]
            let (approved, declined, failed, late) = (
                try await sandbox("code=approve"), try await sandbox("error=access_denied"),
                try await sandbox("error=server_error"), try await sandbox("code=late")
            )
            let confirm = try await approved.browser.get(approved.path)
            let returning = try await approved.browser.post(approved.path)
            let taken = try await sandbox("code=approve")
            _ = try await service.complete(taken.token, as: "s-1")
            let many = try await service.createdToken()
            for _ in 0..<10 { _ = try await service.sandboxSignIn(many, TestBrowser(service), "error=server_error") }
            let form = [("token", open), ("language", language), ("supplier", "sandbox")]
            return [
                ("open", try await browser.get("/ui?token=\(open)&\(query)"), 200, "link", "link"),
                ("going", going, 200, "continue", "continue"),
                (
                    "the sandbox", try await browser.get("/ui/sandbox?state=\(state)&\(query)"), 200, "sandbox",
                    "sandbox"
                ),
                ("approved", confirm, 200, "confirm", "confirm"),
                ("confirmed", returning, 200, "returning", "returning"),
                (
                    "completed", try await TestBrowser(service).get("/ui?token=\(approved.token)&\(query)"), 200,
                    "completed",
                    "completed"
                ),
                ("by another", try await taken.browser.post(taken.path), 409, "completed", "taken"),
                ("declined", try await declined.browser.get(declined.path), 200, "failed", "declined"),
                ("failed", try await failed.browser.get(failed.path), 200, "failed", "failed"),
                ("too late", try await late.browser.get(late.path), 410, "expired", "expired"),
                (
                    "expired", try await TestBrowser(service).get("/ui?token=\(late.token)&\(query)"), 410, "expired",
                    "expired"
                ),
                ("unknown", try await browser.get("/ui?token=\(unknownToken)&\(query)"), 404, "unknown", "unknown"),
                (
                    "another page's form", try await browser.post("/ui/sign-ins", form, headers: [("Origin", "null")]),
                    403,
                    "refused", "cross-origin"
                ),
                ("another browser", try await TestBrowser(service).get(declined.path), 403, "refused", "other-browser"),
                (
                    "an unknown state", try await browser.get("/ui/callback/sandbox?state=x&code=approve&\(query)"),
                    400,
                    "refused", "state"
                ),
                (
                    "an eleventh attempt",
                    try await TestBrowser(service).start(many, at: "sandbox", language: language),
                    429,
                    "refused", "too-many"
                ),
            ]
        }

        // MARK: Which page

        @Test func `each page has its status, its name and its texts, in every language, and leads on`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                for language in Language.allCases {
                    let texts = try Pages.catalogue(language)
                    for (what, page, status, name, text) in try await all(service, language.rawValue) {
                        let at = "\(what) in \(language)"
                        #expect((page.status, page.name) == (status, name), "\(at)")
                        // An unknown state is answered in the session's language: nothing else is known.
                        guard text != "state" else { continue }
                        #expect(page.language == language.rawValue, "\(at)")
                        let title = (texts["\(text).title"] ?? "").replacing("{{brand}}", with: "Acme Manufacturing")
                            .replacing("{{supplier}}", with: "Sandbox Energy")
                        #expect(page.response.text.contains("<h1>\(title)</h1>"), "\(at): \(title)")
                        #expect(page.response.text.contains("<title>\(title) · NOX</title>"), "\(at)")
                        #expect(!page.response.text.contains("{{"), "\(at)")
                        // No dead ends: every page of a known session leads back to the app, or on to it.
                        let ways = [page.link("back"), page.link("return"), page.link("continue")]
                        #expect(ways.contains { !$0.isEmpty } != (name == "unknown"), "\(at)")
                        if !page.link("back").isEmpty {
                            #expect(page.link("back").hasPrefix("https://your-app.com/callback"), "\(at)")
                        }
                        // Only right after the user's own click does a page go on by itself.
                        #expect(page.goTo.isEmpty != ["continue", "returning"].contains(name), "\(at)")
                    }
                }
            }
        }

        @Test func `the language asked for wins over the session's, and nonsense counts as not asked for`() async throws
        {
            try await Service.run { service in
                for session in Language.allCases {
                    let token = try #require(
                        try await service.create(
                            #"{"user_id":"zq7user","redirect_url":"https://your-app.com/callback","language":"\#(session.rawValue)"}"#
                        ).json["link_token"]?.string)
                    let browser = TestBrowser(service)
                    for language in Language.allCases {
                        let page = try await browser.get("/ui?token=\(token)&language=\(language.rawValue)")
                        #expect(page.language == language.rawValue)
                        #expect(page.field("language") == language.rawValue, "the form goes on in it")
                    }
                    for query in [
                        "", "&language=", "&language", "&language=de", "&language=EN", "&language=en-GB",
                        "&language=%FF",
                        "&language=en&language=fr", "&language=en%00", "&language=..%2Fen", "&Language=en",
                    ] {
                        let page = try await browser.get("/ui?token=\(token)\(query)")
                        #expect((page.status, page.language) == (200, session.rawValue), "\(query)")
                    }
                }
                // Where no session is known, the default.
                let unknown = try await TestBrowser(service).get("/ui?token=x&language=de")
                #expect((unknown.status, unknown.language) == (404, "nl"))
            }
        }

        @Test func `a link without a session is unknown, however it is written`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                let browser = TestBrowser(service)
                for path in [
                    "/ui", "/ui?", "/ui?token=", "/ui?token=x", "/ui?token=\(secretOf(0))", "/ui?Token=\(token)",
                    "/ui?token=\(token)&token=\(token)", "/ui?token=\(token)%20", "/ui?token=%20\(token)",
                    "/ui?token=\(token)%00", "/ui?token=\(token)=", "/ui?token=\(token.dropLast())",
                    "/ui?token=\(TestKeys.digest(token))", "/ui/sign-ins/\(TestKeys.digest(token))", "/ui/sign-ins/x",
                    "/ui/sandbox", "/ui/sandbox?state=x", "/ui/callback/sandbox", "/ui/callback/x?state=x&code=approve",
                ] {
                    let page = try await browser.get(path)
                    #expect((page.status, page.name) == (404, "unknown"), "\(path)")
                    #expect(page.link("back").isEmpty && page.goTo.isEmpty, "\(path)")
                }
                #expect(try await browser.post("/ui/sign-ins").status == 404)
                #expect(try await browser.post("/ui/sign-ins/x").status == 404)
                for path in ["/ui/other", "/ui/sign-ins/x/y", "/ui/callback", "/UI"] {
                    #expect(try await browser.get(path).status == 404, "\(path)")
                }
                #expect(try await browser.get("/ui?token=\(token)").status == 200)
            }
        }

        @Test func `one hour after its end a session's page is unknown`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let (expired, completed) = (try await service.createdToken(), try await service.createdToken())
                let browser = TestBrowser(service)
                let path = try await service.sandboxSignIn(completed, browser)
                _ = try await browser.post(path)
                // To the minute: at 59 minutes it is still there.
                try await service.age(expired, by: "69 minutes")
                try await service.age(completed, by: "59 minutes")
                let before = [
                    try await browser.get("/ui?token=\(expired)"), try await browser.get("/ui?token=\(completed)"),
                    try await browser.get(path),
                ]
                #expect(before.map(\.status) == [410, 200, 200])
                #expect(before.map(\.name) == ["expired", "completed", "completed"])
                try await service.age(expired, by: "1 minute")
                try await service.age(completed, by: "1 minute")
                for url in ["/ui?token=\(expired)", "/ui?token=\(completed)", path] {
                    let page = try await browser.get(url)
                    #expect((page.status, page.name) == (404, "unknown"), "\(url)")
                    #expect(page.link("back").isEmpty)
                }
                #expect(try await browser.post(path).status == 404)
                #expect(try await browser.start(expired, at: "sandbox").status == 404)
                // The API still knows them.
                #expect(try await service.status(expired) == "expired")
                #expect(try await service.status(completed) == "completed")
            }
        }

        // MARK: Looking

        @Test func `GET and HEAD change nothing: scanners open links too`() async throws {
            try await Service.run { service in
                let (token, browser) = (try await service.createdToken(), TestBrowser(service))
                let path = try await service.sandboxSignIn(token, browser)
                let going = try await browser.start(token, at: "sandbox")
                let state = AuthenticationRequest(url: going.goTo)["state"]
                let scanner = TestBrowser(service)
                func everything() async throws -> [[String?]] {
                    try await service.database.rows("SELECT xmin::text, * FROM link_sessions")
                        + service.database.rows("SELECT xmin::text, * FROM sign_ins ORDER BY state_hash")
                        + service.database.rows("SELECT xmin::text, * FROM link_session_events ORDER BY occurred_at")
                }
                // That the page was seen is recorded, once.
                _ = try await scanner.get("/ui?token=\(token)")
                // The feed has given its positions: that changes the events' rows, and is nobody's looking.
                try await wait(until: "the events have their positions") {
                    try await service.database.count("SELECT count(*) FROM link_session_events WHERE position = 0") == 0
                }
                let before = try await everything()
                #expect(before.count == 7)
                for viewer in [scanner, browser] {
                    let cookies = viewer.cookies.withLock { $0.map { "\($0)" } }
                    for url in [
                        "/ui?token=\(token)", "/ui?token=\(token)&language=fr", path, "/ui/sandbox?state=\(state)",
                        "/ui/style.css", "/ui/icon.svg", "/.well-known/security.txt", "/.well-known/jwks.json",
                    ] {
                        let get = try await viewer.get(url)
                        let head = try await viewer.send("HEAD", url)
                        #expect(head.status == get.status, "\(url)")
                        #expect(head.response.body.isEmpty, "\(url)")
                        #expect(head.response.lastingHeaders == get.response.lastingHeaders, "\(url)")
                        #expect(get.response.header("Set-Cookie") == nil, "\(url)")
                        #expect(try await everything() == before, "\(url)")
                    }
                    #expect(viewer.cookies.withLock { $0.map { "\($0)" } } == cookies)
                }
                // A callback counts once: asking for its head must not use it up.
                let callback = "/ui/callback/sandbox?state=\(state)&code=approve"
                let head = try await browser.send("HEAD", callback)
                #expect((head.status, head.response.header("Allow")) == (405, "GET, POST"))
                #expect(try await everything() == before)
                #expect(try await browser.get(callback).status == 303)
            }
        }

        @Test func `a method that a page does not have is refused`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                for (method, path, allow) in [
                    ("POST", "/ui?token=\(token)", "GET, HEAD"), ("DELETE", "/ui?token=\(token)", "GET, HEAD"),
                    ("GET", "/ui/sign-ins", "POST"), ("HEAD", "/ui/sign-ins", "POST"),
                    ("PUT", "/ui/sign-ins/x", "GET, HEAD, POST"), ("PUT", "/ui/callback/sandbox", "GET, POST"),
                    ("HEAD", "/ui/callback/sandbox", "GET, POST"), ("POST", "/ui/sandbox", "GET, HEAD"),
                ] {
                    let page = try await TestBrowser(service).send(method, path)
                    #expect(page.status == 405, "\(method) \(path)")
                    #expect(page.response.header("Allow") == allow, "\(method) \(path)")
                }
                #expect(try await service.events(token).isEmpty)
            }
        }
    }
}
