// GET /openapi.json is the document, and the document is true. Every answer to the other tests is checked against it.

import Foundation
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct OpenAPITests {
        private let document = OpenAPIDocument.shared

        @Test func `the document is served as it lies in the sources`() async throws {
            try await Service.run { service in
                let response = try await service.get("/openapi.json")
                #expect(response.status == 200)
                #expect(response.body == Array(try Data(contentsOf: OpenAPIDocument.file)))
                #expect(response.json["openapi"]?.string?.hasPrefix("3.1.") == true)
            }
        }

        @Test func `the document has every endpoint, and every endpoint that it has is there`() async throws {
            let operations = document.paths.flatMap { path, item in
                (item.members ?? [:]).keys.map { "\($0.uppercased()) \(path)" }
            }
            #expect(
                operations.sorted()
                    == [
                        "GET /.well-known/jwks.json", "GET /health/live", "GET /health/ready", "GET /openapi.json",
                        "GET /v2/authenticator/link-sessions/{link_token}",
                        "GET /v2/manufacturer/events", "GET /v2/manufacturer/link-sessions/{link_token}/events",
                        "GET /v2/manufacturer/link-sessions", "GET /v2/manufacturer/link-sessions/{link_token}",
                        "POST /v2/authenticator/link-sessions/{link_token}/complete",
                        "POST /v2/manufacturer/link-sessions",
                        "POST /v2/manufacturer/link-sessions/{link_token}/confirm",
                        "POST /v2/manufacturer/link-sessions/{link_token}/expire", "GET /v2/manufacturer/suppliers",
                    ].sorted())
            try await Service.run { service in
                for operation in operations {
                    let words = operation.split(separator: " ").map(String.init)
                    let response = try await service.request(words[0], words[1].replacing("{link_token}", with: "x"))
                    #expect(response.status == (words[1].hasPrefix("/v2") ? 401 : 200), "\(operation)")
                }
            }
        }

        /// Answers of all kinds at one go; the others are checked where they are provoked.
        @Test func `each status of each endpoint is as the document says`() async throws {
            try await Service.run { service in
                let (open, completed, expired) = (
                    try await service.createdToken(), try await service.createdToken(),
                    try await service.createdToken(key: TestKeys.beta)
                )
                let unknown = unknownToken
                #expect(try await service.find(open).status == 200)
                #expect(try await service.find(unknown).status == 404)
                #expect(try await service.view(open).status == 200)
                #expect(try await service.view(unknown).status == 404)
                #expect(try await service.complete(completed).status == 200)
                #expect(try await service.complete(unknown).status == 404)
                #expect(try await service.expire(completed).status == 409)
                #expect(try await service.expire(expired, key: TestKeys.beta).status == 200)
                #expect(try await service.expire(unknown).status == 404)
                #expect(try await service.complete(expired).status == 410)
                #expect(try await service.create("[]").status == 400)
                #expect(try await service.create(String(repeating: " ", count: 20_000)).status == 413)
                #expect(
                    try await service.request("POST", Service.sessions, headers: [("x-api-key", TestKeys.acme)]).status
                        == 415)
            }
        }

        @Test func `the document's examples keep to its schemas`() throws {
            func walk(_ value: JSONValue, _ place: String) -> Int {
                var count = 0
                let members = value.members ?? [:]
                if let schema = members["schema"] {
                    let named = (members["examples"]?.members ?? [:]).filter {
                        $0.key != "published" || !place.contains("201")
                    }
                    let examples = named.compactMap { $0.value["value"] } + [members["example"]].compactMap { $0 }
                    for example in examples {
                        count += 1
                        for problem in document.problems(of: example, schema, place) { Issue.record("\(problem)") }
                    }
                }
                for (name, member) in members { count += walk(member, "\(place).\(name)") }
                for element in value.elements ?? [] { count += walk(element, place) }
                return count
            }
            #expect(walk(document.root, "document") > 20)
        }

        @Test func `codes and their statuses are the same in the document's list, its tables and docs`() throws {
            let codes =
                document.root["components"]?["schemas"]?["Error"]?["properties"]?["code"]?["enum"]?.elements ?? []
            #expect(Set(codes.compactMap(\.string)) == Set(document.statusOfCode.keys))
            #expect(codes.count == document.statusOfCode.count)
            let page = try String(
                contentsOf: TestEnvironment.projectDirectory.appending(path: "docs/errors.md"), encoding: .utf8)
            let rows = OpenAPIDocument.tableRows(page.replacing(/<a id="[a-z_]+"><\/a>/, with: "")).filter {
                $0.count == 4 && document.statusOfCode[$0[0]] != nil
            }
            #expect(
                Dictionary(rows.map { ($0[0], Int($0[1])) }, uniquingKeysWith: { $1 })
                    == document.statusOfCode.mapValues { $0 })
            // `docs_url` leads to the row of its code.
            for code in document.statusOfCode.keys { #expect(page.contains(#"| <a id="\#(code)"></a>"#), "\(code)") }
            for general in document.general {
                let words = general.split(separator: " ").map(String.init)
                #expect(document.statusOfCode[words[1]] == Int(words[0]), "\(general)")
            }
        }

        @Test func `the checker of these tests finds what is wrong`() throws {
            func answer(_ status: Int, _ body: String, _ headers: [(String, String)] = []) -> TestResponse {
                TestResponse(
                    status: status,
                    headers: ([("Content-Type", "application/json"), ("X-Request-Id", "a")] + headers).map {
                        (name: $0, value: $1)
                    },
                    body: Array(body.utf8))
            }
            let session = #"""
                {"link_url":"https://a/ui?token=x&language=nl","link_token":"x","language":"nl","redirect_url":"https://a/",
                "manufacturer":"A","manufacturer_user_id":"1","created_at":1,"expires_at":2,"completed_at":null}
                """#
            let path = "/v2/manufacturer/link-sessions"
            let headers = [("Cache-Control", "no-store"), ("Link-Session-Id", unknownID)]
            #expect(document.problems(of: answer(201, session, headers), to: "POST", path) == [])
            let error =
                #"{"error":"e","code":"unauthorized","request_id":"a","docs_url":"https://docs.nox.energy/errors#unauthorized"}"#
            #expect(document.problems(of: answer(401, error), to: "POST", path) == [])
            for (what, response) in [
                ("a missing header", answer(201, session)),
                ("a session without its id", answer(201, session, [("Cache-Control", "no-store")])),
                (
                    "an id of another form",
                    answer(201, session, [("Cache-Control", "no-store"), ("Link-Session-Id", "1")])
                ),
                ("no token", answer(201, session.replacing(#""link_token":"x","#, with: ""), headers)),
                ("another status", answer(202, session, headers)),
                ("a missing field", answer(201, session.replacing(#""created_at":1,"#, with: ""), headers)),
                ("a further field", answer(201, session.replacing("{", with: #"{"status":"open","#), headers)),
                (
                    "another type",
                    answer(201, session.replacing(#""created_at":1"#, with: #""created_at":"1""#), headers)
                ),
                (
                    "null where none may be",
                    answer(201, session.replacing(#""expires_at":2"#, with: #""expires_at":null"#), headers)
                ),
                ("a value outside the list", answer(201, session.replacing(#""nl","#, with: #""de","#), headers)),
                ("no JSON", answer(201, "session", headers)), ("a code of another status", answer(400, error)),
                ("an undocumented code", answer(401, error.replacing("unauthorized", with: "forbidden"))),
                ("a further field in an error", answer(401, error.replacing("{", with: #"{"cause":"x","#))),
                ("a request id of another form", answer(401, error.replacing(#""a""#, with: #""a b""#))),
            ] {
                #expect(document.problems(of: response, to: "POST", path) != [], "\(what)")
            }
            #expect(document.problems(of: answer(409, error), to: "GET", "\(path)/x") != [])
            #expect(document.problems(of: answer(200, #"{"status":"unavailable"}"#), to: "GET", "/health/ready") != [])
        }
    }
}
