// What a create may say and need not: suppliers and metadata.

import Foundation
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct CreateOptionsTests {
        private static let metadata = #"{"order":"A-1042","Ünïcode":"<b>\u0022","empty":""}"#

        private func body(_ options: String, user: String = "zq7user") -> String {
            #"{"user_id":"\#(user)","redirect_url":"https://your-app.com/callback",\#(options)}"#
        }

        /// With green-grid, blue-power and gone-grid, which is disabled; only the secret of no-secret is not configured.
        private func run(_ body: (Service) async throws -> Void) async throws {
            try await Service.run(
                environment: ["SUPPLIER_MOCK_SECRET": Service.supplierSecret],
                prepare: { database in
                    for slug in ["green-grid", "blue-power", "gone-grid", "no-secret"] {
                        try await database.addSupplier(slug, name: slug, issuer: "https://login.\(slug).example")
                    }
                    try await database.execute(
                        """
                        UPDATE suppliers SET enabled = false WHERE slug = 'gone-grid';
                        UPDATE suppliers SET client_secret_name = 'SUPPLIER_OTHER' WHERE slug = 'no-secret'
                        """)
                }, body)
        }

        @Test func `what was sent is in every answer, and what was not is in none`() async throws {
            try await run { service in
                let all =
                    #""supplier":"blue-power","suppliers":["green-grid","blue-power","green-grid"],"#
                    + #""metadata":\#(Self.metadata)"#
                let created = try await service.create(body(all))
                #expect(created.status == 201, "\(created.text)")
                let token = try #require(created.json["link_token"]?.string)
                let id = created.header("Link-Session-Id") ?? ""
                func expectAll(_ session: [String: JSONValue]?, _ what: String) {
                    #expect(session?["supplier"] == .string("blue-power"), "\(what)")
                    #expect(session?["suppliers"] == .array([.string("green-grid"), .string("blue-power")]), "\(what)")
                    #expect(
                        session?["metadata"]
                            == .object(["order": .string("A-1042"), "Ünïcode": .string("<b>\""), "empty": .string("")]),
                        "\(what)")
                }
                expectAll(created.json, "created")
                expectAll(try await service.find(token).json, "found by its token")
                expectAll(try await service.find(id).json, "found by its id")
                let list = try await service.get(Service.sessions, key: TestKeys.acme)
                expectAll(list.json["data"]?.elements?.first?.members, "listed")
                // For the page and whoever draws another one: what can be chosen, and never the metadata.
                let view = try await service.view(token)
                #expect(view.json["supplier"] == .string("blue-power"))
                #expect(view.json["suppliers"] == .array([.string("green-grid"), .string("blue-power")]))
                #expect(!view.text.contains("A-1042") && view.json["metadata"] == nil)
                let page = try await TestBrowser(service).get("/ui?token=\(token)")
                #expect(page.name == "link" && !page.response.text.contains("A-1042"))
                expectAll(try await service.expire(token).json, "expired")

                for (options, names) in [
                    (#""supplier":"green-grid""#, ["supplier"]), (#""suppliers":["green-grid"]"#, ["suppliers"]),
                    (#""metadata":{}"#, ["metadata"]), (#""extra":1"#, []),
                ] {
                    let response = try await service.create(body(options))
                    let found = try await service.find(try #require(response.json["link_token"]?.string))
                    let few = Set(["supplier", "suppliers", "metadata"])
                    #expect(few.intersection(response.json.keys) == Set(names), "\(options)")
                    #expect(few.intersection(found.json.keys) == Set(names), "\(options)")
                }
                #expect(!service.process.log.contains("A-1042"))
            }
        }

        @Test func `what breaks a rule is a 400 that names the field and which slug`() async throws {
            try await run { service in
                let many = (0..<21).map { #""n\#($0)":"v""# }.joined(separator: ",")
                for (options, code, sentence) in [
                    (#""supplier":null"#, "invalid_supplier", "supplier must be…"),
                    (#""supplier":7"#, "invalid_supplier", "supplier must be…"),
                    (#""supplier":"Green Grid""#, "invalid_supplier", "supplier must be…"),
                    (#""supplier":"no-grid""#, "invalid_supplier", "supplier must name…"),
                    (#""supplier":"gone-grid""#, "invalid_supplier", "supplier must name…"),
                    (#""supplier":"no-secret""#, "invalid_supplier", "supplier must name…"),
                    (
                        #""supplier":"green-grid","suppliers":["blue-power"]"#, "invalid_supplier",
                        "supplier must be one of suppliers: green-grid is not"
                    ),
                    (#""suppliers":null"#, "invalid_suppliers", "suppliers must be…"),
                    (#""suppliers":"green-grid""#, "invalid_suppliers", "suppliers must be…"),
                    (#""suppliers":[]"#, "invalid_suppliers", "suppliers must be…"),
                    (#""suppliers":["green-grid",null]"#, "invalid_suppliers", "suppliers must be…"),
                    (
                        #""suppliers":["green-grid","Green Grid"]"#, "invalid_suppliers",
                        "suppliers must be slugs: number 2 is none"
                    ),
                    (
                        #""suppliers":["green-grid","gone-grid"]"#, "invalid_suppliers",
                        "suppliers must name suppliers of GET /v2/manufacturer/suppliers: gone-grid is none"
                    ),
                    (
                        "\"suppliers\":[\(Array(repeating: #""green-grid""#, count: 51).joined(separator: ","))]",
                        "invalid_suppliers", "suppliers must be…"
                    ),
                    (#""metadata":null"#, "invalid_metadata", "metadata must be…"),
                    (#""metadata":[]"#, "invalid_metadata", "metadata must be…"),
                    (#""metadata":{"a":1}"#, "invalid_metadata", "metadata must be…"),
                    (#""metadata":{"a":{"b":"c"}}"#, "invalid_metadata", "metadata must be…"),
                    (#""metadata":{"a":"1","\u0061":"2"}"#, "invalid_metadata", "metadata has a name…"),
                    (#""metadata":{"a":"\u0000"}"#, "invalid_metadata", "metadata must not…"),
                    ("\"metadata\":{\(many)}", "invalid_metadata", "metadata must have at most…"),
                    (
                        #""metadata":{"a":"\#(String(repeating: "x", count: 501))"}"#, "invalid_metadata",
                        "metadata must have values…"
                    ),
                ] {
                    service.expect(try await service.create(body(options)), 400, code, sentence, options)
                }
                #expect(try await service.database.count("SELECT count(*) FROM link_sessions") == 0)
            }
        }

        @Test func `the same Idempotency-Key with other options is a 422`() async throws {
            try await run { service in
                let first = try await service.create(
                    body(#""supplier":"green-grid","metadata":{"a":"1","b":"2"}"#), under: "k")
                #expect(first.status == 201)
                let again = try await service.create(
                    body(#""metadata":{"b":"2","a":"1"},"supplier":"green-grid""#), under: "k")
                #expect(again.text == first.text)
                for options in [
                    #""supplier":"blue-power","metadata":{"a":"1","b":"2"}"#, #""supplier":"green-grid""#, #""x":1"#,
                    #""supplier":"green-grid","metadata":{"a":"1","b":"3"}"#,
                    #""supplier":"green-grid","suppliers":["green-grid"],"metadata":{"a":"1","b":"2"}"#,
                ] {
                    service.expect(
                        try await service.create(body(options), under: "k"), 422, "idempotency_key_reused", options)
                }
                let token = try #require(first.json["link_token"]?.string)
                #expect(try await service.find(token).json["metadata"]?["b"] == .string("2"))
            }
        }

        @Test func `nobody signs in at a supplier that the session does not offer`() async throws {
            try await run { service in
                let response = try await service.create(
                    body(#""suppliers":["sandbox","green-grid"],"supplier":"sandbox""#))
                let token = try #require(response.json["link_token"]?.string)
                let page = try await TestBrowser(service).get("/ui?token=\(token)")
                let text = page.response.text
                #expect(text.contains("green-grid") && text.contains("sandbox") && !text.contains("blue-power"))
                #expect(
                    (text.range(of: "Sandbox Energy")?.lowerBound ?? text.endIndex)
                        < (text.range(of: "green-grid")?.lowerBound ?? text.startIndex), "it begins with the named one")
                let refused = try await TestBrowser(service).start(token, at: "blue-power")
                #expect((refused.status, refused.name) == (409, "link"))
                #expect(try await service.events(token) == ["sign_in_refused supplier_not_offered"])
                service.expect(
                    try await service.complete(token, supplier: "blue-power", as: "s-1"), 400, "invalid_supplier",
                    "supplier must be one of those that the link session offers…", "completed elsewhere")
                #expect(try await service.status(token) == "open")
                #expect(try await TestBrowser(service).start(token, at: "sandbox").name == "continue")
                #expect(try await service.complete(token, supplier: "green-grid", as: "s-1").status == 200)
            }
        }

        @Test func `a manufacturer lists the suppliers that its users can choose`() async throws {
            try await run { service in
                let list = try await service.get("/v2/manufacturer/suppliers", key: TestKeys.beta)
                #expect(list.status == 200)
                let slugs = (list.json["data"]?.elements ?? []).map { $0["slug"]?.string ?? "" }
                #expect(slugs == ["blue-power", "green-grid", "sandbox"])
                #expect(list.json["data"]?.elements?.allSatisfy { $0["available"] == .bool(true) } == true)
                service.expect(try await service.get("/v2/manufacturer/suppliers"), 401, "unauthorized", "no key")
                service.expect(
                    try await service.get("/v2/manufacturer/suppliers", key: TestKeys.authenticator), 401,
                    "unauthorized", "the Authenticator's key")
            }
        }
    }
}
