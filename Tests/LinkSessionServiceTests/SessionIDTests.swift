// A session's id: what it is good for, where it is none, and that nothing tells a known one from an unknown one.

import Foundation
import LinkSessions
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct SessionIDTests {
        private static let fieldsByID: Set = [
            "language", "redirect_url", "manufacturer", "manufacturer_user_id", "created_at", "expires_at", "brand",
            "completed_at", "id", "status", "confirmed_at",
        ]

        /// A token of a session's id with a secret that is not its own.
        private func wrongSecret(_ token: String) throws -> String {
            LinkToken(id: try #require(LinkToken(token)).id, secret: (1, 2, 3)).characters
        }

        @Test func `a create tells the id in a header, and a look-up by it has no link`() async throws {
            try await Service.run { service in
                let created = try await service.create()
                let token = try #require(created.json["link_token"]?.string)
                let id = try #require(created.header("Link-Session-Id"))
                #expect(id == sessionID(of: token))
                #expect(
                    id.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil)
                #expect(try await service.database.rows("SELECT id FROM link_sessions") == [[id]])
                let row = try await service.row(token)

                let (byID, byToken) = (try await service.find(id), try await service.find(token))
                #expect(byID.status == 200)
                #expect(byID.header("Cache-Control") == "no-store")
                #expect(Set(byID.json.keys) == Self.fieldsByID)
                #expect(byID.json == byToken.json.filter { !["link_url", "link_token"].contains($0.key) })
                #expect(byID.json["id"]?.string == id)
                for response in [byID, byToken] { #expect(response.header("Link-Session-Id") == nil) }
                #expect(!byID.text.contains(token))
                let head = try await service.request(
                    "HEAD", "\(Service.sessions)/\(id)", headers: [("x-api-key", TestKeys.acme)])
                #expect(head.status == 200 && head.body.isEmpty && head.lastingHeaders == byID.lastingHeaders)
                #expect(try await service.row(token) == row)
            }
        }

        @Test func `expire and confirm take the id, and keep to what they do by token`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let open = try await service.createdToken()
                let expired = try await service.expire(sessionID(of: open))
                #expect(expired.status == 200)
                #expect(expired.json["status"] == .string("expired"))
                #expect(Set(expired.json.keys) == Self.fieldsByID)
                #expect(try await service.expire(sessionID(of: open)).text == expired.text)
                #expect(try await service.find(open).json["expires_at"] == expired.json["expires_at"])

                let completed = try await service.createdToken()
                let id = sessionID(of: completed)
                let code = try #require(try await service.result(completed, as: "s-1").members["code"]?.string)
                service.expect(try await service.expire(id), 409, "link_session_completed", "by id")
                service.expect(
                    try await service.confirm(id, user: "zq7user-2", code: code), 409, "confirmation_refused", "by id")
                service.expect(
                    try await service.confirm(id, json: #"{"user_id":1}"#), 400, "invalid_user_id", "a body to refuse")
                let confirmed = try await service.confirm(id, code: code)
                #expect(confirmed.status == 200)
                #expect(try await service.confirm(completed, code: code).text == confirmed.text)
                #expect(try await service.find(id).json["confirmed_at"] == confirmed.json["confirmed_at"])
            }
        }

        @Test func `another manufacturer's id is unknown, and the Authenticator's paths and the pages take no id`()
            async throws
        {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let token = try await service.createdToken()
                let row = try await service.row(token)
                for id in [sessionID(of: token), unknownID] {
                    let answers = [
                        try await service.find(id, key: TestKeys.beta),
                        try await service.expire(id, key: TestKeys.beta),
                        try await service.confirm(id, code: "x", key: TestKeys.beta), try await service.view(id),
                        try await service.complete(id), try await service.complete(id, as: "s-1"),
                    ]
                    for answer in answers {
                        service.expect(
                            answer, 404, "link_session_not_found", "there is no such link session", "\(id)")
                    }
                    #expect(Set(answers.map(\.bodyWithoutRequestID)).count == 1)
                    let browser = TestBrowser(service)
                    for path in ["/ui?token=\(id)", "/ui/sign-ins/\(id)", "/ui/sandbox?state=\(id)"] {
                        let page = try await browser.get(path)
                        #expect((page.status, page.name) == (404, "unknown"), "\(path)")
                    }
                    #expect(try await browser.start(id, at: "sandbox").status == 404)
                }
                // Who calls is decided first.
                for key in [TestKeys.authenticator, TestKeys.disabled, ""] {
                    #expect(try await service.find(sessionID(of: token), key: key).status == 401)
                    #expect(try await service.confirm(sessionID(of: token), json: "{", key: key).status == 401)
                }
                #expect(try await service.row(token) == row)
                #expect(try await service.events(token).isEmpty)
            }
        }

        @Test func `a known session's token or id in any other form is unknown, everywhere`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                let id = sessionID(of: token)
                let bytes = try #require(Base64URL.decode(token))
                let forms = [
                    try wrongSecret(token), Base64URL.encode(Array(bytes.prefix(16))),
                    Base64URL.encode(Array(bytes.prefix(39))), Base64URL.encode(bytes + [0]),
                    Base64URL.encode(Array(bytes.suffix(24) + bytes.prefix(16))), Base64URL.encode(bytes.map { ~$0 }),
                    Data(bytes).base64EncodedString(), Hexadecimal.encode(bytes), id.uppercased(), "%7B\(id)%7D",
                    "urn:uuid:\(id)", id.replacing("-", with: ""), id + "-", "-" + id, id + token, token + id,
                    "\(id).\(token.dropFirst(22))", id + "%00", id.replacing("-7", with: "-4"), String(id.dropLast()),
                    String(token.dropLast(4)) + "%41%41%41A", "%" + token, token.lowercased(), token + "%3D%3D",
                ].filter { !$0.contains("/") && !$0.contains("+") }
                for form in forms + malformedTokens {
                    for answer in [
                        try await service.find(form), try await service.expire(form),
                        try await service.confirm(form, code: "x"), try await service.view(form),
                        try await service.complete(form),
                    ] {
                        service.expect(answer, 404, "link_session_not_found", "\(form.prefix(60))")
                    }
                    let page = try await TestBrowser(service).get("/ui?token=\(form)")
                    #expect((page.status, page.name) == (404, "unknown"), "\(form.prefix(60))")
                }
                // Braces are in no URL, and sent all the same.
                for form in ["{link_token}", "{\(id)}"] {
                    let (answers, text, _) = try await service.raw([
                        "GET \(Service.sessions)/\(form) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                            + "x-api-key: \(TestKeys.acme)\r\n\r\n"
                    ])
                    #expect(answers.map(\.status) == [404], "\(text)")
                }
                #expect(try await service.find(token).json["status"] == .string("open"))
                #expect(try await service.events(token).isEmpty)
            }
        }

        /// A guesser learns from neither body, headers nor time whether an id is one.
        @Test func `a known id with a wrong secret is answered as an unknown one, and takes as long`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                let known = try wrongSecret(token)
                for (path, key) in [
                    (Service.sessions, TestKeys.acme), (Service.sessions, TestKeys.beta),
                    (Service.authenticatorSessions, TestKeys.authenticator),
                ] {
                    var times: [String: [Duration]] = [:]
                    var answers: Set<[String]> = []
                    try await TestConnection.with(port: service.port) { connection in
                        for round in 0..<400 {
                            for given in round.isMultiple(of: 2) ? [known, unknownToken] : [unknownToken, known] {
                                let (time, answer) = try await timed {
                                    try await connection.send("GET", "\(path)/\(given)", headers: [("x-api-key", key)])
                                }
                                #expect(answer.status == 404)
                                answers.insert([answer.bodyWithoutRequestID] + answer.lastingHeaders)
                                // The first ones warm up.
                                if round >= 50 { times[given, default: []].append(time) }
                            }
                        }
                    }
                    #expect(answers.count == 1, "\(answers)")
                    let medians = [known, unknownToken].compactMap { times[$0]?.sorted()[175] }
                    let (one, other) = (medians[0] / .microseconds(1), medians[1] / .microseconds(1))
                    #expect(abs(one - other) < 0.25 * max(one, other), "\(path): \(one) and \(other) µs")
                }
                #expect(try await service.find(token).json["status"] == .string("open"))
            }
        }

        @Test func `the log names the session of every request on one, and never its token`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let token = try await service.createdToken()
                let id = sessionID(of: token)
                let browser = TestBrowser(service)
                _ = try await browser.get("/ui?token=\(token)")
                let path = try await service.sandboxSignIn(token, browser)
                _ = try await browser.get(path)
                _ = try await browser.post(path)
                _ = try await service.find(id)
                _ = try await service.view(token)
                _ = try await service.find(try wrongSecret(token), key: TestKeys.beta)
                _ = try await service.expire(id)
                _ = try await service.confirm(id, code: "x")
                _ = try await service.request("GET", "/health/live", headers: [("X-Request-Id", "last")])
                try await service.process.waitForLog("request_id=last", within: 10)
                let lines = service.process.log.split(separator: "\n").filter { $0.contains(" request ") }
                for route in [
                    "/v2/manufacturer/link-sessions", "/ui", "/ui/sign-ins", "/ui/callback/{supplier}",
                    "/ui/sign-ins/{id}", "/v2/manufacturer/link-sessions/{link_token}",
                    "/v2/authenticator/link-sessions/{link_token}",
                    "/v2/manufacturer/link-sessions/{link_token}/expire",
                    "/v2/manufacturer/link-sessions/{link_token}/confirm",
                ] {
                    let its = lines.filter { $0.contains(" route=\(route) ") }
                    #expect(
                        !its.isEmpty && its.allSatisfy { $0.contains(" session=\(id) status=") }, "\(route): \(its)")
                }
                #expect(lines.contains { $0.contains("status=404") && $0.contains("session=\(id)") }, "a wrong secret")
                #expect(lines.last?.contains("session=") == false)
            }
        }
    }
}
