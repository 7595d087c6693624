// Idempotency-Key on a create: a lost answer is asked for again, and there is one session.

import Foundation
import LinkSessions
import TestSupport
import Testing
import TokenGenerator

extension ProgramTests {
    @Suite struct IdempotencyTests {
        private static let key = "zq7key-8e03978e-40d5-43e8-bc93-6894a57f9324"

        @Test func `the same key is answered with the same session, byte for byte, whatever became of it`()
            async throws
        {
            try await Service.run { service in
                let first = try await service.create(under: Self.key)
                #expect(first.status == 201 && first.header("Idempotent-Replayed") == nil)
                let token = try #require(first.json["link_token"]?.string)
                func expectReplayed(_ answer: TestResponse, _ what: String) {
                    #expect(answer.status == 201, "\(what): \(answer.text)")
                    #expect(answer.text == first.text, "\(what)")
                    #expect(answer.header("Idempotent-Replayed") == "true", "\(what)")
                    #expect(answer.header("Link-Session-Id") == first.header("Link-Session-Id"), "\(what)")
                    #expect(answer.header("Cache-Control") == "no-store", "\(what)")
                }
                expectReplayed(try await service.create(under: Self.key), "again")
                expectReplayed(try await service.create(under: "\"\(Self.key)\""), "as a quoted string")
                expectReplayed(
                    try await service.create(headers: [("IDEMPOTENCY-KEY", " \(Self.key)\t ")]), "in other letters")
                expectReplayed(
                    try await service.create(
                        #"{"language":"nl","extra":1,"redirect_url":"https:\/\/your-app.com/callback","user_id":"manufacturer_user_id_123"}"#,
                        under: Self.key), "the same fields, written otherwise")
                expectReplayed(
                    try await service.create(
                        #"{"user_id":"manufacturer_user_id_123","redirect_url":"https://your-app.com/callback"}"#,
                        under: Self.key), "the default language, left out")
                #expect(try await service.find(token).json["status"] == .string("open"))
                #expect(try await service.complete(token).status == 200)
                expectReplayed(try await service.create(under: Self.key), "completed")
                #expect(try await service.find(token).json["status"] == .string("completed"))
                #expect(try await service.database.count("SELECT count(*) FROM link_sessions") == 1)
                // Without a key, and under another, there are others.
                let others = [
                    try await service.create(), try await service.create(), try await service.create(under: "k"),
                    try await service.create(under: Self.key.uppercased()),
                ]
                #expect(Set(others.compactMap { $0.json["link_token"]?.string } + [token]).count == 5)
                #expect(others.allSatisfy { $0.header("Idempotent-Replayed") == nil })
                #expect(!service.process.log.contains("zq7key"), "a key is in the log")
            }
        }

        @Test func `other fields under the same key are a 422, and make nothing`() async throws {
            try await Service.run { service in
                let first = try await service.create(under: Self.key)
                for body in [
                    #"{"user_id":"zq7user","redirect_url":"https://your-app.com/callback","language":"nl"}"#,
                    #"{"user_id":"manufacturer_user_id_123","redirect_url":"https://your-app.com/callback?a","language":"nl"}"#,
                    #"{"user_id":"manufacturer_user_id_123","redirect_url":"https://your-app.com/callback","language":"en"}"#,
                ] {
                    service.expect(
                        try await service.create(body, under: Self.key), 422, "idempotency_key_reused", body)
                }
                #expect(try await service.create(under: Self.key).text == first.text)
                #expect(try await service.database.count("SELECT count(*) FROM link_sessions") == 1)
            }
        }

        @Test func `a malformed key is a 400, before the body is read`() async throws {
            try await Service.run { service in
                let long = String(repeating: "k", count: 256)
                for value in ["", " ", "\"\"", "\"", "\"a", "two words", "\"two words\"", "ké", long, "\"\(long)\""] {
                    service.expect(
                        try await service.create("no JSON", headers: [("Idempotency-Key", value)]), 400,
                        "invalid_idempotency_key", value)
                }
                for pair in [("a", "b"), ("a", "a"), ("a", "")] {
                    service.expect(
                        try await service.create(
                            headers: [("Idempotency-Key", pair.0), ("idempotency-key", pair.1)]), 400,
                        "invalid_idempotency_key", "\(pair)")
                }
                service.expect(
                    try await service.create(key: "unknown", headers: [("Idempotency-Key", "")]), 401, "unauthorized",
                    "whose key it is comes first")
                #expect(try await service.database.count("SELECT count(*) FROM idempotency_keys") == 0)
                #expect(try await service.create(under: String(repeating: "~", count: 255)).status == 201)
            }
        }

        @Test func `a create that was refused can be corrected under its key, and a key is its manufacturer's own`()
            async throws
        {
            try await Service.run { service in
                for (body, code) in [
                    ("{", "invalid_json"), ("{}", "invalid_user_id"),
                    (#"{"user_id":"zq7user","redirect_url":"https://other.example/"}"#, "redirect_url_not_allowed"),
                ] {
                    service.expect(try await service.create(body, under: Self.key), 400, code, body)
                }
                let acme = try await service.create(under: Self.key)
                #expect(acme.status == 201 && acme.header("Idempotent-Replayed") == nil)
                let beta = try await service.create(under: Self.key, key: TestKeys.beta)
                #expect(beta.status == 201 && beta.header("Idempotent-Replayed") == nil)
                #expect(beta.json["link_token"] != acme.json["link_token"])
                #expect(try await service.create(under: Self.key, key: TestKeys.beta).text == beta.text)
                // What is refused now is refused, even where it was answered before.
                try await service.database.execute("UPDATE manufacturers SET redirect_urls = '{}'")
                try await wait(until: "the policy is in force") { try await service.create().status == 400 }
                service.expect(
                    try await service.create(under: Self.key), 400, "redirect_url_not_allowed", "a replay")
            }
        }

        @Test func `after 24 hours, and after an erasure, a key makes a new session`() async throws {
            try await Service.run { service in
                let first = try await service.create(under: Self.key)
                try await service.database.ageIdempotencyKeys(by: "1 day")
                let second = try await service.create(under: Self.key)
                #expect(second.status == 201 && second.header("Idempotent-Replayed") == nil)
                #expect(second.json["link_token"] != first.json["link_token"])
                #expect(try await service.create(under: Self.key).text == second.text)
                try await service.database.execute(
                    """
                    SELECT erase_user(id, 'manufacturer_user_id_123', NULL) FROM manufacturers
                    WHERE name = 'Acme Manufacturing'
                    """)
                let third = try await service.create(under: Self.key)
                #expect(third.status == 201 && third.header("Idempotent-Replayed") == nil)
                let token = try #require(third.json["link_token"]?.string)
                #expect(try await service.find(token).status == 200)
                #expect(try await service.database.count("SELECT count(*) FROM link_sessions") == 1)
            }
        }

        @Test func `a session of an older secret is answered as before, and of one that is gone not at all`()
            async throws
        {
            try await Service.run { before in
                let first = try await before.create(under: Self.key)
                let new = secretOf(6)
                let rotated = ["IDEMPOTENCY_SECRETS": "\(new),\(TestKeys.idempotencySecret)"]
                try await Service.serving(before.database, environment: rotated) { service in
                    let again = try await service.create(under: Self.key)
                    #expect(again.text == first.text && again.header("Idempotent-Replayed") == "true")
                    service.expect(
                        try await service.create(createBody(user: "zq7user"), under: Self.key), 422,
                        "idempotency_key_reused", "other fields")
                    let made = try await service.create(under: "new")
                    #expect(made.status == 201)
                    // The replica that has not got the new secret yet says that it cannot answer, and not that the
                    // fields are others.
                    service.expect(try await before.create(under: "new"), 503, "unavailable", "a newer secret")
                    try await before.process.waitForLog("IDEMPOTENCY_SECRETS lacks", within: 5)
                    #expect(try await service.create(under: "new").text == made.text)
                }
                try await Service.serving(before.database, environment: ["IDEMPOTENCY_SECRETS": new]) { service in
                    service.expect(
                        try await service.create(under: Self.key), 503, "unavailable", "a secret that is gone")
                    #expect(try await service.create(under: "another").status == 201)
                }
                #expect(try await before.database.count("SELECT count(*) FROM link_sessions") == 3)
            }
        }

        /// What somebody has who stole a backup, the manufacturer's keys, and the configuration but for its secrets.
        @Test func `nothing that is stored gives a token away, and with the secret it can be made`() async throws {
            try await Service.run { service in
                let answer = try await service.create(under: Self.key)
                let token = try #require(LinkToken(answer.json["link_token"]?.string ?? ""))
                let tables = try await service.database.rows(
                    """
                    SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE c.relkind IN ('r', 'p') AND n.nspname = current_schema()
                    """
                ).joined().compactMap(\.self)
                #expect(tables.contains("idempotency_keys") && tables.contains("link_sessions"))
                var dump = ""
                for table in tables {
                    dump += try await service.database.rows("SELECT t::text FROM \(table) t").joined()
                        .compactMap(\.self).joined(separator: "\n")
                }
                let secretHalf = Array(try #require(Base64URL.decode(token.characters)).suffix(24))
                let configured = try #require(Base64URL.decode(TestKeys.idempotencySecret))
                let key = try IdempotencyKey(Self.key)
                for secret in [secretHalf, configured, key.bytes] {
                    #expect(!dump.contains(Hexadecimal.encode(secret)))
                    #expect(!dump.contains(Base64URL.encode(secret)))
                    #expect(!dump.contains(String(decoding: secret, as: UTF8.self)))
                }
                let acme = Manufacturer.ID(
                    Int64(
                        try await service.database.count(
                            "SELECT id FROM manufacturers WHERE brand IS NOT NULL AND enabled")))
                func derived(_ secret: [UInt8]) throws -> String? {
                    try IdempotencySecret(secret: secret)?.token(of: token.id, acme, key).characters
                }
                #expect(try derived(configured) == token.characters)
                let hashes = dump.matches(of: /[0-9a-f]{64}/).compactMap { Hexadecimal.decode($0.output) }
                #expect(hashes.count >= 5)
                for hash in hashes {
                    #expect(try derived(hash) != token.characters)
                    #expect(Array(hash.prefix(24)) != secretHalf)
                }
            }
        }

        @Test func `of 1000 pairs that race on two replicas, with answers cut off, each makes one session`()
            async throws
        {
            try await Service.run { first in
                try await Service.serving(first.database, environment: ["LOG_LEVEL": "info"]) { second in
                    let started = ContinuousClock.now
                    let sessions = try await withThrowingTaskGroup(of: Set<String>.self) { group in
                        var sessions: [Set<String>] = []
                        for pair in 0..<1000 {
                            if pair >= 16, let done = try await group.next() { sessions.append(done) }
                            group.addTask {
                                async let one = first.createCuttingOff(under: "pair-\(pair)")
                                async let other = second.createCuttingOff(under: "pair-\(pair)")
                                return Set(try await one + other)
                            }
                        }
                        for try await done in group { sessions.append(done) }
                        return sessions
                    }
                    #expect(ContinuousClock.now - started < .seconds(60))
                    #expect(sessions.count == 1000)
                    #expect(sessions.allSatisfy { $0.count == 1 })
                    #expect(Set(sessions.joined()).count == 1000)
                    #expect(try await first.database.count("SELECT count(*) FROM link_sessions") == 1000)
                    #expect(
                        try await first.database.count(
                            "SELECT count(*) FROM idempotency_keys k JOIN link_sessions s USING (shard) WHERE id = session_id"
                        ) == 1000)
                }
            }
        }
    }
}

extension Service {
    func create(
        _ json: String = publishedRequest, under idempotencyKey: String, key: String = TestKeys.acme
    ) async throws -> TestResponse {
        try await create(json, key: key, headers: [("Idempotency-Key", idempotencyKey)])
    }

    /// A create whose client sometimes goes away before the answer, and then asks again: the tokens that it was given.
    fileprivate func createCuttingOff(under idempotencyKey: String) async throws -> [String] {
        if Bool.random() {
            let body = Service.publishedRequest
            let socket = try RawSocket(port: port)
            if Bool.random() { socket.resetsAtEnd() }
            _ = socket.send(
                Array(
                    """
                    POST \(Self.sessions) HTTP/1.1\r
                    Host: test\r
                    x-api-key: \(TestKeys.acme)\r
                    Idempotency-Key: \(idempotencyKey)\r
                    Content-Type: application/json\r
                    Content-Length: \(body.utf8.count)\r
                    \r
                    \(body)
                    """.utf8))
            try await Task.sleep(for: .microseconds(Int.random(in: 0...3000)))
        }
        let answer = try await create(under: idempotencyKey)
        return [try #require(answer.json["link_token"]?.string, "\(answer.status) \(answer.text)")]
    }
}
