// Who may call: one answer for every key that is none, and no work for it.

import TestSupport
import Testing

extension ProgramTests {
    @Suite struct AuthenticationTests {
        @Test func `every key that is none gets the same 401`() async throws {
            let (expired, revoked, early) = (
                TestKeys.manufacturer("expired"), TestKeys.manufacturer("revoked"),
                TestKeys.manufacturer("revoked later")
            )
            try await Service.run(prepare: { database in
                try await database.addKey(
                    expired, manufacturer: "Acme Manufacturing",
                    columns: ["created_at": "now() - interval '2 days'", "expires_at": "now() - interval '1 second'"])
                try await database.addKey(
                    revoked, manufacturer: "Acme Manufacturing", columns: ["revoked_at": "now() - interval '1 second'"])
                // Whatever the time in it: a key that has one is revoked.
                try await database.addKey(
                    early, manufacturer: "Acme Manufacturing", columns: ["revoked_at": "now() + interval '1 day'"])
            }) { service in
                let token = try await service.createdToken()
                let row = try await service.row(token)
                var cases: [(what: String, headers: [(String, String)])] = [
                    ("missing", []), ("empty", [("x-api-key", "")]), ("no key", [("x-api-key", "unknown")]),
                    ("unknown", [("x-api-key", TestKeys.manufacturer("unknown"))]),
                    ("a digest", [("x-api-key", TestKeys.digest(TestKeys.acme))]),
                    ("too long", [("x-api-key", String(repeating: "a", count: 10_000))]),
                    ("not ASCII", [("x-api-key", "ключ")]), ("with a blank", [("x-api-key", "a b")]),
                    ("expired", [("x-api-key", expired)]), ("revoked", [("x-api-key", revoked)]),
                    ("revoked in the future", [("x-api-key", early)]),
                    ("of a disabled manufacturer", [("x-api-key", TestKeys.disabled)]),
                    ("the link token", [("x-api-key", token)]),
                    ("as a bearer", [("Authorization", "Bearer \(TestKeys.acme)")]),
                ]
                for key in [TestKeys.acme, TestKeys.authenticator] {
                    cases += [
                        ("the same key twice", [("x-api-key", key), ("x-api-key", key)]),
                        ("the key and an empty one", [("x-api-key", key), ("X-API-Key", "")]),
                        ("a wrong key and the key", [("x-api-key", "unknown"), ("x-api-key", key)]),
                        ("keys with a comma", [("x-api-key", "\(key), \(key)")]),
                        ("upper case", [("x-api-key", key.uppercased())]),
                        ("cut off", [("x-api-key", String(key.dropLast()))]),
                        ("lengthened", [("x-api-key", key + "0")]),
                    ]
                }
                var first: TestResponse?
                let endpoints = OpenAPIDocument.shared.endpoints(token: token).filter(\.needsKey)
                let requests = endpoints.flatMap { endpoint in
                    (endpoint.method == "GET" ? ["GET", "HEAD"] : [endpoint.method]).map { ($0, endpoint) }
                }
                #expect(requests.count >= 8)
                for (method, endpoint) in requests {
                    let path = endpoint.path
                    let foreign = endpoint.isManufacturers ? TestKeys.authenticator : TestKeys.acme
                    for (what, headers) in cases + [("of the other kind", [("x-api-key", foreign)])] {
                        let response = try await service.request(
                            method, path, headers: headers + [("Content-Type", "application/json")],
                            body: method == "POST" ? Array(Service.publishedRequest.utf8) : [])
                        #expect(response.status == 401, "\(method) \(path.prefix(40)), \(what)")
                        guard method != "HEAD" else { continue }
                        let reference = first ?? response
                        first = reference
                        #expect(
                            response.bodyWithoutRequestID == reference.bodyWithoutRequestID,
                            "\(method) \(path.prefix(40)), \(what)")
                        // Whether the connection goes on tells only whether the body had come with its head.
                        let headers = [response, reference].map {
                            $0.lastingHeaders.filter { $0 != "connection: close" }
                        }
                        #expect(headers[0] == headers[1], "\(method) \(path.prefix(40)), \(what)")
                    }
                }
                #expect(
                    first?.bodyWithoutRequestID
                        == #"{"error":"a valid API key is required in the x-api-key header","code":"unauthorized","request_id":"…","docs_url":"https://docs.nox.energy/errors#unauthorized"}"#
                )
                // A key in the query is none, and the name of the header has no case.
                let inQuery = try await service.get(
                    "\(Service.sessions)/\(token)?x-api-key=\(TestKeys.acme)&api_key=\(TestKeys.acme)")
                service.expect(inQuery, 401, "unauthorized", "in the query")
                let upperCase = try await service.request(
                    "GET", "\(Service.sessions)/\(token)", headers: [("X-API-KEY", TestKeys.acme)])
                #expect(upperCase.status == 200)
                #expect(try await service.row(token) == row)
                #expect(try await service.database.count("SELECT count(*) FROM link_sessions") == 1)
                for key in [expired, revoked, early] {
                    #expect(!service.process.log.contains("=\(key)"), "\(key) in the log")
                }
            }
        }

        @Test func `without a key nobody learns what a session, a body or a content type is worth`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                _ = try await service.complete(token)
                for (what, headers, body) in [
                    ("no JSON", [("Content-Type", "application/json")], "{"),
                    ("no content type", [], Service.publishedRequest),
                    ("too large", [("Content-Type", "application/json")], String(repeating: " ", count: 20_000)),
                ] {
                    service.expect(
                        try await service.request("POST", Service.sessions, headers: headers, body: Array(body.utf8)),
                        401,
                        "unauthorized", what)
                }
                for path in ["\(token)/expire", "x/expire", "\(unknownToken)/expire"] {
                    service.expect(
                        try await service.request("POST", "\(Service.sessions)/\(path)"), 401, "unauthorized", path)
                }
                service.expect(try await service.view("x", key: "unknown"), 401, "unauthorized", "view")
            }
        }

        @Test func `authentication is decided while the body is still on its way`() async throws {
            try await Service.run { service in
                let head = "POST \(Service.sessions) HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for framing in ["Content-Length: 1000\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"] {
                        group.addTask {
                            let (duration, (answers, text, closed)) = try await timed {
                                try await service.raw([head + framing], within: .seconds(6))
                            }
                            let answer = try #require(answers.first, "\(framing): \(text)")
                            service.check(answer, to: "POST", Service.sessions)
                            service.expect(answer, 401, "unauthorized", framing)
                            #expect(answers.count == 1, "\(text)")
                            #expect(answer.header("Connection")?.lowercased() == "close", "nobody waits for the rest")
                            #expect(closed && duration < .seconds(4), "closed after \(duration)")
                        }
                    }
                    try await group.waitForAll()
                }
                // With a key the body is waited for.
                let whole = Service.publishedRequest
                let (answers, text, _) = try await service.raw(
                    [
                        head
                            + "Connection: close\r\nx-api-key: \(TestKeys.acme)\r\nContent-Length: \(whole.utf8.count)\r\n\r\n",
                        String(whole.prefix(20)), String(whole.dropFirst(20)),
                    ], pause: .milliseconds(100))
                #expect(answers.first?.status == 201, "\(text)")
            }
        }

        @Test func `new, revoked and expired keys and disabled manufacturers count within a second, on every replica`()
            async throws
        {
            let (added, brief) = (TestKeys.manufacturer("added"), TestKeys.manufacturer("brief"))
            try await Service.run { one in
                try await Service.serving(one.database) { two in
                    func expectWithinASecond(_ status: Int, key: String, _ what: String) async throws {
                        let committed = ContinuousClock.now
                        for replica in [one, two] {
                            while try await replica.create(key: key).status != status, .now - committed < .seconds(3) {
                                try await Task.sleep(for: .milliseconds(10))
                            }
                            #expect(.now - committed < .seconds(1), "\(what): \(.now - committed)")
                        }
                    }
                    try await one.database.addKey(added, manufacturer: "Acme Manufacturing")
                    try await expectWithinASecond(201, key: added, "a new key works")
                    try await one.database.execute(
                        "UPDATE api_keys SET revoked_at = now() WHERE key_hash = sha256('\(added)')")
                    try await expectWithinASecond(401, key: added, "a revoked key is dead")
                    try await one.database.execute(
                        "UPDATE manufacturers SET enabled = false WHERE name = 'Acme Manufacturing'")
                    try await expectWithinASecond(401, key: TestKeys.acme, "a disabled manufacturer")
                    try await one.database.execute(
                        "UPDATE manufacturers SET enabled = true WHERE name = 'Acme Manufacturing'")
                    try await expectWithinASecond(201, key: TestKeys.acme, "an enabled manufacturer")
                    try await one.database.execute(
                        "UPDATE manufacturers SET redirect_urls = '{}' WHERE name = 'Acme Manufacturing'")
                    try await expectWithinASecond(400, key: TestKeys.acme, "an emptied list of redirect URLs")

                    // A key's end comes without any commit.
                    try await one.database.addKey(
                        brief, manufacturer: "Beta Devices",
                        columns: [
                            "created_at": "now() - interval '1 day'",
                            "expires_at": "clock_timestamp() + interval '1200 milliseconds'",
                        ])
                    let added = ContinuousClock.now
                    try await expectWithinASecond(201, key: brief, "a key that is about to expire")
                    try await Task.sleep(until: added + .milliseconds(1300))
                    for replica in [one, two] {
                        #expect(try await replica.create(key: brief).status == 401, "a key whose end has come")
                    }
                }
            }
        }

        @Test func `several Authenticator keys count, so that they can be rotated`() async throws {
            let next = "test-key-of-the-next-authenticator"
            let keys = "web:\(TestKeys.digest(TestKeys.authenticator)),web-2:\(TestKeys.digest(next).uppercased())"
            try await Service.run(environment: ["AUTHENTICATOR_API_KEY_DIGESTS": keys]) { service in
                let token = try await service.createdToken()
                for (name, key) in [("web", TestKeys.authenticator), ("web-2", next)] {
                    #expect(try await service.view(token, key: key).status == 200)
                    try await service.process.waitForLog(" authenticator=\(name) ", within: 5)
                    service.expect(try await service.create(key: key), 401, "unauthorized", "not a manufacturer's")
                }
                service.expect(try await service.view(token, key: ""), 401, "unauthorized", "the empty key")
                #expect(try await service.complete(token, key: next).status == 200)
                #expect(
                    try await service.database.rows(
                        "SELECT event, authenticator_key FROM link_session_events ORDER BY occurred_at")
                        == [["opened", "web"], ["completed", "web-2"]])
            }
        }

        @Test func `an unknown key costs no query`() async throws {
            try await Service.run { service in
                let database = service.database
                /// When each connection for requests last began and ended a statement.
                func activity() async throws -> [[String?]] {
                    try await database.rows(
                        """
                        SELECT pid::text, query_start::text, state_change::text FROM pg_stat_activity
                        WHERE datname = current_database() AND application_name = 'link-session-service' ORDER BY pid
                        """)
                }
                let token = try await service.createdToken()
                // Some connections may still be made: all are there when nothing changes any more.
                var before = try await activity()
                for _ in 0..<50 {
                    try await Task.sleep(for: .milliseconds(100))
                    let now = try await activity()
                    if now == before { break }
                    before = now
                }
                #expect(!before.isEmpty)
                for number in 0..<50 {
                    let key = TestKeys.manufacturer("unknown \(number)")
                    #expect(try await service.create(key: key).status == 401)
                    #expect(try await service.find(token, key: key).status == 401)
                    #expect(try await service.expire(token, key: key).status == 401)
                    #expect(try await service.complete(token, key: key).status == 401)
                }
                #expect(try await activity() == before)
                // The connection beside those for requests does nothing but its rounds.
                let others = try await database.rows(
                    """
                    SELECT DISTINCT query FROM pg_stat_activity WHERE datname = current_database()
                    AND application_name = 'link-session-service keys'
                    """)
                #expect(
                    others.allSatisfy { ($0.first ?? nil)?.contains("control_plane_version") == true }, "\(others)")
                // And what this test looks at does move with a query.
                #expect(try await service.find(token).status == 200)
                #expect(try await activity() != before)
            }
        }
    }
}
