// GET /v2/manufacturer/link-sessions: a manufacturer's own sessions, page by page.

import Foundation
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct ListTests {
        private func list(_ service: Service, _ query: String = "", key: String = TestKeys.acme) async throws
            -> TestResponse
        {
            try await service.get("\(Service.sessions)\(query.isEmpty ? "" : "?\(query)")", key: key)
        }

        private func ids(_ response: TestResponse) -> [String] {
            (response.json["data"]?.elements ?? []).compactMap { $0["id"]?.string }
        }

        /// A new session's token and id.
        private func created(_ service: Service, user: String, key: String = TestKeys.acme) async throws
            -> (token: String, id: String)
        {
            let response = try await service.create(createBody(user: user), key: key)
            return (
                try #require(response.json["link_token"]?.string), try #require(response.header("Link-Session-Id"))
            )
        }

        @Test func `a list has the newest first, each as its id finds it, and nobody else's`() async throws {
            try await Service.run { service in
                #expect(try await list(service).text == #"{"data":[],"has_more":false,"next":null}"#)
                var own: [String] = []
                for number in 0..<5 { own.insert(try await created(service, user: "zq7user-\(number % 2)").id, at: 0) }
                let elsewhere = try await service.create(
                    createBody(user: "zq7user-1", redirect: "https://beta.example/"), key: TestKeys.beta)
                let stranger = try #require(elsewhere.header("Link-Session-Id"))

                let all = try await list(service)
                #expect(ids(all) == own)
                #expect(all.json["has_more"] == .bool(false) && all.json["next"] == .null)
                for item in all.json["data"]?.elements ?? [] {
                    let found = try await service.find(try #require(item["id"]?.string))
                    #expect(found.json == item.members)
                }
                #expect(try await ids(list(service, key: TestKeys.beta)) == [stranger])

                let first = try await list(service, "limit=2")
                #expect(ids(first) == Array(own[..<2]) && first.json["has_more"] == .bool(true))
                #expect(first.json["next"]?.string == own[1])
                let second = try await list(service, "limit=2&after=\(own[1])")
                #expect(ids(second) == Array(own[2..<4]) && second.json["has_more"] == .bool(true))
                let last = try await list(service, "limit=2&after=\(own[3])")
                #expect(ids(last) == [own[4]] && last.json["has_more"] == .bool(false))
                #expect(try await ids(list(service, "after=\(own[4])")) == [])
                #expect(try await list(service, "limit=5").json["has_more"] == .bool(false))
                #expect(try await ids(list(service, "colour=blue&limit=1&Limit=x")) == [own[0]], "others are ignored")
                let head = try await service.request("HEAD", Service.sessions, headers: [("x-api-key", TestKeys.acme)])
                #expect(head.status == 200)
            }
        }

        @Test func `a list is narrowed by user, status and time`() async throws {
            try await Service.run { service in
                let (open, completed) = (
                    try await created(service, user: "zq7user-é &+"), try await created(service, user: "zq7user-2")
                )
                let (expired, old) = (
                    try await created(service, user: "zq7user-2"), try await created(service, user: "zq7user-2")
                )
                #expect(try await service.complete(completed.token).status == 200)
                #expect(try await service.expire(expired.token).status == 200)
                try await service.age(old.token)
                for (query, found) in [
                    ("user_id=zq7user-%C3%A9+%26%2B", [open]), ("user_id=zq7user-2", [old, expired, completed]),
                    ("user_id=zq7user", []), ("status=open", [open]), ("status=completed", [completed]),
                    ("status=expired", [old, expired]), ("status=open&user_id=zq7user-2", []),
                    ("status=expired&user_id=zq7user-2&limit=1", [old]),
                ] {
                    #expect(try await ids(list(service, query)) == found.map(\.id), "\(query)")
                }
                let second = try #require(try await service.find(open.id).json["created_at"]?.number)
                #expect(try await ids(list(service, "created_after=\(second - 1)")).contains(open.id))
                #expect(try await !ids(list(service, "created_after=\(second)")).contains(open.id))
                #expect(try await !ids(list(service, "created_before=\(second)")).contains(open.id))
                #expect(try await ids(list(service, "created_before=\(second - 60)")) == [old.id])
                #expect(try await ids(list(service, "created_after=0&created_before=253402300799")).count == 4)
            }
        }

        @Test func `each refusal names the parameter and what it expects`() async throws {
            try await Service.run { service in
                let elsewhere = try await service.create(
                    createBody(user: "zq7user-1", redirect: "https://beta.example/"), key: TestKeys.beta)
                let stranger = try #require(elsewhere.header("Link-Session-Id"))
                let token = try await service.createdToken()
                for (query, code, sentence) in [
                    ("limit=0", "limit", "limit must be a whole number from 1 to 100"),
                    ("limit=101", "limit", "…"), ("limit=", "limit", "…"), ("limit=1.5", "limit", "…"),
                    ("limit=-1", "limit", "…"), ("limit=+1", "limit", "…"),
                    ("limit=99999999999999999999", "limit", "…"),
                    ("limit=1&limit=2", "limit", "limit must be given once, as percent-encoded UTF-8"),
                    ("status=done", "status", "status must be one of: open, completed, expired"),
                    ("status=", "status", "…"), ("status=OPEN", "status", "…"),
                    (
                        "created_after=yesterday", "created_after",
                        "created_after must be a time in whole Unix seconds, from 0 to 253402300799"
                    ),
                    ("created_after=1795513960123", "created_after", "…"),
                    ("created_before=-1", "created_before", "created_before must be a time in whole Unix seconds…"),
                    ("user_id=", "user_id", "user_id must not be empty"),
                    ("user_id=%zz", "user_id", "user_id must be given once, as percent-encoded UTF-8"),
                    ("user_id=a%00", "user_id", "user_id must not contain control characters"),
                    (
                        "after=\(stranger)", "after",
                        "after must be the next of the page before: the id of one of your link sessions"
                    ),
                    ("after=00000000-0000-7000-8000-000000000000", "after", "…"), ("after=x", "after", "…"),
                    ("after=\(stranger.uppercased())", "after", "…"), ("after=\(token)", "after", "…"),
                ] {
                    let response = try await list(service, query)
                    service.expect(response, 400, "invalid_\(code)", sentence, query)
                    #expect(response.json["error"]?.string?.hasPrefix("\(code) must ") == true, "\(query)")
                }
                service.expect(try await list(service, key: "x"), 401, "unauthorized", "a wrong key")
                service.expect(
                    try await list(service, key: TestKeys.authenticator), 401, "unauthorized", "an Authenticator key")
            }
        }
    }
}
