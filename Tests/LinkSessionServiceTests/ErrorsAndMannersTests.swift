// Errors in one shape, request ids, methods and paths, pipelining, and what the log says of a request.

import Foundation
import TestSupport
import Testing

extension ProgramTests {
    @Suite struct ErrorsAndMannersTests {
        private static let token = unknownToken

        @Test func `an unknown path is a 404 in JSON`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                let paths = [
                    "/", "/v2", "/v1/manufacturer/link-sessions", "/v2/manufacturer", "/v2/manufacturer/link-session",
                    "/v2/Manufacturer/link-sessions", "/manufacturer/link-sessions", "/ui/x",
                    "/health", "/health/", "/health/liveness", "/openapi", "/openapi.yaml", "/nothing.ico",
                    "/metrics", "/.env", "/v2/manufacturer/link-sessions/\(token)/complete",
                    "/v2/authenticator/link-sessions/\(token)/expire", "/v2/authenticator/link-sessions",
                    "/v2/manufacturer/link-sessions/\(token)/expire/again", "/%", "/%zz", "/%2e%2e/etc/passwd",
                    "/../etc/passwd",
                ]
                for path in paths {
                    for method in ["GET", "POST"] {
                        let response = try await service.request(
                            method, path,
                            headers: [("x-api-key", TestKeys.acme), ("Content-Type", "application/json")],
                            body: method == "POST" ? Array("{}".utf8) : [])
                        service.expect(
                            response, 404, "not_found", "there is nothing at this path", "\(method) \(path.prefix(60))")
                        #expect(
                            Set(response.json.keys) == ["error", "code", "request_id", "docs_url"], "\(method) \(path)")
                    }
                    #expect(try await service.request("HEAD", path).status == 404, "HEAD \(path.prefix(60))")
                }
            }
        }

        @Test func `a wrong method is a 405 that lists the right ones`() async throws {
            let endpoints = OpenAPIDocument.shared.endpoints(token: Self.token)
            #expect(endpoints.count >= 10)
            let methods = Dictionary(grouping: endpoints, by: \.path).mapValues { endpoints in
                endpoints.flatMap { $0.method == "GET" ? ["GET", "HEAD"] : [$0.method] }.sorted()
            }
            try await Service.run { service in
                for (path, right) in methods {
                    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
                    where !right.contains(method) {
                        // With a key and without, and with a body that nobody reads.
                        for headers in [[], [("x-api-key", TestKeys.acme), ("Content-Type", "application/json")]] {
                            let response = try await service.request(
                                method, path, headers: headers, body: method == "PUT" ? Array("{}".utf8) : [])
                            #expect(response.status == 405, "\(method) \(path): \(response.text)")
                            #expect(response.header("Allow") == right.joined(separator: ", "), "\(method) \(path)")
                            guard method != "HEAD" else { continue }
                            service.expect(response, 405, "method_not_allowed", "\(method) \(path)")
                        }
                    }
                }
            }
        }

        @Test func `a method that no path has is a wrong one too`() async throws {
            try await Service.run { service in
                for method in ["PROPFIND", "MKCOL", "SEARCH", "LINK", "PURGE"] {
                    let response = try await service.request(
                        method, Service.sessions, headers: [("x-api-key", TestKeys.acme)])
                    service.expect(response, 405, "method_not_allowed", method)
                    #expect(response.header("Allow") == "GET, HEAD, POST", "\(method)")
                    service.expect(
                        try await service.request(method, "/nowhere"), 404, "not_found", "\(method) of an unknown path")
                }
            }
        }

        @Test func `HEAD is answered as GET is, without a body`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                // It is opened first, and that is told a moment later: no answer changes from then on.
                _ = try await service.view(token)
                let told = try await service.get(
                    "/v2/manufacturer/events?types=link_session.opened&wait=5", key: TestKeys.acme)
                #expect(told.json["data"]?.elements?.count == 1)
                let endpoints = OpenAPIDocument.shared.endpoints(token: token).filter { $0.method == "GET" }
                #expect(endpoints.count >= 6)
                let manufacturers = Set(endpoints.filter(\.isManufacturers).map(\.path))
                for path in endpoints.map(\.path) + ["/nowhere"] {
                    let key = manufacturers.contains(path) ? TestKeys.acme : TestKeys.authenticator
                    let (get, head) = (
                        try await service.get(path, key: key),
                        try await service.request("HEAD", path, headers: [("x-api-key", key)])
                    )
                    #expect(get.status == (path == "/nowhere" ? 404 : 200), "\(path)")
                    #expect(head.status == get.status, "\(path)")
                    #expect(head.body.isEmpty, "\(path)")
                    #expect(head.lastingHeaders == get.lastingHeaders, "\(path)")
                }
            }
        }

        @Test func `a request id is the caller's, where it is one and no secret`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                let mixed = String(repeating: "Ab0.", count: 32)
                for id in [
                    "a", "0", ".", "-", "_", "req_1.2-3", "0af7651916cd43dd8448eb211c80319c",
                    "6F9619FF-8B86-D011-B42D-00C04FC964FF",
                    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", String(repeating: "a", count: 128),
                    mixed,
                    "a/b", "a:b", "a+b", "a=b", "=", "/", "Root=1-67891233-abcdef012345678912345678",
                    "projects/P1/traces/0af7651916cd43dd8448eb211c80319c",
                    "AbCdEf/GhIjKl+MnOpQr/StUvWx+YzAbCd/EfGhIj+KlMn==",
                    sessionID(of: token),
                ] {
                    for path in ["/health/live", "/nowhere", "\(Service.sessions)/\(token)"] {
                        let response = try await service.request("GET", path, headers: [("X-Request-Id", id)])
                        #expect(response.header("X-Request-Id") == id, "\(id) at \(path.prefix(30))")
                        #expect(response.headers.count { $0.name.lowercased() == "x-request-id" } == 1)
                    }
                }

                // What is repeated can be recorded with an event, too.
                let longest = "Root=1-67891233:a/b+c.d_e=" + String(repeating: "x", count: 102)
                let seen = try await service.request(
                    "GET", "\(Service.authenticatorSessions)/\(token)",
                    headers: [("x-api-key", TestKeys.authenticator), ("X-Request-Id", longest)])
                #expect(seen.status == 200 && seen.header("X-Request-Id") == longest)
                #expect(try await service.database.rows("SELECT request_id FROM link_session_events") == [[longest]])

                let other = String(repeating: "Ab1", count: 15).prefix(43)
                // One of 1,500 tokens has no digit.
                let digitless = String(repeating: "AbCdEfGh", count: 6).prefix(42) + "A"
                let replaced: [(what: String, ids: [String])] = [
                    ("empty", [""]), ("a blank", ["a b"]), ("a backslash", [#"a\b"#]), ("a comma", ["a,b"]),
                    ("a semicolon", ["a;b"]), ("an at", ["a@b"]), ("a tilde", ["a~b"]), ("not ASCII", ["é"]),
                    ("markup", ["<script>"]), ("percent", ["%0d%0a"]),
                    ("a quote", ["a\"b"]),
                    ("129 characters", [String(repeating: "a", count: 129)]),
                    ("long", [String(repeating: "a", count: 5000)]),
                    ("two headers", ["one", "two"]), ("the same twice", ["one", "one"]), ("a link token", [token]),
                    ("a link token behind a prefix", ["x.\(token)"]), ("a link token in a name", ["token-\(token)"]),
                    ("a link token in a path", ["/ui/\(token)/x"]), ("a link token as a value", ["token=\(token)"]),
                    ("a link token with padding", ["\(token)=="]), ("a link token after a sum", ["a+b:\(token)"]),
                    ("a link token's end", [String(token.suffix(44))]),
                    ("any token", [String(other)]), ("a token without digits", [String(digitless)]),
                    ("the key that was sent", [TestKeys.acme]), ("another's key", [TestKeys.beta]),
                    ("the Authenticator's key", [TestKeys.authenticator]),
                    ("something with the key", ["id.\(TestKeys.acme).1"]),
                ]
                for (what, ids) in replaced {
                    let response = try await service.request(
                        "GET", "\(Service.sessions)/\(token)",
                        headers: [("x-api-key", TestKeys.acme)] + ids.map { ("X-Request-Id", $0) })
                    let answered = response.header("X-Request-Id") ?? ""
                    #expect(response.status == 200, "\(what)")
                    #expect(answered.wholeMatch(of: /[a-z0-9]{16,64}/) != nil, "\(what): \(answered)")
                    #expect(!ids.contains(answered), "\(what): \(answered)")
                    #expect(response.headers.count { $0.name.lowercased() == "x-request-id" } == 1, "\(what)")
                    if let id = ids.first, id.count > 20 {
                        #expect(!service.process.log.contains(id), "\(what) is in the log")
                    }
                }
                // Whatever was sent as a key, right or wrong, with or without others.
                for keys in [["wrong-key"], ["", "wrong-key"], [TestKeys.acme, "wrong-key"]] {
                    let response = try await service.request(
                        "GET", "/health/live",
                        headers: keys.map { ("x-api-key", $0) } + [("X-Request-Id", "id.wrong-key.1")])
                    #expect(response.header("X-Request-Id")?.contains("wrong-key") == false, "\(keys)")
                }
            }
        }

        @Test func `our own request ids are all different`() async throws {
            try await Service.run { service in
                var ids: Set<String> = []
                for _ in 0..<100 { ids.insert(try await service.get("/health/live").header("X-Request-Id") ?? "") }
                #expect(ids.count == 100)
            }
        }

        @Test func `pipelined requests are answered in their order`() async throws {
            try await Service.run { service in
                let body = Service.publishedRequest
                let create =
                    "POST \(Service.sessions) HTTP/1.1\r\nHost: a\r\nX-Request-Id: first\r\nx-api-key: \(TestKeys.acme)\r\n"
                    + "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                let unknown = "GET /nowhere HTTP/1.1\r\nHost: a\r\nX-Request-Id: second\r\n\r\n"
                let live = "GET /health/live HTTP/1.1\r\nHost: a\r\nX-Request-Id: third\r\nConnection: close\r\n\r\n"
                let bytes = create + unknown + live
                let half = bytes.utf8.count / 2
                // At once, cut anywhere, and byte by byte.
                for chunks in [
                    [bytes], [String(bytes.prefix(half)), String(bytes.dropFirst(half))], bytes.map { String($0) },
                ] {
                    let (answers, text, closed) = try await service.raw(chunks)
                    #expect(answers.map(\.status) == [201, 404, 200], "\(chunks.count) pieces: \(text)")
                    #expect(
                        answers.map { $0.header("X-Request-Id") } == ["first", "second", "third"],
                        "\(chunks.count) pieces")
                    #expect(closed)
                    guard answers.count == 3 else { continue }
                    service.check(answers[0], to: "POST", Service.sessions)
                    service.check(answers[1], to: "GET", "/nowhere")
                    service.check(answers[2], to: "GET", "/health/live")
                }
            }
        }

        @Test func `a connection serves one request after the other, and ends when the client says so`() async throws {
            try await Service.run { service in
                try await TestConnection.with(port: service.port) { connection in
                    for number in 0..<20 {
                        let response = try await connection.send(
                            number.isMultiple(of: 2) ? "GET" : "POST",
                            number.isMultiple(of: 3) ? "/nowhere" : Service.sessions,
                            headers: [("X-Request-Id", "n\(number)")],
                            body: number.isMultiple(of: 2) ? [] : Array("{}".utf8))
                        #expect(response.header("X-Request-Id") == "n\(number)")
                        #expect(response.header("Connection")?.lowercased() != "close", "\(number): \(response.status)")
                    }
                }
                let (answers, text, closed) = try await service.raw([
                    "GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                ])
                #expect(answers.map(\.status) == [200], "\(text)")
                #expect(closed)
            }
        }

        /// RFC 9112, section 9.3. Load balancers ask for a server's health in HTTP/1.0.
        @Test func `an HTTP/1.0 request is answered, and its connection closed`() async throws {
            try await Service.run { service in
                let (duration, (answers, text, closed)) = try await timed {
                    try await service.raw(["GET /health/live HTTP/1.0\r\n\r\n"], within: .seconds(2))
                }
                #expect(closed, "open after \(duration)")
                #expect(answers.map(\.status) == [200], "\(text)")
            }
        }

        /// RFC 9110, section 10.1.1: such a client holds its body back until it hears something.
        @Test func `a client that expects 100-continue is told to go on, or is refused`() async throws {
            try await Service.run { service in
                let body = Service.publishedRequest
                func head(_ key: String) -> String {
                    "POST \(Service.sessions) HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
                        + "Expect: 100-continue\r\nx-api-key: \(key)\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
                }
                let (answers, text, _) = try await service.raw([head(TestKeys.acme), body], pause: .milliseconds(300))
                #expect(answers.map(\.status) == [100, 201], "\(text)")
                // It may be told to go on before it is known who calls.
                let (refused, refusal, _) = try await service.raw([head("unknown")])
                #expect(refused.map(\.status).filter { $0 >= 200 } == [401], "\(refusal)")
                let live = "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
                let (second, order, _) = try await service.raw(
                    [live + live + head(TestKeys.acme), body], pause: .milliseconds(300))
                #expect(second.map(\.status) == [200, 200, 100, 201], "behind two other requests: \(order)")
            }
        }

        @Test func `a request is one log line that names what it was`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                let created = try await service.create(headers: [("X-Request-Id", "created")])
                let ids = [sessionID(of: token), created.header("Link-Session-Id") ?? "none"]
                _ = try await service.request(
                    "GET", "\(Service.sessions)/\(token)?secret=\(token)",
                    headers: [("x-api-key", TestKeys.beta), ("X-Request-Id", "foreign")])
                _ = try await service.request(
                    "POST", "\(Service.authenticatorSessions)/\(token)/complete",
                    headers: [("x-api-key", TestKeys.authenticator), ("X-Request-Id", "completed")])
                _ = try await service.request(
                    "GET", "/\(token)", headers: [("X-Request-Id", "unknown"), ("User-Agent", token)])
                _ = try await service.request("DELETE", "/health/live", headers: [("X-Request-Id", "wrong")])
                try await service.process.waitForLog("request_id=wrong", within: 10)
                let expected = [
                    (
                        "created", "manufacturer=1 method=POST",
                        "route=/v2/manufacturer/link-sessions session=ID status=201"
                    ),
                    (
                        "foreign", "manufacturer=2 method=GET",
                        "route=/v2/manufacturer/link-sessions/{link_token} session=ID status=404"
                    ),
                    (
                        "completed", "method=POST",
                        "route=/v2/authenticator/link-sessions/{link_token}/complete session=ID status=200"
                    ),
                    ("unknown", "method=GET", "route=- status=404"),
                    ("wrong", "method=DELETE", "route=/health/live status=405"),
                ]
                for (id, caller, route) in expected {
                    let lines = service.process.log.split(separator: "\n").filter { $0.contains("request_id=\(id) ") }
                    #expect(lines.count == 1, "\(id): \(lines)")
                    let line = lines.first ?? ""
                    let pattern =
                        /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info request (?:(authenticator=web) )?client=127\.0\.0\.0\/24 (.*) ms=\d+(?:\.\d+)? request_id=[a-z]+ (.*)/
                    let match = line.wholeMatch(of: pattern)
                    #expect(match.map { String($0.2) } == caller, "\(line)")
                    #expect((match?.1 != nil) == (id == "completed"), "\(line)")
                    let session = id == "created" ? ids[1] : ids[0]
                    #expect(match.map { String($0.3) } == route.replacing("=ID ", with: "=\(session) "), "\(line)")
                }
            }
        }

        @Test func `a log in JSON has an object a line`() async throws {
            try await Service.run(environment: ["LOG_FORMAT": "json"]) { service in
                let token = try await service.createdToken()
                _ = try await service.request(
                    "GET", "\(Service.sessions)/\(token)",
                    headers: [("x-api-key", TestKeys.acme), ("X-Request-Id", "found")])
                try await service.process.waitForLog("found", within: 10)
                var found: [[String: Any]] = []
                for line in service.process.log.split(separator: "\n") {
                    let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
                    #expect(
                        object?["time"] is String && object?["level"] is String && object?["message"] is String,
                        "\(line)")
                    if object?["request_id"] as? String == "found" { found.append(object ?? [:]) }
                }
                #expect(found.count == 1)
                let line = found.first ?? [:]
                #expect(
                    Set(line.keys) == [
                        "time", "level", "message", "method", "route", "session", "status", "ms", "request_id",
                        "manufacturer", "client",
                    ])
                #expect(line["method"] as? String == "GET")
                #expect(line["route"] as? String == "/v2/manufacturer/link-sessions/{link_token}")
                #expect(line["session"] as? String == sessionID(of: token))
                #expect(line["status"] as? Int == 200)
                #expect(line["manufacturer"] as? Int == 1)
                #expect(line["ms"] is Double)
            }
        }

        @Test func `a bug is a 500 whose cause is in the log and not in the answer`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                try await service.database.execute("ALTER TABLE link_sessions RENAME COLUMN language TO tongue")
                for (id, method, path, key) in [
                    ("bug-create", "POST", Service.sessions, TestKeys.acme),
                    ("bug-find", "GET", "\(Service.sessions)/\(token)", TestKeys.acme),
                    (
                        "bug-complete", "POST", "\(Service.authenticatorSessions)/\(token)/complete",
                        TestKeys.authenticator
                    ),
                ] {
                    let response = try await service.request(
                        method, path,
                        headers: [("x-api-key", key), ("Content-Type", "application/json"), ("X-Request-Id", id)],
                        body: id == "bug-create" ? Array(Service.publishedRequest.utf8) : [])
                    service.expect(response, 500, "internal_error", "internal error", id)
                    #expect(Set(response.json.keys) == ["error", "code", "request_id", "docs_url"], "\(id)")
                    #expect(!response.text.contains("42703"), "\(id)")
                    try await service.process.waitForLog("request_id=\(id)", within: 10)
                    let line = service.process.log.split(separator: "\n").last { $0.contains("request_id=\(id)") } ?? ""
                    #expect(line.contains(" error request ") && line.contains("42703"), "\(line)")
                }
                // A bug in one place is no reason to stop.
                #expect(try await service.get("/health/live").status == 200)
                try await service.database.execute("ALTER TABLE link_sessions RENAME COLUMN tongue TO language")
                #expect(try await service.create().status == 201)
            }
        }

        @Test func `a row that the database refuses costs its own caller a 500 and nobody else, and is not logged`()
            async throws
        {
            try await Service.run { service in
                try await service.database.execute(
                    "ALTER TABLE link_sessions ADD CONSTRAINT link_sessions_test CHECK (user_id NOT LIKE '%-bad')")
                let answers = try await withThrowingTaskGroup(of: (Bool, Int).self) { group in
                    for number in 0..<40 {
                        let isBad = number.isMultiple(of: 8)
                        group.addTask {
                            let response = try await service.create(
                                createBody(user: "zq7user-\(number)\(isBad ? "-bad" : "")"))
                            return (isBad, response.status)
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                for (isBad, status) in answers { #expect(status == (isBad ? 500 : 201)) }
                try await service.process.waitForLog("link_sessions_test", within: 10)
                let line = service.process.log.split(separator: "\n").first { $0.contains("link_sessions_test") } ?? ""
                #expect(line.contains("23514"), "SQLSTATE and constraint are the cause: \(line)")
            }
        }
    }
}
