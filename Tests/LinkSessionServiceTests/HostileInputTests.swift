// What breaks parsers: each gets its 4xx in JSON, and the process lives.

import TestSupport
import Testing

extension ProgramTests {
    @Suite struct HostileInputTests {
        private static func bytes(_ text: String, _ middle: [UInt8] = [], _ end: String = "") -> [UInt8] {
            Array(text.utf8) + middle + Array(end.utf8)
        }

        private static let start = #"{"redirect_url":"https://your-app.com/callback","user_id":"zq7user"#

        private static let hostileJSON: [(what: String, body: [UInt8])] = {
            func nested(_ open: String, _ close: String, _ depth: Int) -> [UInt8] {
                bytes(
                    start + #"","x":"# + String(repeating: open, count: depth) + String(repeating: close, count: depth)
                        + "}")
            }
            func inUserID(_ middle: [UInt8]) -> [UInt8] { bytes(start, middle, #""}"#) }
            func inUserID(_ text: String) -> [UInt8] { inUserID(Array(text.utf8)) }
            func member(_ text: String) -> [UInt8] { bytes(start + #"",\#(text)}"#) }
            return [
                ("nothing", []), ("blanks", bytes(" \n")),
                ("null", bytes("null")), ("an array", bytes("[]")),
                ("an array of one", bytes("[\(Service.publishedRequest)]")),
                ("a string", bytes(quoted(Service.publishedRequest))),
                ("a number", bytes("1")),
                ("a brace", bytes("{")), ("only the start", bytes(start)),
                ("no end", bytes(start + "\"")),
                ("more behind it", bytes(Service.publishedRequest + "x")),
                ("two objects", bytes(Service.publishedRequest + Service.publishedRequest)),
                ("a comma at the end", bytes(start + "\",}")),
                ("no comma", bytes(start + #"" "x":1}"#)),
                ("no colon", member(#""x" 1"#)),
                ("no value", member(#""x":"#)),
                ("no name", member("1:1")), ("a bare name", member("x:1")),
                ("single quotes", member("'x':1")),
                ("a comment", member("/* */\"x\":1")),
                ("NaN", member(#""x":NaN"#)),
                ("Infinity", member(#""x":-Infinity"#)),
                ("01", member(#""x":01"#)), ("+1", member(#""x":+1"#)),
                ("1.", member(#""x":1."#)), (".1", member(#""x":.1"#)),
                ("1e", member(#""x":1e"#)), ("0x1", member(#""x":0x1"#)),
                ("-", member(#""x":-"#)), ("True", member(#""x":True"#)),
                ("nul", member(#""x":nul"#)),
                ("[1,]", member(#""x":[1,]"#)),
                ("[1", member(#""x":[1"#)),
                ("a form", bytes("user_id=zq7user&language=nl")),
                ("XML", bytes("<?xml version=\"1.0\"?><a/>")),
                ("8,000 arrays", nested("[", "]", 8000)),
                ("2,000 objects", nested(#"{"a":"#, "}", 2000)),
                ("16,000 open brackets", bytes(String(repeating: "[", count: 16_000))),
                (
                    "arrays that never end", bytes(start + #"","x":"# + String(repeating: "[", count: 16_000))
                ),
                ("objects that never end", bytes(String(repeating: #"{"a":"#, count: 2_500))),
                // UTF-8.
                ("a byte order mark", [0xEF, 0xBB, 0xBF] + bytes(Service.publishedRequest)),
                ("0xFF", inUserID([0xFF])),
                ("a lone continuation", inUserID([0x80])),
                ("an overlong NUL", inUserID([0xC0, 0x80])),
                ("an overlong slash", inUserID([0xE0, 0x80, 0xAF])),
                ("a surrogate in UTF-8", inUserID([0xED, 0xA0, 0x80])),
                ("a cut sequence", inUserID([0xE2, 0x82])),
                ("beyond Unicode", inUserID([0xF4, 0x90, 0x80, 0x80])),
                ("Latin-1", inUserID([0xE9])),
                ("0xFF in a name", bytes(start + "\",\"", [0xFF], "\":1}")),
                ("0xFF in an unknown field", bytes(start + "\",\"x\":\"", [0xFF], "\"}")),
                (
                    "UTF-16", Service.publishedRequest.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
                ),
                // Strings.
                ("a bare NUL", inUserID([0])),
                ("a bare line break", inUserID("\n")),
                ("an unknown escape", inUserID(#"\x41"#)),
                ("a short escape", inUserID(#"\u12"#)),
                ("a signed escape", inUserID(#"\u+123"#)),
                ("an escape at the end", bytes(start + #"\"#)),
                ("a lone high surrogate", inUserID(#"\ud800"#)),
                ("a lone low surrogate", inUserID(#"\udc00"#)),
                ("two high surrogates", inUserID(#"\ud800\ud800"#)),
                ("a high surrogate before a letter", inUserID(#"\ud800\u0041"#)),
                ("surrogates in the wrong order", inUserID(#"\udc00\ud800"#)),
                ("a lone surrogate in a name", member(#""\ud800":1"#)),
            ]
        }()

        @Test func `hostile JSON is refused with a sentence, and the process lives`() async throws {
            try await Service.run { service in
                for (what, body) in Self.hostileJSON {
                    service.expect(try await service.create(body), 400, "invalid_json", "the body …", what)
                }
                for escape in [#"\u0000"#, #"\n"#, #"\u007f"#] {
                    let response = try await service.create(Self.start + escape + #""}"#)
                    service.expect(response, 400, "invalid_user_id", "user_id …", escape)
                }
                #expect(try await service.database.count("SELECT count(*) FROM link_sessions") == 0)
                // What only looks hostile.
                for rest in [
                    #"","x":1e999999999,"y":-0.0e-0,"z":123456789012345678901234567890}"#,
                    #"","x":\#(String(repeating: "[", count: 30))\#(String(repeating: "]", count: 30))}"#,
                    #"\ud83d\ude00\u00e9\/\"\\","\u0000":"\u0000"}"#, #"","__proto__":{"a":1},"":null}"#,
                ] {
                    let response = try await service.create(Self.start + rest)
                    #expect(response.status == 201, "\(rest): \(response.text)")
                }
            }
        }

        @Test func `a body of 2 MB is refused at its start, and no memory is spent on it`() async throws {
            try await Service.run { service in
                #expect(try await service.create().status == 201)
                let before = service.process.residentMemory
                let large = Array(repeating: UInt8(ascii: "["), count: 2_000_000)
                let head =
                    "POST \(Service.sessions) HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nx-api-key: \(TestKeys.acme)\r\n"
                for _ in 0..<5 {
                    for framing in [
                        "Content-Length: 2000000\r\n\r\n", "Content-Length: 18446744073709551615\r\n\r\n",
                        "Transfer-Encoding: chunked\r\n\r\n1e8480\r\n",
                    ] {
                        let (answers, text, closed) = try await service.raw([Array((head + framing).utf8), large])
                        #expect(closed, "\(framing)")
                        let answer = try #require(answers.first, "\(framing): \(text.prefix(300))")
                        service.check(answer, to: "POST", Service.sessions)
                        service.expect(answer, 413, "body_too_large", framing)
                    }
                }
                let grown = service.process.residentMemory - before
                #expect(grown < 8 * 1024 * 1024, "grown by \(grown) bytes")
                #expect(try await service.create().status == 201)
            }
        }

        @Test func `what is no HTTP gets a 400 in JSON and the end of its connection`() async throws {
            let head =
                "POST \(Service.sessions) HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nx-api-key: \(TestKeys.acme)\r\n"
            let malformed: [(what: String, bytes: [UInt8])] =
                [
                    ("a word", "HELLO\r\n\r\n"), ("HTTP/0.9", "GET /health/live\r\n\r\n"),
                    ("HTTP/9.9", "GET /health/live HTTP/9.9\r\nHost: a\r\n\r\n"),
                    ("HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
                    ("an unknown method", "FETCH /health/live HTTP/1.1\r\nHost: a\r\n\r\n"),
                    ("a small letter", "get /health/live HTTP/1.1\r\nHost: a\r\n\r\n"),
                    ("a header without colon", "GET / HTTP/1.1\r\nHost: a\r\nfoo\r\n\r\n"),
                    ("a blank before the colon", "GET / HTTP/1.1\r\nHost: a\r\nfoo : bar\r\n\r\n"),
                    ("a header without name", "GET / HTTP/1.1\r\n: a\r\n\r\n"),
                    ("a folded header", "GET / HTTP/1.1\r\nHost: a\r\nfoo: a\r\n b\r\n\r\n"),
                    ("a NUL in a header", "GET / HTTP/1.1\r\nHost: a\r\nfoo: a\0b\r\n\r\n"),
                    ("a blank in the path", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
                    ("no host", "GET /health/live HTTP/1.1\r\n\r\n"),
                    ("an empty host", "GET /health/live HTTP/1.1\r\nHost:\r\n\r\n"),
                    ("two hosts", "GET /health/live HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
                    ("a list of hosts", "GET /health/live HTTP/1.1\r\nHost: a, b\r\n\r\n"),
                    ("a host and a comma", "GET /health/live HTTP/1.1\r\nHost: a,\r\n\r\n"),
                    ("two lengths", head + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
                    (
                        "a length and chunks",
                        head
                            + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health/live HTTP/1.1\r\nHost: a\r\n\r\n"
                    ),
                    ("chunks and a length", head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
                    ("a negative length", head + "Content-Length: -1\r\n\r\n"),
                    ("a length of letters", head + "Content-Length: ten\r\n\r\n"),
                    ("two numbers", head + "Content-Length: 2, 2\r\n\r\n{}"),
                    ("a signed length", head + "Content-Length: +2\r\n\r\n{}"),
                    ("a chunk of no size", head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n"),
                    ("a huge chunk", head + "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n"),
                    ("another coding", head + "Transfer-Encoding: identity\r\n\r\n"),
                    (
                        "an unknown coding before the chunks",
                        head + "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
                    ), ("an empty coding", head + "Transfer-Encoding:\r\n\r\n0\r\n\r\n"),
                    ("a host with a user", "GET /health/live HTTP/1.1\r\nHost: u@a\r\n\r\n"),
                    ("a host with a blank", "GET /health/live HTTP/1.1\r\nHost: a b\r\n\r\n"),
                    ("bare line feeds", "GET /health/live HTTP/1.1\nHost: a\n\n"),
                    (
                        "a bare line feed after a chunk's size",
                        head + "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n"
                    ),
                    (
                        "a length among the trailers",
                        head + "Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n"
                    ),
                    ("a blank before a length's colon", head + "Content-Length : 2\r\n\r\n{}"),
                    ("the same length twice", head + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}"),
                    ("chunked twice removed", head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
                ].map { ($0.0, Array($0.1.utf8)) } + [
                    ("TLS", [0x16, 3, 1, 0, 0xF8, 1, 0, 0, 0xF4, 3, 3]), ("bytes", (0...255).map { UInt8($0) }),
                    (
                        "a path that is not ASCII",
                        Array("GET /".utf8) + [0xFF, 0xFE] + Array(" HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
                    ),
                ]
            try await Service.run { service in
                for (what, bytes) in malformed {
                    let (answers, text, closed) = try await service.raw([bytes])
                    #expect(closed, "\(what)")
                    #expect(answers.count == 1, "\(what): \(text)")
                    guard let answer = answers.first else { continue }
                    service.check(answer, to: "GET", "/")
                    service.expect(answer, 400, "bad_request", what)
                    #expect(answer.header("Connection") == "close", "\(what)")
                    #expect(answer.header("Cache-Control") == "no-store", "\(what)")
                }
                #expect(try await service.create().status == 201)
            }
        }

        @Test func `what comes before broken HTTP on a connection is still answered first`() async throws {
            try await Service.run { service in
                let body = Service.publishedRequest
                let create =
                    "POST \(Service.sessions) HTTP/1.1\r\nHost: a\r\nx-api-key: \(TestKeys.acme)\r\n"
                    + "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                let (answers, text, closed) = try await service.raw([create + "BROKEN\r\n\r\n"])
                #expect(
                    answers.map(\.status) == [201, 400], "the client takes the first answer for its create: \(text)")
                #expect(closed)
            }
        }

        @Test func `headers that are too large get a 431 in JSON`() async throws {
            let start = "GET /health/live HTTP/1.1\r\nHost: a\r\n"
            try await Service.run { service in
                for (what, request) in [
                    ("one of 20 KiB", start + "foo: \(String(repeating: "a", count: 20_480))\r\n\r\n"),
                    ("a name of 20 KiB", start + "\(String(repeating: "a", count: 20_480)): a\r\n\r\n"),
                    (
                        "40 KiB in five",
                        start + (0..<5).map { "foo\($0): \(String(repeating: "a", count: 8192))\r\n" }.joined() + "\r\n"
                    ),
                    ("a thousand", start + (0..<1000).map { "foo\($0): a\r\n" }.joined() + "\r\n"),
                    ("a path of 50 KiB", "GET /\(String(repeating: "a", count: 51_200)) HTTP/1.1\r\nHost: a\r\n\r\n"),
                ] {
                    let (answers, text, closed) = try await service.raw([request])
                    let answer = try #require(answers.first, "\(what): \(text.prefix(300))")
                    service.check(answer, to: "GET", "/health/live")
                    service.expect(answer, 431, "headers_too_large", what)
                    #expect(closed, "\(what)")
                }
                // Large, but not too large.
                let response = try await service.request(
                    "GET", "/health/live", headers: (0..<3).map { ("foo\($0)", String(repeating: "a", count: 8192)) })
                #expect(response.status == 200)
            }
        }

        @Test func `a connection that ends in the middle of a request harms nobody`() async throws {
            try await Service.run { service in
                let head =
                    "POST \(Service.sessions) HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nx-api-key: \(TestKeys.acme)\r\n"
                for part in [
                    "", "PO", head, head + "Content-Length: 100\r\n\r\n{\"user_id\"",
                    head + "Transfer-Encoding: chunked\r\n\r\n5\r\n{",
                ] {
                    for _ in 0..<5 { _ = try await service.raw([part], within: .milliseconds(20)) }
                }
                #expect(try await service.create().status == 201)
                #expect(try await service.database.count("SELECT count(*) FROM link_sessions") == 1)
            }
        }
    }
}
