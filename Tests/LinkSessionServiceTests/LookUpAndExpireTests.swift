// What a manufacturer sees of its own sessions, how it ends them, and that it sees no others.

import TestSupport
import Testing

extension ProgramTests {
    @Suite struct LookUpAndExpireTests {
        private static let fields: Set = [
            "link_url", "link_token", "language", "redirect_url", "manufacturer", "manufacturer_user_id", "created_at",
            "expires_at", "brand", "completed_at", "id", "status", "confirmed_at",
        ]

        @Test func `a look-up answers with the session and its status, and changes nothing`() async throws {
            try await Service.run { service in
                let created = try await service.create()
                let token = try #require(created.json["link_token"]?.string)
                let row = try await service.row(token)

                let found = try await service.find(token)
                #expect(found.status == 200)
                #expect(found.header("Cache-Control") == "no-store")
                #expect(Set(found.json.keys) == Self.fields)
                #expect(found.json.filter { !["id", "status", "confirmed_at"].contains($0.key) } == created.json)
                #expect(found.json["id"]?.string == created.header("Link-Session-Id"))
                #expect(found.json["status"] == .string("open"))
                #expect(try await service.find(token).text == found.text)

                let head = try await service.request(
                    "HEAD", "\(Service.sessions)/\(token)", headers: [("x-api-key", TestKeys.acme)])
                #expect(head.status == 200)
                #expect(head.body.isEmpty)
                #expect(head.lastingHeaders == found.lastingHeaders)

                let query = try await service.get(
                    "\(Service.sessions)/\(token)?language=en&token=x", key: TestKeys.acme)
                #expect(query.text == found.text, "a query changes nothing")
                #expect(try await service.row(token) == row)

                let beta = try await service.createdToken(key: TestKeys.beta)
                #expect(
                    Set(try await service.find(beta, key: TestKeys.beta).json.keys)
                        == Self.fields.subtracting(["brand"]))
            }
        }

        @Test func `the status is judged by the database's clock at the moment of the question`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                func status() async throws -> String? { try await service.find(token).json["status"]?.string }
                #expect(try await status() == "open")
                try await service.update(token, ["expires_at": "clock_timestamp() + interval '400 milliseconds'"])
                #expect(try await status() == "open", "a moment before expires_at")
                try await Task.sleep(for: .milliseconds(450))
                #expect(try await status() == "expired", "a moment after expires_at")
                try await service.update(token, ["completed_at": "created_at"])
                #expect(try await status() == "completed", "a completed session does not expire")
                let found = try await service.find(token)
                #expect(found.json["completed_at"] == found.json["created_at"])
            }
        }

        @Test func `another manufacturer's session does not exist`() async throws {
            try await Service.run { service in
                let unknown = unknownToken
                let token = try await service.createdToken()
                let row = try await service.row(token)
                for foreign in [unknown, token] {
                    for response in [
                        try await service.find(foreign, key: TestKeys.beta),
                        try await service.expire(foreign, key: TestKeys.beta),
                    ] {
                        service.expect(
                            response, 404, "link_session_not_found", foreign == token ? "foreign" : "unknown")
                        #expect(
                            response.bodyWithoutRequestID
                                == #"{"error":"there is no such link session","code":"link_session_not_found","request_id":"…","docs_url":"https://docs.nox.energy/errors#link_session_not_found"}"#
                        )
                    }
                }
                #expect(try await service.row(token) == row)
                #expect(try await service.find(token).json["status"] == .string("open"))
                // The status of a foreign session makes no difference either.
                _ = try await service.complete(token)
                service.expect(
                    try await service.expire(token, key: TestKeys.beta), 404, "link_session_not_found",
                    "completed, foreign")
            }
        }

        @Test func `a malformed token is as unknown as any other`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
                let last = try #require(token.last.flatMap { alphabet.firstIndex(of: $0) })
                // 15 other spellings of the same 40 bytes, for a decoder that does not look at the last four bits.
                let spellings = (1...15).map { String(token.dropLast()) + String(alphabet[last + $0]) }
                let other = token.map { $0.isLowercase ? $0.uppercased() : $0.lowercased() }.joined()
                for bad in malformedTokens + spellings + [
                    other, token + "=", token + "%0a", "%20" + token, String(token.dropLast()),
                ] {
                    service.expect(try await service.find(bad), 404, "link_session_not_found", "find \(bad.prefix(60))")
                    service.expect(
                        try await service.expire(bad), 404, "link_session_not_found", "expire \(bad.prefix(60))")
                }
                #expect(try await service.find(token).json["status"] == .string("open"))
            }
        }

        @Test func `an open session is expired now, and again without any change`() async throws {
            try await Service.run { service in
                let created = try await service.create()
                let token = try #require(created.json["link_token"]?.string)
                let started = try #require(created.json["created_at"]?.number)
                let expired = try await service.expire(token)
                #expect(expired.status == 200)
                #expect(expired.header("Cache-Control") == "no-store")
                #expect(Set(expired.json.keys) == Self.fields)
                #expect(expired.json["status"] == .string("expired"))
                let expiry = try #require(expired.json["expires_at"]?.number)
                #expect(
                    (0...2).contains(expiry - started),
                    "expires_at is now, not \(expiry - started) s after the creation")
                #expect(expired.json["completed_at"] == .null)
                #expect(
                    expired.json.filter { !["id", "status", "expires_at", "confirmed_at"].contains($0.key) }
                        == created.json.filter { $0.key != "expires_at" })

                // Some time later.
                try await service.age(token)
                let row = try await service.row(token)
                let again = try await service.expire(token)
                #expect(again.status == 200)
                #expect(again.json["expires_at"] == .number(expiry - 3600), "the second call changes nothing")
                #expect(try await service.expire(token).text == again.text)
                #expect(try await service.row(token) == row)
                #expect(try await service.find(token).text == again.text)
            }
        }

        @Test func `a session whose ten minutes are over is answered as it is`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                try await service.age(token)
                let row = try await service.row(token)
                let expired = try await service.expire(token)
                #expect(expired.status == 200)
                #expect(expired.json["status"] == .string("expired"))
                #expect(expired.json["expires_at"]?.number.map { "\($0)" } == row[5])
                #expect(try await service.row(token) == row)
            }
        }

        @Test func `a completed session cannot be expired, not even after its ten minutes`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                #expect(try await service.complete(token).status == 200)
                for moment in ["at once", "later"] {
                    if moment == "later" { try await service.age(token) }
                    let row = try await service.row(token)
                    service.expect(try await service.expire(token), 409, "link_session_completed", moment)
                    #expect(try await service.row(token) == row, "\(moment)")
                    #expect(try await service.find(token).json["status"] == .string("completed"), "\(moment)")
                }
            }
        }

        @Test func `expire takes no body and minds none`() async throws {
            try await Service.run { service in
                for (type, body) in [("application/json", "{}"), ("text/plain", "anything"), ("application/json", "{")]
                {
                    let token = try await service.createdToken()
                    let response = try await service.request(
                        "POST", "\(Service.sessions)/\(token)/expire",
                        headers: [("x-api-key", TestKeys.acme), ("Content-Type", type)], body: Array(body.utf8))
                    #expect(response.status == 200, "\(body): \(response.text)")
                }
            }
        }
    }
}
