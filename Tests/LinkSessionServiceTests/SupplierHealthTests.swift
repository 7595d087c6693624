// A supplier whose sign-ins keep failing, and who can make one look so.

import Foundation
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct SupplierHealthTests {
        private func isAvailable(_ service: Service) async throws -> Bool? {
            let list = try await service.get("/v2/manufacturer/suppliers", key: TestKeys.acme)
            let supplier = list.json["data"]?.elements?.first { $0["slug"] == .string("mock-energy") }
            return supplier?["available"].map { $0 == .bool(true) }
        }

        private func outcomes(_ service: Service) async throws -> [String?] {
            try await service.database.rows(
                "SELECT sum(succeeded)::text, sum(failed)::text, sum(declined)::text FROM supplier_outcomes"
            ).first ?? []
        }

        @Test func `a supplier that fails is unavailable within ten seconds, and may be chosen all the same`()
            async throws
        {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    #expect(try await isAvailable(service) == true)
                    let failures: [ScriptedProvider.Answer] = [
                        (503, [], "{}"), (401, [], #"{"error":"invalid_client"}"#),
                        (400, [], #"{"error":"unauthorized_client"}"#), (401, [], ""), (500, [], "<html>"),
                    ]
                    for failure in failures {
                        provider.script.withLock { $0.answers["/token"] = failure }
                        let token = try await service.createdToken()
                        let page = try await TestBrowser(service).signIn(token, at: provider).page
                        #expect(page.name == "failed")
                    }
                    let start = ContinuousClock.now
                    while try await isAvailable(service) == true {
                        try #require(ContinuousClock.now - start < .seconds(10))
                        try await Task.sleep(for: .milliseconds(200))
                    }
                    #expect(service.process.log.contains("sign-ins keep failing supplier=mock-energy"))
                    provider.script.withLock { $0.answers = [:] }
                    let token = try await service.createdToken()
                    let page = try await TestBrowser(service).signIn(token, at: provider).page
                    #expect(page.name == "confirm")
                    let created = try await service.create(
                        #"{"user_id":"zq7user","redirect_url":"https://your-app.com/callback","supplier":"mock-energy"}"#
                    )
                    #expect(created.status == 201)
                }
            }
        }

        @Test func `what a browser makes up counts against no supplier`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    for answer in [
                        "error=server_error", "error=temporarily_unavailable", "error=access_denied", "code=made-up",
                        "code=",
                        "iss=https%3A%2F%2Fevil.example&code=x", "x=y",
                    ] {
                        let browser = TestBrowser(service)
                        let token = try await service.createdToken()
                        let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                        _ = try await browser.get("/ui/callback/mock-energy?state=\(request["state"])&\(answer)")
                    }
                    // A code for another nonce, of a request that the browser has changed.
                    let browser = TestBrowser(service)
                    let request = AuthenticationRequest(
                        url: try await browser.start(try await service.createdToken(), at: "mock-energy").goTo)
                    let code = "subject-1~other-nonce~\(request["code_challenge"])"
                    _ = try await browser.get("/ui/callback/mock-energy?state=\(request["state"])&code=\(code)")
                    // Without its cookie nobody is asked at all.
                    _ = try await TestBrowser(service).get(
                        "/ui/callback/mock-energy?state=\(request["state"])&code=\(code)")
                    let page = try await TestBrowser(service).signIn(try await service.createdToken(), at: provider)
                        .page
                    #expect(page.name == "confirm")
                    let start = ContinuousClock.now
                    while try await outcomes(service) != ["1", "0", "1"] {
                        try #require(ContinuousClock.now - start < .seconds(10))
                        try await Task.sleep(for: .milliseconds(200))
                    }
                    #expect(try await isAvailable(service) == true)
                }
            }
        }

        @Test func `an unreachable provider counts once a session`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    provider.script.withLock { $0.answers["/.well-known/openid-configuration"] = (500, [], "") }
                    let token = try await service.createdToken()
                    for _ in 0..<4 { _ = try await TestBrowser(service).start(token, at: "mock-energy") }
                    let start = ContinuousClock.now
                    while try await outcomes(service) != ["0", "1", "0"] {
                        try #require(ContinuousClock.now - start < .seconds(10))
                        try await Task.sleep(for: .milliseconds(200))
                    }
                }
            }
        }
    }
}
