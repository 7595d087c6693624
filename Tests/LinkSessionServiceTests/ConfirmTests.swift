// How a manufacturer's backend says whose session it was.

import Foundation
import LinkSessions
@testable import TestSupport
import Testing
import TokenGenerator

extension ProgramTests {
    @Suite struct ConfirmTests {
        private static let refused =
            "the link session is not this user's, or the code is not the one that came back with its result"

        /// A completed session, and the code of its result.
        private func completed(
            _ service: Service, user: String = Secrets.publishedUserID
        ) async throws -> (token: String, code: String, result: ReturnedResult) {
            let token = try await service.createdToken(user: user)
            let result = try await service.result(token, as: "s-1")
            return (token, try #require(result.members["code"]?.string), result)
        }

        @Test func `the right user with the right code is told who was linked, and told the same again`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let (token, code, result) = try await completed(service)
                #expect(try await service.find(token).json["confirmed_at"] == .null)
                let first = try await service.confirm(token, code: code)
                #expect(first.status == 200)
                #expect(first.header("Cache-Control") == "no-store")
                #expect(Set(first.json.keys) == ["nox_user_id", "supplier", "connected_at", "confirmed_at"])
                for name in ["nox_user_id", "supplier", "connected_at"] {
                    #expect(first.json[name] == result.members[name], "\(name)")
                }
                let moment = try #require(first.json["confirmed_at"]?.number)
                #expect((0...5).contains(moment - (first.json["connected_at"]?.number ?? 0)))
                #expect(try await service.find(token).json["confirmed_at"] == .number(moment))
                let row = try await service.row(token)
                try await Task.sleep(for: .milliseconds(1100))
                for _ in 0..<3 {
                    let again = try await service.confirm(token, code: code)
                    #expect(again.status == 200)
                    #expect(again.text == first.text)
                }
                #expect(try await service.row(token) == row, "the later calls write nothing")
                #expect(try await service.events(token) == ["completed", "confirmed"])
            }
        }

        @Test func `a session that names no account is confirmed with no supplier`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                let url = try await service.complete(token).json["return_url"]?.string ?? ""
                let code = try #require(ReturnedResult(url)?.members["code"]?.string)
                let answer = try await service.confirm(token, code: code)
                #expect(answer.status == 200)
                #expect(answer.json["supplier"] == .null)
            }
        }

        @Test func `a wrong user or a wrong code is refused, and tells nothing of the right one`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let (token, code, result) = try await completed(service)
                let (_, otherCode, _) = try await completed(service)
                let row = try await service.row(token)
                let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
                let last = try #require(code.last.flatMap { alphabet.firstIndex(of: $0) })
                // The unused bits of the last character set: lenient decoders read the same 32 bytes.
                let spellings = (1...3).map { String(code.dropLast()) + String(alphabet[last + $0]) }
                let right = Secrets.publishedUserID
                let cases: [(String, String, String)] =
                    [
                        ("another user", "zq7user-2", code), ("the user in other letters", right.uppercased(), code),
                        ("the user and a blank", right + " ", code), ("another session's code", right, otherCode),
                        ("no code", right, ""), ("the result's id", right, result.members["jti"]?.string ?? ""),
                        ("padding", right, code + "="), ("a shorter code", right, String(code.dropLast())),
                        ("a longer code", right, code + "A"), ("a blank", right, code + " "),
                        ("a code of zeros", right, secretOf(0)),
                        ("a long text", right, String(repeating: "A", count: 5000)),
                        ("another user and code", "zq7user-2", otherCode),
                    ] + spellings.map { ("another spelling", right, $0) }
                for (what, user, given) in cases {
                    service.expect(
                        try await service.confirm(token, user: user, code: given), 409, "confirmation_refused",
                        Self.refused, what)
                }
                #expect(try await service.row(token) == row, "a refusal writes nothing")
                #expect(try await service.find(token).json["confirmed_at"] == .null)
                #expect(
                    try await service.events(token)
                        == ["completed"] + cases.map { _ in "confirmation_refused user_or_code_wrong" })
                // None of it was in the way of the right one.
                #expect(try await service.confirm(token, code: code).status == 200)
                // And none of it is right because the session is confirmed.
                service.expect(
                    try await service.confirm(token, user: "zq7user-2", code: code), 409, "confirmation_refused",
                    "another user, after the confirmation")
                service.expect(
                    try await service.confirm(token, code: otherCode), 409, "confirmation_refused",
                    "another code, after the confirmation")
                #expect(
                    try await service.events(token).suffix(3) == [
                        "confirmed", "confirmation_refused user_or_code_wrong",
                        "confirmation_refused user_or_code_wrong",
                    ])
            }
        }

        @Test func `user ids that only look equal are two users`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let (apart, together) = ("zq7user-e\u{301}", "zq7user-\u{E9}")
                let (token, code, result) = try await completed(service, user: apart)
                service.expect(
                    try await service.confirm(token, user: together, code: code), 409, "confirmation_refused",
                    "the letter with its accent in one scalar")
                #expect(try await service.confirm(token, user: apart, code: code).status == 200)
                let (_, _, other) = try await completed(service, user: together)
                #expect(other.members["nox_user_id"] != result.members["nox_user_id"])
            }
        }

        @Test func `before the completion there is nothing to confirm, whatever the code`() async throws {
            try await Service.run { service in
                let sentence = "the link session is not completed, so there is nothing to confirm"
                let token = try await service.createdToken()
                // The code that the completion will have.
                let bytes = try #require(Base64URL.decode(TestKeys.codeSecret))
                let secret = try #require(HMACSHA256(secret: bytes))
                func codeOfCompletion(_ token: String) throws -> String {
                    let id = try #require(LinkToken(token)).id
                    return Base64URL.encode(try secret.code(of: Array("code ".utf8) + id.bytes).bytes)
                }
                let code = try codeOfCompletion(token)
                for given in [code, "", secretOf(0)] {
                    service.expect(
                        try await service.confirm(token, code: given), 409, "link_session_not_completed", sentence,
                        "open")
                }
                try await service.age(token)
                service.expect(
                    try await service.confirm(token, code: code), 409, "link_session_not_completed", sentence, "expired"
                )
                #expect(
                    try await service.events(token)
                        == [String](repeating: "confirmation_refused not_completed", count: 4))
                #expect(try await service.find(token).json["confirmed_at"] == .null)

                let another = try await service.createdToken()
                let url = try await service.complete(another).json["return_url"]?.string ?? ""
                let computed = try codeOfCompletion(another)
                #expect(
                    ReturnedResult(url)?.members["code"] == .string(computed), "so the code above was the right one")
            }
        }

        @Test func `the code is good for ten minutes, and what was confirmed in time stays so`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let (late, lateCode, _) = try await completed(service)
                let (early, earlyCode, _) = try await completed(service)
                let first = try await service.confirm(early, code: earlyCode)
                #expect(first.status == 200)
                let confirmed = try #require(first.json["confirmed_at"]?.number)
                try await service.age(early, by: "10 minutes")
                try await service.age(late, by: "10 minutes")
                let sentence = "the code was good for 10 minutes after the completion; create a new link session"
                for _ in 0..<2 {
                    service.expect(
                        try await service.confirm(late, code: lateCode), 409, "code_expired", sentence, "too late")
                }
                #expect(try await service.find(late).json["confirmed_at"] == .null)
                service.expect(
                    try await service.confirm(late, user: "zq7user-2", code: lateCode), 409, "confirmation_refused",
                    "too late, and another user")
                #expect(
                    try await service.events(late) == [
                        "completed", "confirmation_refused code_expired", "confirmation_refused code_expired",
                        "confirmation_refused user_or_code_wrong",
                    ])
                let again = try await service.confirm(early, code: earlyCode)
                #expect(again.status == 200)
                #expect(again.json["confirmed_at"] == .number(confirmed - 600))
                #expect(try await service.events(early) == ["completed", "confirmed"])
                // A minute before its end it is still good.
                let (soon, soonCode, _) = try await completed(service)
                try await service.age(soon, by: "9 minutes")
                #expect(try await service.confirm(soon, code: soonCode).status == 200)
            }
        }

        @Test func `only its own manufacturer may confirm a session`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let (token, code, _) = try await completed(service)
                service.expect(
                    try await service.confirm(token, code: code, key: TestKeys.beta), 404, "link_session_not_found",
                    "another manufacturer")
                for key in [TestKeys.authenticator, TestKeys.disabled, "", "x"] {
                    service.expect(
                        try await service.confirm(token, code: code, key: key), 401, "unauthorized",
                        "no manufacturer's key")
                }
                for unknown in malformedTokens + [unknownToken, unknownID] {
                    service.expect(
                        try await service.confirm(unknown, code: code), 404, "link_session_not_found", "no session")
                }
                #expect(try await service.events(token) == ["completed"])
                #expect(try await service.find(token).json["confirmed_at"] == .null)
                #expect(try await service.confirm(token, code: code).status == 200)
            }
        }

        @Test func `a missing or ill-typed field is refused by its name`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let (token, code, _) = try await completed(service)
                let user = quoted(Secrets.publishedUserID)
                let noUser = "user_id is required and must be a string"
                let noCode = "code is required and must be a string"
                for (json, error, sentence) in [
                    ("{}", "invalid_user_id", noUser), (#"{"code":"\#(code)"}"#, "invalid_user_id", noUser),
                    (#"{"user_id":null,"code":"\#(code)"}"#, "invalid_user_id", noUser),
                    (#"{"user_id":1,"code":"\#(code)"}"#, "invalid_user_id", noUser),
                    (#"{"user_id":[\#(user)],"code":"\#(code)"}"#, "invalid_user_id", noUser),
                    (#"{"user_id":"","code":"\#(code)"}"#, "invalid_user_id", "user_id must not be empty"),
                    (#"{"user_id":" ","code":"\#(code)"}"#, "invalid_user_id", "user_id…"),
                    (#"{"user_id":"a\u0000","code":"\#(code)"}"#, "invalid_user_id", "user_id…"),
                    (
                        #"{"user_id":"\#(String(repeating: "x", count: 257))","code":"\#(code)"}"#, "invalid_user_id",
                        "user_id…"
                    ),
                    (#"{"user_id":\#(user)}"#, "invalid_code", noCode),
                    (#"{"user_id":\#(user),"code":null}"#, "invalid_code", noCode),
                    (#"{"user_id":\#(user),"code":1}"#, "invalid_code", noCode),
                    (#"{"user_id":\#(user),"code":{}}"#, "invalid_code", noCode),
                    ("", "invalid_json", "…"), ("[]", "invalid_json", "…"), ("null", "invalid_json", "…"),
                    (#"{"user_id":\#(user),"code":"\#(code)""#, "invalid_json", "…"),
                    (#"{"user_id":\#(user),"code":"\#(code)","code":"x"}"#, "invalid_json", "…"),
                ] {
                    service.expect(
                        try await service.confirm(token, json: json), 400, error, sentence, "\(json.prefix(60))")
                }
                let plain = try await service.request(
                    "POST", "\(Service.sessions)/\(token)/confirm", headers: [("x-api-key", TestKeys.acme)],
                    body: Array(#"{"user_id":\#(user),"code":"\#(code)"}"#.utf8))
                service.expect(plain, 415, "unsupported_media_type", "no content type")
                let get = try await service.get("\(Service.sessions)/\(token)/confirm", key: TestKeys.acme)
                service.expect(get, 405, "method_not_allowed", "GET")
                #expect(get.header("Allow") == "POST")
                #expect(try await service.events(token) == ["completed"])
                // Unknown fields are ignored.
                let answer = try await service.confirm(
                    token, json: #"{"user_id":\#(user),"code":"\#(code)","x":[1,{"user_id":2}]}"#)
                #expect(answer.status == 200)
            }
        }

        @Test func `32 racing confirmations are one, with 32 equal answers`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                for round in 1...3 {
                    let (token, code, _) = try await completed(service)
                    // All of them wait for the row, so that they really race.
                    async let lock: Void = service.lockRow(of: token, seconds: 0.2)
                    try await Task.sleep(for: .milliseconds(50))
                    let answers = try await withThrowingTaskGroup(of: TestResponse.self) { group in
                        for _ in 0..<32 { group.addTask { try await service.confirm(token, code: code) } }
                        return try await group.reduce(into: []) { $0.append($1) }
                    }
                    try await lock
                    #expect(answers.map(\.status) == Array(repeating: 200, count: 32), "round \(round)")
                    #expect(Set(answers.map(\.text)).count == 1, "round \(round)")
                    #expect(try await service.events(token) == ["completed", "confirmed"], "round \(round)")
                }
            }
        }
    }
}
