// Completion by the Authenticator API: with an account or without, and one NOX user for all sessions of a user.

import Foundation
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct CompletionTests {
        private static let another = "the link session was completed with another supplier account"

        @Test func `a completion that names its account is answered the same however often it is sent`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let token = try await service.createdToken()
                let first = try await service.complete(token, as: "s-1")
                #expect(first.status == 200)
                #expect(first.json["status"] == .string("completed"))
                let row = try await service.row(token)
                for _ in 0..<2 {
                    let again = try await service.complete(token, as: "s-1")
                    #expect(again.status == 200)
                    #expect(again.text == first.text)
                }
                let reordered = try await service.complete(
                    token, json: #"{ "x": [1], "supplier_user_id": "s\u002D1", "supplier": "green-grid" }"#)
                #expect(reordered.text == first.text, "unknown fields and the spelling of JSON do not count")
                #expect(try await service.row(token) == row, "the later calls write nothing")
                #expect(try await service.events(token) == ["completed"])
                #expect(
                    try await service.database.rows(
                        "SELECT supplier, supplier_user_id, completed_by FROM link_sessions")
                        == [["green-grid", "s-1", nil]])
                // The account is nobody's business but the supplier's.
                #expect(!first.text.contains("s-1"))
                let (found, seen) = (try await service.find(token), try await service.view(token))
                #expect(!found.text.contains("s-1") && !seen.text.contains("s-1"))
            }
        }

        @Test func `a completion without a body names no account, with or without a length`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                let path = "\(Service.authenticatorSessions)/\(token)/complete"
                let key = [("x-api-key", TestKeys.authenticator)]
                let first = try await service.request("POST", path, headers: key)
                #expect(first.status == 200)
                for headers in [
                    [], [("Content-Length", "0")], [("Content-Length", "0"), ("Content-Type", "application/json")],
                    [("Content-Type", "text/plain")],
                ] {
                    let again = try await service.request("POST", path, headers: key + headers)
                    #expect(again.status == 200)
                    #expect(again.text == first.text, "\(headers)")
                }
                #expect(try await service.events(token) == ["completed"])
            }
        }

        @Test func `whoever names another account, or none, is told so and learns nothing`() async throws {
            try await Service.run(
                prepare: {
                    try await Service.withGreenGrid($0)
                    try await $0.addSupplier("blue-grid", name: "Blue Grid", issuer: "https://login.blue-grid.example")
                }
            ) { service in
                let token = try await service.createdToken()
                let first = try await service.complete(token, as: "s-e\u{301}")
                #expect(first.status == 200)
                let row = try await service.row(token)
                let cases = [
                    ("another user", try await service.complete(token, as: "s-2")),
                    ("another supplier", try await service.complete(token, supplier: "blue-grid", as: "s-e\u{301}")),
                    ("the sandbox", try await service.complete(token, supplier: "sandbox", as: "s-e\u{301}")),
                    ("the accent in one scalar", try await service.complete(token, as: "s-\u{E9}")),
                    ("a blank more", try await service.complete(token, as: "s-e\u{301} ")),
                    ("no account", try await service.complete(token)),
                ]
                for (what, answer) in cases {
                    service.expect(answer, 409, "completed_by_another", Self.another, what)
                    #expect(Set(answer.json.keys) == ["error", "code", "request_id", "docs_url"], "\(what)")
                }
                #expect(try await service.row(token) == row)
                #expect(
                    try await service.events(token)
                        == ["completed"] + cases.map { _ in "completion_refused completed_by_another" })
                #expect(try await service.complete(token, as: "s-e\u{301}").text == first.text)

                let plain = try await service.createdToken()
                #expect(try await service.complete(plain).status == 200)
                service.expect(
                    try await service.complete(plain, as: "s-1"), 409, "completed_by_another", Self.another,
                    "an account where none was named")
                #expect(try await service.complete(plain).status == 200)
            }
        }

        @Test func `an account at an unknown, disabled or switched-off supplier is refused`() async throws {
            let sentence = "supplier is required and must be the slug of an enabled supplier"
            try await Service.run(environment: ["SANDBOX_SIGNING_KEY": ""], prepare: Service.withGreenGrid) { service in
                try await service.database.addSupplier(
                    "off-grid", name: "Off Grid", issuer: "https://login.off-grid.example")
                try await service.change("UPDATE suppliers SET enabled = false WHERE slug = 'off-grid'")
                let token = try await service.createdToken()
                for slug in ["off-grid", "no-grid", "sandbox", "", "Green-Grid", "green-grid ", "green_grid", "a--b"] {
                    service.expect(
                        try await service.complete(token, supplier: slug, as: "s-1"), 400, "invalid_supplier", sentence,
                        slug)
                }
                #expect(try await service.status(token) == "open")
                #expect(try await service.events(token).isEmpty)
                // Enabled, it counts within a second.
                try await service.change("UPDATE suppliers SET enabled = true WHERE slug = 'off-grid'")
                #expect(try await service.complete(token, supplier: "off-grid", as: "s-1").status == 200)
            }
        }

        @Test func `a missing or ill-typed field is refused by its name`() async throws {
            let noSupplier = "supplier is required and must be the slug of an enabled supplier"
            let noUser =
                "supplier_user_id is required and must be a string of 1 to 255 characters, none of them a control character"
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let token = try await service.createdToken()
                let supplier = #""supplier":"green-grid""#
                for (json, error, sentence) in [
                    ("{}", "invalid_supplier", noSupplier),
                    (#"{"supplier_user_id":"s-1"}"#, "invalid_supplier", noSupplier),
                    (#"{"supplier":null,"supplier_user_id":"s-1"}"#, "invalid_supplier", noSupplier),
                    (#"{"supplier":7,"supplier_user_id":"s-1"}"#, "invalid_supplier", noSupplier),
                    (#"{"supplier":["green-grid"],"supplier_user_id":"s-1"}"#, "invalid_supplier", noSupplier),
                    ("{\(supplier)}", "invalid_supplier_user_id", noUser),
                    (#"{\#(supplier),"supplier_user_id":null}"#, "invalid_supplier_user_id", noUser),
                    (#"{\#(supplier),"supplier_user_id":1}"#, "invalid_supplier_user_id", noUser),
                    (#"{\#(supplier),"supplier_user_id":""}"#, "invalid_supplier_user_id", noUser),
                    (#"{\#(supplier),"supplier_user_id":"a\nb"}"#, "invalid_supplier_user_id", noUser),
                    (#"{\#(supplier),"supplier_user_id":"\u0000"}"#, "invalid_supplier_user_id", noUser),
                    (#"{\#(supplier),"supplier_user_id":"\u0085"}"#, "invalid_supplier_user_id", noUser),
                    (
                        #"{\#(supplier),"supplier_user_id":"\#(String(repeating: "é", count: 256))"}"#,
                        "invalid_supplier_user_id", noUser
                    ),
                    ("[]", "invalid_json", "…"), ("null", "invalid_json", "…"), (" ", "invalid_json", "…"),
                    (#"{\#(supplier),"supplier_user_id":"s-1""#, "invalid_json", "…"),
                    (#"{\#(supplier),\#(supplier),"supplier_user_id":"s-1"}"#, "invalid_json", "…"),
                ] {
                    service.expect(
                        try await service.complete(token, json: json), 400, error, sentence, "\(json.prefix(60))")
                }
                let path = "\(Service.authenticatorSessions)/\(token)/complete"
                let body = Array(#"{\#(supplier),"supplier_user_id":"s-1"}"#.utf8)
                let key = [("x-api-key", TestKeys.authenticator)]
                service.expect(
                    try await service.request("POST", path, headers: key, body: body), 415, "unsupported_media_type",
                    "no content type")
                service.expect(
                    try await service.request(
                        "POST", path, headers: key + [("Content-Type", "application/json")],
                        body: Array(repeating: 0x20, count: 20_000)), 413, "body_too_large", "too large")
                #expect(try await service.status(token) == "open")
                let longest = String(repeating: "é", count: 255)
                #expect(try await service.complete(token, as: longest).status == 200)
            }
        }

        // MARK: One NOX user

        @Test func `a hundred sessions of one user, completed at once, have one NOX user`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                func user(_ token: String, _ account: String) async throws -> String {
                    try #require(try await service.result(token, as: account).members["nox_user_id"]?.string)
                }
                var tokens: [String] = []
                // A cluster on one machine does fewer within a request's time.
                let count = TestEnvironment.citusNodes == nil ? 100 : 40
                for _ in 0..<count { tokens.append(try await service.createdToken(user: "zq7user-1")) }
                let created = tokens
                let users = try await withThrowingTaskGroup(of: String.self) { group in
                    // Accounts do not matter: it is the manufacturer's user that is one.
                    for (index, token) in created.enumerated() {
                        group.addTask { try await user(token, "s-\(index % 7)") }
                    }
                    return try await group.reduce(into: Set<String>()) { $0.insert($1) }
                }
                #expect(users.count == 1)
                let other = try await user(try await service.createdToken(user: "zq7user-2"), "s-1")
                let elsewhere = try await user(
                    try await service.createdToken(
                        user: "zq7user-1", redirect: "https://beta.example/", key: TestKeys.beta), "s-1")
                let letters = try await user(try await service.createdToken(user: "zq7user-1 "), "s-1")
                #expect(users.union([other, elsewhere, letters]).count == 4)
                #expect(try await service.database.count("SELECT count(*) FROM nox_users") == 4)
                let again = try await user(try await service.createdToken(user: "zq7user-1"), "s-9")
                #expect(users.contains(again))
            }
        }

        @Test func `a session that is not completed makes no NOX user`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let (expired, refused) = (try await service.createdToken(), try await service.createdToken())
                try await service.age(expired)
                service.expect(
                    try await service.complete(expired, as: "s-1"), 410, "link_session_expired", "ten minutes are over")
                service.expect(
                    try await service.complete(refused, supplier: "no-grid", as: "s-1"), 400, "invalid_supplier",
                    "no supplier")
                #expect(try await service.database.count("SELECT count(*) FROM nox_users") == 0)
                #expect(
                    try await service.database.count("SELECT count(*) FROM link_sessions WHERE supplier IS NOT NULL")
                        == 0)
            }
        }

        @Test func `of 32 racing completions with different accounts exactly one wins`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                for round in 1...3 {
                    let token = try await service.createdToken()
                    // All of them wait for the row, so that they really race.
                    async let lock: Void = service.lockRow(of: token, seconds: 0.2)
                    try await Task.sleep(for: .milliseconds(50))
                    let answers = try await withThrowingTaskGroup(of: (Int, TestResponse).self) { group in
                        for number in 0..<32 {
                            group.addTask { (number, try await service.complete(token, as: "s-\(number)")) }
                        }
                        return try await group.reduce(into: []) { $0.append($1) }
                    }
                    try await lock
                    let winners = answers.filter { $0.1.status == 200 }
                    try #require(winners.count == 1, "round \(round)")
                    #expect(
                        answers.count { $0.1.json["code"] == .string("completed_by_another") } == 31, "round \(round)")
                    let stored = try await service.database.rows(
                        "SELECT supplier_user_id FROM link_sessions WHERE token_hash = decode('\(TestKeys.digest(token))', 'hex')"
                    )
                    #expect(stored == [["s-\(winners[0].0)"]], "round \(round)")
                    let again = try await service.complete(token, as: "s-\(winners[0].0)")
                    #expect(again.text == winners[0].1.text, "round \(round)")
                }
            }
        }
    }
}
