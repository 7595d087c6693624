// How far sessions came, and why the others ended, as operators count them.

import Foundation
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct FunnelTests {
        private static let steps = [
            "created", "opened", "sign_in_begun", "came_back", "signed_in", "confirmed", "completed",
            "confirmed_by_backend",
        ]

        @Test func `each session is counted at every step that it came to, and ends in one way`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    try await Self.play(service, provider)
                    let deployment = Deployment(database: service.database, path: "/tmp")
                    func funnel(_ arguments: String...) async throws -> JSONValue {
                        let run = try await deployment.admin(["funnel", "--json"] + arguments)
                        try #require(run.status == 0, "\(run.summary)")
                        return try JSONDecoder().decode(JSONValue.self, from: Data(run.output.utf8))
                    }
                    let all = try await funnel("--since", "1h", "--manufacturer", "Acme Manufacturing")
                    Self.expect(
                        all["all"], [12, 10, 7, 6, 5, 3, 3, 1],
                        [
                            "open": 1, "never_opened": 1, "no_sign_in_begun": 1, "left_at_supplier": 1, "declined": 1,
                            "not_confirmed": 2, "completion_refused_expired": 1, "expired_by_manufacturer": 1,
                            "completed": 3,
                        ])
                    Self.expect(all["by_language"]?["fr"], [1, 1, 0, 0, 0, 0, 0, 0], ["no_sign_in_begun": 1])
                    let atMock = all["by_supplier"]?["mock-energy"]
                    Self.expect(
                        atMock, [7, 7, 7, 6, 4, 2, 1, 1],
                        [
                            "left_at_supplier": 1, "declined": 1, "not_confirmed": 2, "completion_refused_expired": 1,
                            "completed": 1, "completed_at_another_supplier": 1,
                        ])
                    Self.expect(all["by_supplier"]?["sandbox"], [1, 1, 1, 1, 1, 1, 1, 0], ["completed": 1])

                    let ofMock = try await funnel("--supplier", "mock-energy")
                    #expect(ofMock["all"] == atMock)
                    #expect(ofMock["by_supplier"]?.members?.keys.sorted() == ["mock-energy"])
                    let everybody = try await funnel("--since", "30d")
                    #expect(everybody["all"]?["created"]?.number == 13)
                    let nobody = try await funnel("--supplier", "nowhere")
                    Self.expect(nobody["all"], [0, 0, 0, 0, 0, 0, 0, 0], [:])

                    let text = try await deployment.admin("funnel", "--manufacturer", "Acme Manufacturing")
                    for words in [
                        ["sign in begun", "58.3 %"], ["completion refused expired"], ["mock-energy", "sandbox"],
                    ] {
                        #expect(
                            text.output.split(separator: "\n").contains { line in words.allSatisfy(line.contains) },
                            "\(words) in\n\(text.output)")
                    }
                    let audited = try await service.database.rows(
                        "SELECT subject FROM operator_actions WHERE action = 'funnel' ORDER BY id")
                    #expect(
                        audited == [
                            ["Acme Manufacturing"], ["mock-energy"], [nil], ["nowhere"], ["Acme Manufacturing"],
                        ])
                    for (arguments, status, sentence) in [
                        (["--since", "7"], 64, "--since expects"), (["--since", "401d"], 64, "--since expects"),
                        (["--supplier", "A B"], 64, "--supplier expects"),
                        (["--manufacturer", "Nobody"], 1, "there is no manufacturer of this name"),
                    ] {
                        let run = try await deployment.admin(["funnel"] + arguments)
                        #expect(run.status == Int32(status) && run.errors.contains(sentence), "\(run.summary)")
                    }
                }
            }
        }

        /// Twelve sessions of Acme, one an end, but for those that are not confirmed, two, and those that are completed, three;
        /// and one of another's.
        private static func play(_ service: Service, _ provider: ScriptedProvider) async throws {
            func opened(language: String = "nl") async throws -> (token: String, browser: TestBrowser) {
                let body = #"{"user_id":"u","redirect_url":"https://your-app.com/callback","language":"\#(language)"}"#
                let token = try #require(try await service.create(body).json["link_token"]?.string)
                let browser = TestBrowser(service)
                _ = try await browser.get("/ui?token=\(token)")
                return (token, browser)
            }
            func declined() async throws -> (token: String, browser: TestBrowser) {
                let (token, browser) = try await opened()
                let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                _ = try await browser.get("/ui/callback/mock-energy?state=\(request["state"])&error=access_denied")
                return (token, browser)
            }
            _ = try await service.createdToken()  // stays open
            _ = try await service.createdToken(key: TestKeys.beta)
            try await service.age(try await service.createdToken())
            try await service.age(try await opened(language: "fr").token)
            let left = try await opened()
            _ = try await left.browser.start(left.token, at: "mock-energy")
            try await service.age(left.token)
            try await service.age(try await declined().token)
            // More than those whose confirmation is refused, which they must not be counted as.
            for _ in 0..<2 {
                let hesitant = try await opened()
                _ = try await hesitant.browser.signIn(hesitant.token, at: provider)
                try await service.age(hesitant.token)
            }
            let late = try await opened()
            let confirm = try await late.browser.signIn(late.token, at: provider)
            try await service.age(late.token)
            _ = try await late.browser.post(confirm.path)
            #expect(try await service.expire(try await opened().token).status == 200)

            // By its browser, which the backend confirms; at the second supplier; and by the Authenticator.
            let done = try await opened()
            _ = try await done.browser.post(try await done.browser.signIn(done.token, at: provider).path)
            try await service.update(done.token, ["confirmed_at": "completed_at"])
            let second = try await declined()
            let request = AuthenticationRequest(url: try await second.browser.start(second.token, at: "sandbox").goTo)
            let answer = try await second.browser.get(second.browser.callback("approve", request, supplier: "sandbox"))
            _ = try await second.browser.post(answer.location)
            let token = try await service.createdToken()
            _ = try await service.view(token)
            #expect(try await service.complete(token).status == 200)
        }

        private static func expect(
            _ found: JSONValue?, _ counts: [Int], _ ends: [String: Int],
            sourceLocation: SourceLocation = #_sourceLocation
        ) {
            #expect(steps.map { found?[$0]?.number } == counts, sourceLocation: sourceLocation)
            #expect(found?["ended"]?.members?.mapValues(\.number) == ends, sourceLocation: sourceLocation)
        }
    }
}
