// POST /v2/manufacturer/link-sessions: what is answered, what is stored, and what is refused.

import Foundation
import TestSupport
import Testing

extension ProgramTests {
    @Suite struct CreateTests {
        @Test func `a create answers with exactly the published fields and stores the session`() async throws {
            try await Service.run { service in
                let now = try #require(
                    try await service.database.value("SELECT floor(extract(epoch FROM now()))::bigint::text"))
                let response = try await service.create()
                let session = response.json
                #expect(response.status == 201)
                #expect(response.header("Cache-Control") == "no-store")
                #expect(
                    Set(session.keys) == [
                        "link_url", "link_token", "language", "redirect_url", "manufacturer", "manufacturer_user_id",
                        "created_at", "expires_at", "brand", "completed_at",
                    ])
                let token = try #require(session["link_token"]?.string)
                #expect(token.wholeMatch(of: /[A-Za-z0-9_-]{54}/) != nil, "link_token: \(token)")
                #expect(session["link_url"] == .string("https://auth.example/ui?token=\(token)&language=nl"))
                #expect(session["language"] == .string("nl"))
                #expect(session["redirect_url"] == .string("https://your-app.com/callback"))
                #expect(session["manufacturer"] == .string("Acme Manufacturing"))
                #expect(session["manufacturer_user_id"] == .string("manufacturer_user_id_123"))
                #expect(session["brand"] == .string("Acme Manufacturing"))
                #expect(session["completed_at"] == .null)
                let created = try #require(session["created_at"]?.number)
                #expect((0...2).contains(created - (Int(now) ?? 0)), "created_at \(created), asked at \(now)")
                #expect(session["expires_at"] == .number(created + 600))

                #expect(
                    try await service.row(token).dropFirst() == [
                        "manufacturer_user_id_123", "https://your-app.com/callback", "nl", "\(created)",
                        "\(created + 600)", nil,
                    ])
                #expect(try await service.database.count("SELECT count(*) FROM link_sessions") == 1)
                let stored = try await service.database.value("SELECT to_jsonb(s)::text FROM link_sessions s") ?? ""
                #expect(!stored.contains(token), "only the token's digest is stored")
            }
        }

        @Test func `a brand is title-cased, and a manufacturer without one gets no brand`() async throws {
            let key = TestKeys.manufacturer("alpha")
            try await Service.run(prepare: { database in
                try await database.execute(
                    """
                    INSERT INTO manufacturers (name, brand, redirect_urls)
                    VALUES ('Alpha', 'alpha-innotec', '{https://your-app.com/callback}')
                    """)
                try await database.addKey(key, manufacturer: "Alpha")
            }) { service in
                let alpha = try await service.create(key: key)
                #expect(alpha.json["manufacturer"] == .string("Alpha"))
                #expect(alpha.json["brand"] == .string("Alpha Innotec"))

                let beta = try await service.create(key: TestKeys.beta)
                #expect(beta.status == 201)
                #expect(beta.json["manufacturer"] == .string("Beta Devices"))
                #expect(
                    Set(beta.json.keys) == [
                        "link_url", "link_token", "language", "redirect_url", "manufacturer", "manufacturer_user_id",
                        "created_at", "expires_at", "completed_at",
                    ])
            }
        }

        @Test func `link_url comes from configuration, whatever the headers say`() async throws {
            try await Service.run(environment: ["PUBLIC_BASE_URL": "https://links.example:8443"]) { service in
                let hostile = [
                    [("Host", "evil.example")],
                    [("Host", "evil.example:1"), ("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "http")],
                    [("X-Forwarded-Port", "1"), ("X-Forwarded-Prefix", "/evil"), ("X-Original-URL", "/evil")],
                    [("Forwarded", "host=evil.example;proto=http"), ("X-Forwarded-Server", "evil.example")],
                    [("Origin", "https://evil.example"), ("Referer", "https://evil.example/")],
                ]
                for headers in hostile {
                    let response = try await service.create(headers: headers)
                    let token = response.json["link_token"]?.string ?? ""
                    #expect(
                        response.json["link_url"]
                            == .string("https://links.example:8443/ui?token=\(token)&language=nl"),
                        "\(headers)")
                    #expect(!"\(response.headers)\(response.text)".contains("evil"), "\(headers): \(response.headers)")
                }
                // RFC 9112, section 3.2.2: a proxy's form of the same request.
                let body = Service.publishedRequest
                let (answers, text, _) = try await service.raw([
                    """
                    POST http://evil.example\(Service.sessions) HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r
                    Content-Type: application/json\r\nx-api-key: \(TestKeys.acme)\r
                    Content-Length: \(body.utf8.count)\r\n\r\n\(body)
                    """
                ])
                let answer = try #require(answers.first)
                service.check(answer, to: "POST", Service.sessions)
                #expect(answer.status == 201)
                #expect(answer.json["link_url"]?.string?.hasPrefix("https://links.example:8443/ui?token=") == true)
                #expect(!text.contains("evil"))
            }
        }

        @Test func `language is one of four, nl where it is left out, and never null`() async throws {
            try await Service.run { service in
                func body(_ language: String) -> String {
                    #"{"user_id":"zq7user","redirect_url":"https://your-app.com/callback"\#(language)}"#
                }
                for (sent, expected) in [("", "nl")] + ["nl", "en", "fr", "es"].map({ (#","language":"\#($0)""#, $0) })
                {
                    let response = try await service.create(body(sent))
                    let token = response.json["link_token"]?.string ?? ""
                    #expect(response.status == 201, "\(sent)")
                    #expect(response.json["language"] == .string(expected), "\(sent)")
                    #expect(
                        response.json["link_url"]
                            == .string("https://auth.example/ui?token=\(token)&language=\(expected)"))
                    #expect(try await service.row(token)[3] == expected, "\(sent)")
                }
                let refused = [
                    "null", #""""#, #""de""#, #""NL""#, #""nl ""#, #"" nl""#, #""nl-NL""#, #""nl\u0000""#, "1", "true",
                    "[]", #"["nl"]"#, #"{"nl":1}"#,
                ]
                for language in refused {
                    service.expect(
                        try await service.create(body(#","language":\#(language)"#)), 400, "invalid_language",
                        "language must be one of: nl, en, fr, es", language)
                }
                #expect(try await service.database.count("SELECT count(*) FROM link_sessions") == 5)
            }
        }

        @Test func `user_id is kept byte for byte, and refused where it breaks a rule`() async throws {
            try await Service.run { service in
                let accepted = [
                    "zq7user", "x zq7user", "  zq7user  ", "zq7user\u{A0}", #"zq7user"'\/<script>&amp;${x}%00"#,
                    "zq7user'); DROP TABLE link_sessions; --", "zq7user e\u{301} \u{E9}",
                    "zq7user \u{1F469}\u{200D}\u{1F680}",
                    "zq7user\u{2028}\u{202E}\u{FEFF}\u{FFFF}", "zq7user{NULL,\"a\"}",
                    "zq7user" + String(repeating: "\u{1F600}", count: 249), String(repeating: "zq7user ", count: 32),
                ]
                for user in accepted {
                    let response = try await service.create(createBody(user: user))
                    let answered = response.json["manufacturer_user_id"]?.string ?? ""
                    #expect(response.status == 201, "\(quoted(user)): \(response.text)")
                    // By bytes: == on strings takes e and a combining accent for é.
                    #expect(Array(answered.utf8) == Array(user.utf8), "\(quoted(user)) → \(quoted(answered))")
                    let stored = try await service.row(response.json["link_token"]?.string ?? "")
                    #expect(Array((stored[1] ?? "").utf8) == Array(user.utf8), "\(quoted(user)) is stored")
                }
                #expect(
                    try await service.create(#"{"user_id":"1","redirect_url":"https://your-app.com/callback"}"#).status
                        == 201)

                let noString =
                    [
                        #"{"redirect_url":"https://your-app.com/callback"}"#, "{}", #"{"User_id":"zq7user"}"#,
                    ]
                    + ["null", "1", "1.5", "true", #"["zq7user"]"#, #"{"a":"zq7user"}"#].map {
                        #"{"user_id":\#($0),"redirect_url":"https://your-app.com/callback"}"#
                    }
                for body in noString {
                    service.expect(
                        try await service.create(body), 400, "invalid_user_id",
                        "user_id is required and must be a string", body)
                }
                let refused = [
                    "", " ", "\u{3000}\u{A0} ", "\u{0}", "zq7user\u{0}", "zq7user\n", "zq7user\r\n", "\tzq7user",
                    "zq7user\u{7F}", "zq7user\u{85}", "zq7user\u{1B}[31m",
                    "zq7user" + String(repeating: "a", count: 250),
                    "zq7user" + String(repeating: "\u{301}", count: 250),
                ]
                for user in refused {
                    service.expect(
                        try await service.create(createBody(user: user)), 400, "invalid_user_id", "user_id …",
                        quoted(user))
                }
                #expect(try await service.database.count("SELECT count(*) FROM link_sessions") == accepted.count + 1)
            }
        }

        @Test func `a well-formed redirect_url is kept as it was sent`() async throws {
            let accepted = [
                "https://your-app.com", "https://your-app.com/", "https://your-app.com/callback",
                "https://your-app.com:443/callback", "https://your-app.com:65535/", "HTTPS://Your-App.COM/Callback",
                "https://xn--mller-kva.de/", "https://192.0.2.1/", "https://[2001:db8::1]:8443/", "https://a/",
                "https://1a.com/", "http://localhost:3000/", "http://LOCALHOST/", "http://127.0.0.1:1/",
                "http://[::1]:5000/cb", "http://localhost", "com.acme.app://linked", "com.acme.app:/linked",
                "com.acme.app:/linked?a=b", "https://your-app.com/a%20b%C3%A9?x=%F0%9F%98%80",
                "https://your-app.com?x=1",
                "https://your-app.com/?database=1&signatures=1&metadata=2",
                "https://your-app.com/.../a..b/.well-known/x.",
                "https://your-app.com/?next=https://other.example/z",
                "https://your-app.com/!$&'()*+,;=:@-._~?/?!$'()*+,;:@",
                "https://your-app.com/" + String(repeating: "a", count: 2048 - 21),
            ]
            try await Service.run { service in
                for url in accepted {
                    let response = try await service.create(createBody(redirect: url), key: TestKeys.beta)
                    #expect(response.status == 201, "\(url.prefix(100)): \(response.text)")
                    #expect(response.json["redirect_url"]?.string == url, "\(url.prefix(100))")
                    let row = try await service.row(response.json["link_token"]?.string ?? "")
                    #expect(row[2] == url, "\(url.prefix(100)) is stored")
                }
            }
        }

        @Test func `a redirect_url that breaks a rule is refused, also where the manufacturer's policy allows any`()
            async throws
        {
            let long = String(repeating: "a", count: 64)
            let refused = [
                "", " ", "callback", "/callback", "//your-app.com/callback", "?x", "https", "https:", "https:/",
                "https:/your-app.com/", "https:your-app.com", "https://", "https:///callback", "https://?x=1",
                ":https://your-app.com/", "1com.acme:/x", " https://your-app.com/", "https://your-app.com/ ",
                // Schemes.
                "http://your-app.com/callback", "http://localhost.evil.example/", "http://127.0.0.2/",
                "http://0.0.0.0/",
                "http://[::2]/", "http://127.0.0.1.evil.example/", "javascript:alert(1)", "JavaScript:alert(1)",
                "javascript://your-app.com/%0aalert(1)", "data:text/html,x", "data:/x", "vbscript:x", "vbscript:/x",
                "file:///etc/passwd", "blob:https://your-app.com/x", "about:blank", "about:/blank",
                "ftp://your-app.com/",
                "ws://your-app.com/", "wss://your-app.com/", "mailto:a@b.example", "acme://linked", "acme:/linked",
                "com.acme.app:linked", "com.acme.app:", "com..app:/x", "com.:/x", "intent:/x", "urn:a.b:/x",
                // The authority.
                "https://user@your-app.com/", "https://user:password@your-app.com/", "https://@your-app.com/",
                "https://your-app.com@evil.example/", "https://your-app.com%40evil.example/", "com.acme.app://a@b/",
                "https://your-app.com./", "https://.your-app.com/", "https://your..app.com/", "https://-a.com/",
                "https://a-.com/", "https://a_b.com/", "https://a%2eb/", "https://\(long).com/", "https://a*b.com/",
                "https://" + Array(repeating: "abcdefgh", count: 29).joined(separator: ".") + "/",
                "https://127.1/", "https://0x7f.1/", "https://0x7f000001/", "https://2130706433/",
                "https://0177.0.0.1/",
                "https://1.2.3.4.5/", "https://256.1.1.1/", "https://1.2.3.04/", "https://a.0x/", "https://a.1/",
                "https://[::1", "https://[]/", "https://[::g]/", "https://[127.0.0.1]/", "https://[fe80::1%25eth0]/",
                "https://[::1]evil.example/", "https://::1/", "https://your-app.com:/", "https://your-app.com:0/",
                "https://your-app.com:0443/", "https://your-app.com:65536/",
                "https://your-app.com:99999999999999999999/",
                "https://your-app.com:https/", "https://your-app.com:-1/", "https://your-app.com:+1/",
                "https://your-app.com:443:443/",
                // Characters.
                "https://your-app.com/#x", "https://your-app.com/callback#", "https://your-app.com\\@evil.example/",
                "https://your-app.com/\\", "\\\\your-app.com/", "https://your-app.com/a b", "https://your-app.com/\t",
                "https://your-app.com/\r\nSet-Cookie: a=b", "https://your-app.com/\u{0}", "https://your-app.com/\u{7F}",
                "https://your-app.com/\u{85}", "https://m\u{FC}ller.example/", "https://your-app.com/\u{E9}",
                "https://\u{FF59}our-app.com/", "https://your-app.com/%", "https://your-app.com/%2",
                "https://your-app.com/%2g", "https://your-app.com/%zz", "https://your-app.com/?%",
                "https://your-app.com/<",
                "https://your-app.com/\"", "https://your-app.com/{x}", "https://your-app.com/|",
                "https://your-app.com/^",
                "https://your-app.com/`", "https://your-app.com/[x]", "https://your-app.com/?a[]=1",
                // The path and the query.
                "https://your-app.com/.", "https://your-app.com/..", "https://your-app.com/./a",
                "https://your-app.com/a/../b",
                "https://your-app.com/%2e", "https://your-app.com/%2E%2e/a", "https://your-app.com/.%2e/a",
                "https://your-app.com/a%2f..%2fb", "https://your-app.com/a%5c..%5cb", "com.acme.app:/../x",
                "https://your-app.com/?data=1", "https://your-app.com/?data", "https://your-app.com/?a=1&signature=2",
                "https://your-app.com/?d%61ta=1", "https://your-app.com/?%73ignature=x", "https://your-app.com/?&data=",
                "https://your-app.com/" + String(repeating: "a", count: 2049 - 21),
            ]
            try await Service.run { service in
                for url in refused {
                    for key in [TestKeys.beta, TestKeys.acme] {
                        service.expect(
                            try await service.create(createBody(redirect: url), key: key), 400, "invalid_redirect_url",
                            "redirect_url …", quoted(String(url.prefix(100))))
                    }
                }
                let noString =
                    [#"{"user_id":"zq7user"}"#]
                    + ["null", "1", "false", "[]", #"["https://your-app.com/callback"]"#, "{}"].map {
                        #"{"user_id":"zq7user","redirect_url":\#($0)}"#
                    }
                for body in noString {
                    service.expect(
                        try await service.create(body, key: TestKeys.beta), 400, "invalid_redirect_url",
                        "redirect_url …", body)
                }
                #expect(try await service.database.count("SELECT count(*) FROM link_sessions") == 0)
            }
        }

        @Test func `a registered redirect URL is compared by scheme, host, port and path, and the query is free`()
            async throws
        {
            let key = TestKeys.manufacturer("several")
            let nothing = TestKeys.manufacturer("nothing")
            try await Service.run(prepare: { database in
                try await database.execute(
                    """
                    INSERT INTO manufacturers (name, redirect_urls) VALUES
                        ('Several', ARRAY['https://your-app.com/callback', 'https://Other-App.com:443', 'https://port.example:8443/a',
                            'http://127.0.0.1:5000/cb', 'com.acme.app:/linked', 'https://query.example/?tenant=1', 'not a URL']),
                        ('Nothing', '{}')
                    """)
                try await database.addKey(key, manufacturer: "Several")
                try await database.addKey(nothing, manufacturer: "Nothing")
            }) { service in
                let allowed = [
                    "https://your-app.com/callback", "HTTPS://YOUR-APP.com/callback",
                    "https://your-app.com:443/callback",
                    "https://your-app.com/callback?state=1&next=%2F", "https://your-app.com/callback?",
                    "https://other-app.com", "https://other-app.com:443", "https://other-app.com?x",
                    "https://port.example:8443/a", "http://127.0.0.1/cb", "http://127.0.0.1:61234/cb",
                    "com.acme.app:/linked", "COM.Acme.App:/linked", "https://query.example/",
                    "https://query.example/?tenant=2",
                ]
                for url in allowed {
                    let response = try await service.create(createBody(redirect: url), key: key)
                    #expect(response.status == 201, "\(url): \(response.text)")
                    #expect(response.json["redirect_url"]?.string == url)
                }
                let refused = [
                    "https://your-app.com/", "https://your-app.com", "https://your-app.com/Callback",
                    "https://your-app.com/callback/", "https://your-app.com/callback/x", "https://your-app.com/callbac",
                    "https://your-app.com/c%61llback", "https://your-app.com//callback",
                    "https://your-app.com:8443/callback",
                    "https://your-app.com:80/callback", "https://sub.your-app.com/callback",
                    "https://your-app.com.evil.example/callback",
                    "https://evil.example/callback", "https://evil.example/?https://your-app.com/callback",
                    "https://other-app.com/", "https://port.example/a", "https://port.example:443/a",
                    "http://localhost:5000/cb", "http://[::1]:5000/cb", "https://127.0.0.1:5000/cb",
                    "http://127.0.0.1:5000/cb/",
                    "com.acme.app://linked", "com.acme.app:/linked/", "com.acme.apps:/linked",
                ]
                let sentence = "redirect_url is not among the manufacturer's allowed redirect URLs: …"
                for url in refused {
                    service.expect(
                        try await service.create(createBody(redirect: url), key: key), 400, "redirect_url_not_allowed",
                        sentence, url)
                }
                service.expect(
                    try await service.create(key: nothing), 400, "redirect_url_not_allowed", sentence, "an empty list")
                #expect(
                    try await service.create(createBody(redirect: "https://evil.example/"), key: TestKeys.beta).status
                        == 201)
            }
        }

        @Test func `the content type is application/json, with any parameters`() async throws {
            try await Service.run { service in
                let accepted = [
                    "application/json", "application/json; charset=utf-8", "application/json;charset=UTF-8",
                    "APPLICATION/JSON", "Application/Json ; charset=\"utf-8\"",
                ]
                for type in accepted {
                    let response = try await service.request(
                        "POST", Service.sessions, headers: [("x-api-key", TestKeys.acme), ("content-type", type)],
                        body: Array(Service.publishedRequest.utf8))
                    #expect(response.status == 201, "\(type): \(response.text)")
                }
                let refused: [[(String, String)]] = [
                    [], [("Content-Type", "")], [("Content-Type", "text/plain")], [("Content-Type", "text/json")],
                    [("Content-Type", "application/jsonp")], [("Content-Type", "application/json-patch+json")],
                    [("Content-Type", "application/problem+json")], [("Content-Type", "application")],
                    [("Content-Type", "application/x-www-form-urlencoded")], [("Content-Type", "json")],
                    [("Content-Type", "text/plain; application/json")],
                    [("Content-Type", "multipart/form-data; boundary=application/json")],
                ]
                for headers in refused {
                    service.expect(
                        try await service.request(
                            "POST", Service.sessions, headers: [("x-api-key", TestKeys.acme)] + headers,
                            body: Array(Service.publishedRequest.utf8)),
                        415, "unsupported_media_type", "\(headers)")
                }
            }
        }

        @Test func `a body may have 16 KiB and not a byte more, whichever way it is sent`() async throws {
            try await Service.run { service in
                func body(_ size: Int) -> [UInt8] {
                    Array(Service.publishedRequest.utf8)
                        + Array(repeating: UInt8(ascii: " "), count: size - Service.publishedRequest.utf8.count)
                }
                for framing in [[], [("Transfer-Encoding", "chunked")]] {
                    let whole = try await service.create(body(16_384), headers: framing)
                    #expect(whole.status == 201, "\(framing): \(whole.text)")
                    for size in [16_385, 40_000] {
                        service.expect(
                            try await service.create(body(size), headers: framing), 413, "body_too_large",
                            "\(size) bytes, \(framing)")
                    }
                }
                // Announced and never sent: the answer need not wait for it.
                let head =
                    "POST \(Service.sessions) HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nx-api-key: \(TestKeys.acme)\r\n"
                try await withThrowingTaskGroup(of: Void.self) { group in
                    // The last is more than the HTTP library can count.
                    for (length, status) in [
                        ("16385", 413), ("9223372036854775807", 413), ("99999999999999999999999", 400),
                    ] {
                        group.addTask {
                            let (answers, text, closed) = try await service.raw([
                                head + "Content-Length: \(length)\r\n\r\n{"
                            ])
                            #expect(closed, "Content-Length: \(length)")
                            #expect(answers.map(\.status) == [status], "Content-Length: \(length): \(text)")
                            for answer in answers { service.check(answer, to: "POST", Service.sessions) }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await service.database.count("SELECT count(*) FROM link_sessions") == 2)
            }
        }

        @Test func `unknown fields are ignored, and a name that occurs twice is refused`() async throws {
            try await Service.run { service in
                let start = #"{"user_id":"zq7user","redirect_url":"https://your-app.com/callback""#
                let accepted = [
                    #","link_token":"mine","manufacturer":"Beta Devices","created_at":1,"expires_at":9999999999}"#,
                    #","x":{"user_id":"zq7user other"},"y":[1,-2.5e+10,true,false,null,"\u00e9\ud83d\ude00"]}"#,
                    #","USER_ID":"zq7user other","":""}"#, " \r\n\t}\n ",
                ]
                for rest in accepted {
                    let response = try await service.create(start + rest)
                    #expect(response.status == 201, "\(rest): \(response.text)")
                    #expect(response.json["manufacturer_user_id"] == .string("zq7user"), "\(rest)")
                    #expect(response.json["manufacturer"] == .string("Acme Manufacturing"), "\(rest)")
                }
                let refused = [
                    #","user_id":"zq7user"}"#, #","user_\u0069d":"zq7user"}"#, #","x":1,"x":1}"#,
                    #","language":"nl","language":"nl"}"#,
                ]
                for rest in refused {
                    service.expect(
                        try await service.create(start + rest), 400, "invalid_json", "the body …", rest)
                }
            }
        }

        @Test func `400 concurrent creates are all answered, each with its own caller's session`() async throws {
            try await Service.run { service in
                let answers = try await withThrowingTaskGroup(of: (user: String, answer: TestResponse).self) { group in
                    for number in 0..<400 {
                        group.addTask {
                            let user = "zq7user-\(number)"
                            return (user, try await service.create(createBody(user: user)))
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(answers.filter { $0.answer.status != 201 }.map(\.answer.text) == [])
                #expect(answers.filter { $0.answer.json["manufacturer_user_id"]?.string != $0.user }.map(\.user) == [])
                let digests = answers.map { TestKeys.digest($0.answer.json["link_token"]?.string ?? "") }
                #expect(Set(digests).count == 400)
                let rows = try await service.database.rows(
                    "SELECT encode(token_hash, 'hex'), user_id FROM link_sessions")
                let stored = Dictionary(rows.map { ($0[0], $0[1]) }, uniquingKeysWith: { $1 })
                #expect(stored.count == 400)
                let misplaced = zip(digests, answers).filter { stored[$0.0] != $0.1.user }
                #expect(misplaced.map(\.1.user) == [], "a token must lead to the session of the user it was made for")
            }
        }
    }
}
