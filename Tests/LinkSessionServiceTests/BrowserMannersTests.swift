// What browsers, crawlers and people ask for that is no page of a session: each gets something, and a way on.

import Foundation
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct BrowserMannersTests {
        private static let accept = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")

        @Test func `what browsers and crawlers ask every host for is there`() async throws {
            try await Service.run { service in
                let browser = TestBrowser(service)
                for (path, type, start) in [
                    ("/favicon.ico", "image/vnd.microsoft.icon", [0, 0, 1, 0] as [UInt8]),
                    ("/apple-touch-icon.png", "image/png", [0x89, 0x50, 0x4E, 0x47]),
                    ("/robots.txt", "text/plain; charset=utf-8", Array("User-agent: *\nDisallow: /\n".utf8)),
                    ("/ui/page.js", "text/javascript; charset=utf-8", Array("//".utf8)),
                ] {
                    let file = try await browser.get(path)
                    #expect(file.status == 200, "\(path)")
                    #expect(file.response.header("Content-Type") == type, "\(path)")
                    #expect(file.response.header("X-Content-Type-Options") == "nosniff", "\(path)")
                    #expect(file.response.body.starts(with: start), "\(path)")
                    #expect(file.response.body.count < 5000, "\(path)")
                    #expect(
                        try await browser.send("HEAD", path).response.lastingHeaders == file.response.lastingHeaders)
                }
            }
        }

        @Test func `no page ends in JSON for a browser, and below v2 nothing ends in a page`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                let browser = TestBrowser(service)
                for (method, path, status) in [
                    ("GET", "/", 404), ("HEAD", "/", 404), ("GET", "/ui/", 404), ("GET", "/ui/?token=\(token)", 404),
                    ("POST", "/ui?token=\(token)", 405), ("DELETE", "/ui", 405), ("GET", "/ui/sign-ins", 405),
                    ("GET", "/wp-login.php", 404), ("GET", "//ui", 404), ("GET", "http://auth.example/nothing", 404),
                    ("HEAD", "https://auth.example/nothing?x", 404), ("OPTIONS", "/ui", 405), ("GET", "/health", 404),
                ] {
                    let page = try await browser.send(method, path, headers: [Self.accept])
                    #expect(page.status == status, "\(method) \(path)")
                    #expect(page.response.header("Content-Type") == "text/html; charset=utf-8", "\(method) \(path)")
                    #expect(page.response.header("Cache-Control") == "no-store", "\(method) \(path)")
                    guard method != "HEAD" else { continue }
                    #expect(page.name == "not-found", "\(method) \(path)")
                    // A link that is nearly right leads on to the one that is.
                    let way = page.link("again")
                    #expect(way == (path.contains(token) ? "/ui?token=\(token)&language=nl" : ""), "\(method) \(path)")
                }
                for path in ["/v2", "/v2/nothing", "http://auth.example/v2/nothing", Service.sessions] {
                    let answer = try await browser.send("PUT", path, headers: [Self.accept])
                    #expect(answer.response.header("Content-Type") == "application/json", "\(path)")
                }
                for accept in ["application/json", "*/*", "application/json, text/html;q=0.5", "text/html;q=0"] {
                    let answer = try await service.request("GET", "/nothing", headers: [("Accept", accept)])
                    service.expect(answer, 404, "not_found", accept)
                }
                // In absolute form a page is a page.
                #expect(try await browser.get("http://elsewhere.example/ui?token=\(token)").name == "link")
            }
        }

        @Test func `a browser that began a sign-in is led back to its session from wherever it went astray`()
            async throws
        {
            try await Service.run { service in
                let (token, browser) = (try await service.createdToken(), TestBrowser(service))
                #expect(try await browser.get("/ui/sign-ins", headers: [Self.accept]).link("again").isEmpty)
                _ = try await browser.start(token, at: "sandbox")
                let page = try await browser.get(
                    "/ui/sign-ins", headers: [Self.accept, ("Accept-Language", "de, es;q=0.8, fr;q=0.9")])
                #expect((page.status, page.name, page.language) == (405, "not-found", "fr"))
                #expect(page.link("again") == "/ui?token=\(token)&language=fr")
                #expect(try await browser.get(page.link("again")).name == "link")
            }
        }

        @Test func `in another browser a session is begun again only where that browser was given its link`()
            async throws
        {
            try await Service.run { service in
                let (token, browser) = (try await service.createdToken(), TestBrowser(service))
                let going = try await browser.start(token, at: "sandbox")
                let callback =
                    "/ui/callback/sandbox?state=\(AuthenticationRequest(url: going.goTo)["state"])&code=approve"
                // Whoever has the answer's URL has no token by it.
                let stranger = TestBrowser(service)
                let refused = try await stranger.get(callback)
                #expect((refused.status, refused.name) == (400, "refused"))
                #expect(refused.link("again").isEmpty && !refused.response.text.contains(token))
                #expect(refused.link("back") == "https://your-app.com/callback")
                // Another session's cookie is none of this one's.
                _ = try await stranger.start(try await service.createdToken(), at: "sandbox")
                #expect(try await stranger.get(callback).link("again").isEmpty)
                // A browser that began a sign-in of the session has its link.
                let second = TestBrowser(service)
                _ = try await second.start(token, at: "sandbox")
                let again = try await second.get(callback)
                #expect((again.status, again.name) == (400, "refused"))
                #expect(again.link("again") == "/ui?token=\(token)&language=en")
                #expect(try await second.get(again.link("again")).name == "link")
                #expect(
                    try await service.events(token).filter { $0 == "sign_in_refused other_browser" }.count == 3)
                // The first browser's answer still counts.
                #expect(try await browser.get(try await browser.get(callback).location).name == "confirm")
            }
        }

        @Test func `whose supplier is not listed goes back with a failure that says so`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                let page = try await TestBrowser(service).get("/ui?token=\(token)")
                let result = try #require(ReturnedResult(page.link("missing")))
                #expect(result.members["status"] == .string("failed"))
                #expect(result.members["reason"] == .string("supplier_not_listed"))
                #expect(await result.verifies(with: try await service.keyCollection()))
                #expect(Set(result.members.keys) == ReturnedResult.common.union(["reason"]))
                #expect(page.link("missing").hasPrefix("https://your-app.com/callback?data="))
                // Nothing happened by it: the session is open.
                #expect(try await service.status(token) == "open")
            }
        }

        @Test func `with nine suppliers a search without a script finds by words and leads on`() async throws {
            try await Service.run(
                environment: ["SUPPLIER_MOCK_SECRET": Service.supplierSecret],
                prepare: { database in
                    for number in 1...8 {
                        try await database.addSupplier(
                            "grid-\(number)", name: "Électricité \(number) <b>",
                            issuer: "https://login.example/\(number)")
                    }
                }
            ) { service in
                let (token, browser) = (try await service.createdToken(), TestBrowser(service))
                func suppliers(_ page: TestPage) -> [String] {
                    page.response.text.matches(of: /<button name="supplier" value="([^"]+)">/).map { String($0.1) }
                }
                let all = try await browser.get("/ui?token=\(token)&language=fr")
                #expect(suppliers(all).count == 9)
                #expect(all.response.text.contains("<form method=\"get\" action=\"/ui\" role=\"search\">"))
                let found = try await browser.get("/ui?token=\(token)&language=fr&q=%20ELECTRICITE+%20+3")
                #expect((found.status, found.name) == (200, "link"))
                #expect(suppliers(found) == ["grid-3"])
                #expect(found.field("q") == "ELECTRICITE 3")
                // What was sought stays when the language changes.
                #expect(found.response.text.contains("language=es&amp;q=ELECTRICITE%203\""))
                #expect(found.link("all") == "/ui?token=\(token)&language=fr")
                for query in ["zz", "%3Cscript%3E", "%00%00x", String(repeating: "x", count: 5000), "%FF"] {
                    let none = try await browser.get("/ui?token=\(token)&language=fr&q=\(query)")
                    #expect((none.status, none.name) == (200, "link"), "\(query.prefix(20))")
                    #expect(!none.response.text.contains("<script>"))
                    #expect(none.response.body.count < 30_000)
                    #expect(ReturnedResult(none.link("missing")) != nil, "no dead end")
                }
                #expect(try await service.events(token).isEmpty)
            }
        }
    }
}
