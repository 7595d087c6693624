// A sign-in while its session, its supplier or another browser changes what it began with.

import Foundation
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct SignInChangeTests {
        @Test func `an answer after the session's end completes nothing`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = TestBrowser(service)
                    let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                    try await service.age(token, by: "20 minutes")
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
                        (
                            "the supplier's client secret",
                            "UPDATE suppliers SET client_secret_name = 'SUPPLIER_WITHOUT_SECRET'",
                            "UPDATE suppliers SET client_secret_name = 'SUPPLIER_MOCK_SECRET'", 409
                        ),
                    ] {
                        let token = try await service.createdToken()
                        let browser = TestBrowser(service)
                        let (path, _) = try await browser.signIn(token, at: provider)
                        try await service.change(sql)
                        #expect(try await browser.get(path).status == status, "\(what)")
                        #expect(try await browser.post(path).status == status, "\(what)")
                        #expect(
                            try await service.database.count(
                                "SELECT count(*) FROM link_sessions WHERE completed_at IS NOT NULL") == 0, "\(what)")
                        try await service.change(back)
                    }
                }
            }
        }

        @Test func `at most a hundred sign-ins are begun of one session, however many ask at once`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    try await service.database.execute("UPDATE link_sessions SET sign_ins = 90")
                    let pages = try await withThrowingTaskGroup(of: TestPage.self) { group in
                        for _ in 0..<24 {
                            group.addTask { try await TestBrowser(service).start(token, at: "mock-energy") }
                        }
                        return try await group.reduce(into: []) { $0.append($1) }
                    }
                    #expect(pages.count { $0.status == 200 && $0.name == "continue" } == 10)
                    #expect(pages.count { $0.status == 429 && $0.name == "refused" } == 14)
                    #expect(pages.allSatisfy { $0.status == 200 || !$0.link("back").isEmpty })
                    #expect(try await service.database.count("SELECT count(*) FROM sign_ins") == 10)
                    #expect(try await service.database.count("SELECT sign_ins FROM link_sessions") == 100)
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
                        let browsers = [TestBrowser(service), TestBrowser(service)]
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
