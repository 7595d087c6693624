// Who gets a completed session's result, for how long, and under which secrets.

import Foundation
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct ReturnedBrowserTests {
        private static let plain = "https://your-app.com/callback"

        @Test func `the API's answer has byte for byte the link of the browser that completed`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let (token, browser) = (try await service.createdToken(), TestBrowser(service))
                    let (path, _) = try await browser.signIn(token, at: provider)
                    let done = try await browser.post(path)
                    #expect(ReturnedResult(done.goTo)?.members["status"] == .string("completed"))
                    let answer = try await service.complete(token, supplier: "mock-energy", as: "subject-1")
                    #expect(answer.json["return_url"] == .string(done.goTo))
                    // And so it is however often the browser asks, and wherever.
                    for url in ["/ui?token=\(token)", "/ui?token=\(token)&language=fr", path] {
                        let page = try await browser.get(url)
                        #expect((page.status, page.name) == (200, "completed"))
                        #expect(page.link("back") == done.goTo)
                    }
                    let again = try await browser.post(path)
                    #expect((again.name, again.goTo) == ("returning", done.goTo))
                }
            }
        }

        @Test func `any other browser gets the plain link`() async throws {
            try await Service.run { service in
                let (token, browser) = (try await service.createdToken(), TestBrowser(service))
                let path = try await service.sandboxSignIn(token, browser)
                // A second sign-in of the same session, which did not complete it.
                let bystander = TestBrowser(service)
                let second = try await service.sandboxSignIn(token, bystander)
                let done = try await browser.post(path)
                let result = try #require(ReturnedResult(done.goTo))
                let stranger = TestBrowser(service)
                let pages = [
                    try await stranger.get("/ui?token=\(token)"), try await bystander.get("/ui?token=\(token)"),
                    try await bystander.get(second), try await stranger.get(path), try await bystander.post(second),
                ]
                #expect(pages.map(\.name) == ["completed", "completed", "completed", "refused", "completed"])
                let user = try #require(result.members["nox_user_id"]?.string)
                for page in pages {
                    #expect(page.link("back") == Self.plain)
                    for secret in [result.data, result.signature, user] {
                        #expect(!page.response.text.contains(secret))
                    }
                }
                // A cookie of the right name with another secret is no proof.
                let (name, value) = try #require(browser.cookies.withLock { $0.first })
                stranger.cookies.withLock { $0 = [(name, "\(secretOf(9)).\(value.suffix(54))")] }
                let page = try await stranger.get("/ui?token=\(token)")
                #expect((page.name, page.link("back")) == ("completed", Self.plain))
            }
        }

        @Test func `a session that the API completed has no browser: each gets the plain link`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let (token, browser) = (try await service.createdToken(), TestBrowser(service))
                _ = try await service.sandboxSignIn(token, browser)
                _ = try await service.result(token, as: "s-1")
                let page = try await browser.get("/ui?token=\(token)")
                #expect((page.name, page.link("back")) == ("completed", Self.plain))
            }
        }

        @Test func `ten minutes after the completion the browser that completed gets the plain link too`() async throws
        {
            try await Service.run { service in
                let (token, browser) = (try await service.createdToken(), TestBrowser(service))
                let path = try await service.sandboxSignIn(token, browser)
                let done = try await browser.post(path)
                try await service.age(token, by: "9 minutes")
                let fresh = try await browser.get("/ui?token=\(token)")
                #expect(
                    ReturnedResult(fresh.link("back"))?.members["code"] == ReturnedResult(done.goTo)?.members["code"])
                try await service.age(token, by: "1 minute")
                for url in ["/ui?token=\(token)", path] {
                    let page = try await browser.get(url)
                    #expect((page.status, page.name, page.link("back")) == (200, "completed", Self.plain))
                }
                let late = try await browser.post(path)
                #expect((late.status, late.name, late.link("back")) == (200, "completed", Self.plain))
                #expect(late.goTo.isEmpty)
            }
        }

        @Test func `a redirect URL keeps its own query`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                for (url, key) in [
                    ("https://your-app.com/callback?state=a%20b&x='1'", TestKeys.acme),
                    ("https://beta.example/?next=%2Fhome%3Fa%3D1&next=2", TestKeys.beta),
                    ("com.beta.app:/linked?x", TestKeys.beta),
                ] {
                    let token = try await service.createdToken(user: "zq7user-1", redirect: url, key: key)
                    let open = try await TestBrowser(service).get("/ui?token=\(token)")
                    #expect(open.link("back").hasPrefix("\(url)&data="), "\(open.link("back"))")
                    let completed = try await service.complete(token, as: "s-1")
                    let back = try #require(completed.json["return_url"]?.string)
                    #expect(back.hasPrefix("\(url)&data="), "\(back)")
                    let result = try #require(ReturnedResult(back))
                    #expect(await result.verifies(with: try await service.keyCollection()))
                    #expect(back == "\(url)&data=\(result.data)&signature=\(result.signature)")
                    let other = try await TestBrowser(service).get("/ui?token=\(token)")
                    #expect(other.link("back") == url)
                }
                let app = try await service.createdToken(
                    user: "zq7user-1", redirect: "com.beta.app:/linked", key: TestKeys.beta)
                let back = try await service.complete(app, as: "s-1").json["return_url"]?.string
                #expect(back?.hasPrefix("com.beta.app:/linked?data=") == true)
            }
        }

        @Test func `code and id of a result change with the secret, and a code of an older secret still confirms`()
            async throws
        {
            try await Service.run(prepare: Service.withGreenGrid) { before in
                let token = try await before.createdToken()
                let old = try await before.result(token, as: "s-1")
                let oldCode = try #require(old.members["code"]?.string)
                let new = secretOf(5)
                try await Service.serving(
                    before.database, environment: ["RETURN_CODE_SECRETS": "\(new),\(TestKeys.codeSecret)"]
                ) { service in
                    let result = try await service.result(token, as: "s-1")
                    let code = try #require(result.members["code"]?.string)
                    #expect(code != oldCode)
                    #expect(result.members["jti"] != old.members["jti"])
                    for name in old.members.keys where !["code", "jti"].contains(name) {
                        #expect(result.members[name] == old.members[name], "\(name)")
                    }
                    // The replica that has not got the new secret yet knows none of its codes.
                    service.expect(
                        try await before.confirm(token, code: code), 409, "confirmation_refused",
                        "a newer secret's code")
                    let (first, second) = (
                        try await service.confirm(token, code: oldCode), try await service.confirm(token, code: code)
                    )
                    #expect((first.status, second.status) == (200, 200))
                    #expect(first.text == second.text)
                }
                // With the secret gone, its codes are.
                try await Service.serving(before.database, environment: ["RETURN_CODE_SECRETS": new]) { service in
                    service.expect(
                        try await service.confirm(token, code: oldCode), 409, "confirmation_refused",
                        "a code of a secret that is gone")
                }
            }
        }
    }
}
