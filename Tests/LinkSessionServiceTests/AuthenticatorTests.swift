// What the Authenticator sees of any session, and how it completes one.

import TestSupport
import Testing

extension ProgramTests {
    @Suite struct AuthenticatorTests {
        private static let fields: Set = [
            "manufacturer", "brand", "language", "redirect_url", "status", "created_at", "expires_at", "completed_at",
        ]

        @Test func `the Authenticator sees what it needs to greet the user, and no more`() async throws {
            try await Service.run { service in
                let created = try await service.create()
                let token = try #require(created.json["link_token"]?.string)
                let view = try await service.view(token)
                let row = try await service.row(token)
                #expect(view.status == 200)
                #expect(view.header("Cache-Control") == "no-store")
                #expect(Set(view.json.keys) == Self.fields)
                for field in Self.fields.subtracting(["status"]) {
                    #expect(view.json[field] == created.json[field], "\(field)")
                }
                #expect(view.json["status"] == .string("open"))
                #expect(!view.text.contains(token))
                #expect(!view.text.contains(Secrets.publishedUserID))

                let head = try await service.request(
                    "HEAD", "\(Service.authenticatorSessions)/\(token)",
                    headers: [("x-api-key", TestKeys.authenticator)])
                #expect(head.status == 200)
                #expect(head.lastingHeaders == view.lastingHeaders)
                #expect(try await service.row(token) == row, "a later look changes nothing")

                let beta = try await service.createdToken(key: TestKeys.beta)
                #expect(Set(try await service.view(beta).json.keys) == Self.fields.subtracting(["brand"]))

                try await service.age(token)
                #expect(try await service.view(token).json["status"] == .string("expired"))
                service.expect(
                    try await service.view(unknownToken), 404, "link_session_not_found",
                    "there is no such link session", "unknown")
            }
        }

        @Test func `a completion is answered the same however often it is sent`() async throws {
            try await Service.run { service in
                let created = try await service.create()
                let token = try #require(created.json["link_token"]?.string)
                let started = try #require(created.json["created_at"]?.number)
                let completed = try await service.complete(token)
                #expect(completed.status == 200)
                #expect(completed.header("Cache-Control") == "no-store")
                #expect(Set(completed.json.keys) == Self.fields.union(["return_url"]))
                #expect(completed.json["status"] == .string("completed"))
                let moment = try #require(completed.json["completed_at"]?.number)
                #expect((0...2).contains(moment - started))
                #expect(completed.json["expires_at"] == created.json["expires_at"])
                let row = try await service.row(token)
                #expect(row.last == "\(moment)")

                #expect(try await service.complete(token).text == completed.text)
                var withoutLink = completed.json
                withoutLink["return_url"] = nil
                #expect(try await service.view(token).json == withoutLink)
                #expect(try await service.row(token) == row, "the second call writes nothing")
                let found = try await service.find(token)
                #expect(found.json["status"] == .string("completed"))
                #expect(found.json["completed_at"] == .number(moment))

                // Also long after the ten minutes: the reply may have been lost.
                try await service.age(token)
                let late = try await service.complete(token)
                #expect(late.status == 200)
                #expect(late.json["completed_at"] == .number(moment - 3600))
            }
        }

        @Test func `an expired session cannot be completed and stays incomplete`() async throws {
            try await Service.run { service in
                let sentence = "the link session is expired and cannot be completed"
                let aged = try await service.createdToken()
                try await service.age(aged)
                let expired = try await service.createdToken()
                _ = try await service.expire(expired)
                let exactly = try await service.createdToken()
                try await service.update(
                    exactly, ["expires_at": "greatest(created_at, date_trunc('second', clock_timestamp()))"])
                for (what, token) in [
                    ("ten minutes are over", aged), ("expired on request", expired), ("at expires_at", exactly),
                ] {
                    let row = try await service.row(token)
                    for attempt in 1...2 {
                        service.expect(
                            try await service.complete(token), 410, "link_session_expired", sentence,
                            "\(what), attempt \(attempt)")
                    }
                    #expect(try await service.row(token) == row, "\(what)")
                    #expect(row.last == .some(nil), "\(what)")
                    let view = try await service.view(token)
                    #expect(view.json["status"] == .string("expired"), "\(what)")
                    #expect(view.json["completed_at"] == .null, "\(what)")
                }
            }
        }

        @Test func `a completion that waits while an expiry commits is refused`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                async let expiry: Void = service.database.execute(
                    """
                    BEGIN;
                    \(TestDatabase.update(
                        ["expires_at": "greatest(created_at, date_trunc('second', clock_timestamp()))"]));
                    SELECT pg_sleep(0.5);
                    COMMIT
                    """)
                try await Task.sleep(for: .milliseconds(150))
                let (duration, completed) = try await timed { try await service.complete(token) }
                try await expiry
                #expect(duration > .milliseconds(200), "the completion did not wait for the row: \(duration)")
                service.expect(completed, 410, "link_session_expired", "after the wait")
                #expect(try await service.row(token).last == .some(nil))
            }
        }

        @Test func `a completion that waits until the session has expired is refused`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                try await service.update(token, ["expires_at": "clock_timestamp() + interval '300 milliseconds'"])
                async let lock: Void = service.lockRow(of: token, seconds: 0.6)
                try await Task.sleep(for: .milliseconds(150))
                let (duration, completed) = try await timed { try await service.complete(token) }
                try await lock
                #expect(duration > .milliseconds(200), "the completion did not wait for the row: \(duration)")
                service.expect(completed, 410, "link_session_expired", "after the wait")
                #expect(try await service.row(token).last == .some(nil))
            }
        }

        @Test func `32 racing completions are one completion with 32 equal answers`() async throws {
            try await Service.run { service in
                for round in 1...3 {
                    let token = try await service.createdToken()
                    // All of them wait for the row, so that they really race.
                    async let lock: Void = service.lockRow(of: token, seconds: 0.2)
                    try await Task.sleep(for: .milliseconds(50))
                    let answers = try await withThrowingTaskGroup(of: TestResponse.self) { group in
                        for _ in 0..<32 { group.addTask { try await service.complete(token) } }
                        return try await group.reduce(into: []) { $0.append($1) }
                    }
                    try await lock
                    #expect(answers.map(\.status) == Array(repeating: 200, count: 32), "round \(round)")
                    #expect(Set(answers.map(\.text)).count == 1, "round \(round): \(Set(answers.map(\.text)))")
                    #expect(
                        try await service.row(token).last
                            == answers.first?.json["completed_at"]?.number.map { "\($0)" },
                        "round \(round)")
                }
            }
        }

        @Test func `completions and expiries that race end in one state that all answers agree on`() async throws {
            try await Service.run { service in
                for round in 1...5 {
                    let token = try await service.createdToken()
                    let answers = try await withThrowingTaskGroup(of: (Bool, TestResponse).self) { group in
                        for number in 0..<16 {
                            let completes = number.isMultiple(of: 2)
                            group.addTask {
                                (
                                    completes,
                                    completes ? try await service.complete(token) : try await service.expire(token)
                                )
                            }
                        }
                        return try await group.reduce(into: []) { $0.append($1) }
                    }
                    let isCompleted = try await service.row(token).last != .some(nil)
                    let completions = Set(answers.filter(\.0).map(\.1.status))
                    let expiries = Set(answers.filter { !$0.0 }.map(\.1.status))
                    #expect(completions == [isCompleted ? 200 : 410], "round \(round)")
                    #expect(expiries == [isCompleted ? 409 : 200], "round \(round)")
                }
            }
        }

        @Test func `an unknown or malformed token is not found`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
                let last = try #require(token.last.flatMap { alphabet.firstIndex(of: $0) })
                let spellings = (1...15).map { String(token.dropLast()) + String(alphabet[last + $0]) }
                for bad in malformedTokens + spellings + [unknownToken] {
                    service.expect(try await service.view(bad), 404, "link_session_not_found", "view \(bad.prefix(60))")
                    service.expect(
                        try await service.complete(bad), 404, "link_session_not_found", "complete \(bad.prefix(60))")
                }
                #expect(try await service.view(token).json["status"] == .string("open"))
            }
        }
    }
}

func timed<Value>(_ body: () async throws -> Value) async rethrows -> (Duration, Value) {
    let start = ContinuousClock.now
    let value = try await body()
    return (.now - start, value)
}
