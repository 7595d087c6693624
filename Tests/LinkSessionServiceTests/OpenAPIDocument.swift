// A checker of answers against Sources/HTTPFront/openapi.json: as much of OpenAPI 3.1 as the document uses.

import Foundation
import TestSupport

struct OpenAPIDocument: Sendable {
    static let file = TestEnvironment.projectDirectory.appending(path: "Sources/HTTPFront/openapi.json")
    static let shared = OpenAPIDocument()

    let root: JSONValue
    /// Status and code of the answers that any request can meet, from the document's own table.
    let general: Set<String>
    /// Status of each code, from the table at the schema `Error`.
    let statusOfCode: [String: Int]

    init() {
        root = try! JSONDecoder().decode(JSONValue.self, from: Data(contentsOf: Self.file))
        general = Set(
            Self.tableRows(root["info"]?["description"]?.string ?? "").compactMap { row in
                row.count > 1 && Int(row[0]) != nil ? "\(row[0]) \(row[1])" : nil
            })
        let codes = root["components"]?["schemas"]?["Error"]?["properties"]?["code"]
        statusOfCode = Dictionary(
            Self.tableRows(codes?["description"]?.string ?? "").compactMap { row in
                row.count > 1 ? Int(row[1]).map { (row[0], $0) } : nil
            }, uniquingKeysWith: { $1 })
    }

    /// The cells of a Markdown table, without backquotes.
    static func tableRows(_ text: String) -> [[String]] {
        text.split(separator: "\n").filter { $0.hasPrefix("|") }.map { line in
            line.split(separator: "|").map {
                $0.trimmingCharacters(in: .whitespaces).replacing("`", with: "")
            }
        }
    }

    var paths: [String: JSONValue] { root["paths"]?.members ?? [:] }

    /// An endpoint that the document has.
    struct Endpoint {
        let method: String
        /// With a token where the template has a name in braces.
        let path: String
        let needsKey: Bool

        var isManufacturers: Bool { path.hasPrefix("/v2/manufacturer/") }
    }

    func endpoints(token: String) -> [Endpoint] {
        paths.flatMap { path, item in
            (item.members ?? [:]).map { method, operation in
                Endpoint(
                    method: method.uppercased(), path: path.replacing("{link_token}", with: token),
                    needsKey: (operation["security"] ?? root["security"])?.elements?.isEmpty == false)
            }
        }.sorted { ($0.path, $0.method) < ($1.path, $1.method) }
    }

    /// The operation that a request means; `HEAD` is answered as `GET`.
    func operation(_ method: String, _ path: String) -> JSONValue? {
        let segments = path.prefix { $0 != "?" }.split(separator: "/", omittingEmptySubsequences: false)
        let template = paths.first { template, _ in
            let wanted = template.split(separator: "/", omittingEmptySubsequences: false)
            return wanted.count == segments.count
                && zip(wanted, segments).allSatisfy { $0 == $1 || $0.hasPrefix("{") && !$1.isEmpty }
        }
        return template?.value[method == "HEAD" ? "get" : method.lowercased()]
    }

    /// What of an answer is not as the document says.
    func problems(of response: TestResponse, to method: String, _ path: String) -> [String] {
        var problems: [String] = []
        let code = response.json["code"]?.string
        if let code, statusOfCode[code] != response.status {
            problems.append("the code \(code) is not documented for the status \(response.status)")
        }
        let documented = operation(method, path)?["responses"]?["\(response.status)"].map(resolve)
        let isGeneral =
            code.map { general.contains("\(response.status) \($0)") }
            ?? (method == "HEAD" && general.contains { $0.hasPrefix("\(response.status) ") })
        guard documented != nil || isGeneral else {
            return problems + ["the status \(response.status) is not documented"]
        }
        let headers =
            documented?["headers"]?.members ?? [
                "X-Request-Id": .object(["$ref": .string("#/components/headers/RequestId")])
            ]
        for (name, header) in headers {
            guard let value = response.header(name) else {
                if resolve(header)["required"] != .bool(false) { problems.append("the header \(name) is missing") }
                continue
            }
            let schema = resolve(header)["schema"] ?? .null
            let isNumber = resolve(schema)["type"] == .string("integer")
            problems += self.problems(
                of: isNumber ? Int(value).map { .number($0) } ?? .null : .string(value), schema, name)
        }
        guard method != "HEAD" else {
            return problems + (response.body.isEmpty ? [] : ["an answer to HEAD has a body"])
        }
        guard response.header("Content-Type") == "application/json" else {
            return problems + ["the content type is \(response.header("Content-Type") ?? "missing")"]
        }
        guard let body = try? JSONDecoder().decode(JSONValue.self, from: Data(response.body)) else {
            return problems + ["the body is no JSON"]
        }
        let schema =
            isGeneral && (documented == nil || code != nil)
            ? JSONValue.object(["$ref": .string("#/components/schemas/Error")])
            : documented?["content"]?["application/json"]?["schema"] ?? .null
        return problems + self.problems(of: body, schema, "body")
    }

    /// What of a webhook's request is not as the document says.
    func problems(of delivery: WebhookReceiver.Delivery) -> [String] {
        let request = root["webhooks"]?["linkSessionEvent"]?["post"] ?? .null
        let headers: [String: JSONValue] = [
            "webhook-id": .string(delivery.id),
            "webhook-timestamp": Int(delivery.timestamp).map { .number($0) } ?? .null,
            "webhook-signature": .string(delivery.signature),
        ]
        let parameters = request["parameters"]?.elements ?? []
        guard Set(parameters.map { $0["name"]?.string }) == Set(headers.keys.map { $0 }) else {
            return ["the document has other headers"]
        }
        let schema = request["requestBody"]?["content"]?["application/json"]?["schema"] ?? .null
        return parameters.flatMap { parameter in
            let name = parameter["name"]?.string ?? ""
            return problems(of: headers[name] ?? .null, parameter["schema"] ?? .null, name)
        } + problems(of: delivery.event ?? .null, schema, "event")
    }

    func resolve(_ value: JSONValue) -> JSONValue {
        guard let reference = value["$ref"]?.string else { return value }
        return resolve(target(of: reference))
    }

    private func target(of reference: String) -> JSONValue {
        reference.split(separator: "/").dropFirst().reduce(root) { $0[String($1)] ?? .null }
    }

    /// What of a value breaks its schema (JSON Schema 2020-12).
    func problems(of value: JSONValue, _ schema: JSONValue, _ place: String) -> [String] {
        var evaluated: Set<String> = []
        return problems(of: value, schema, place, &evaluated)
    }

    private func problems(
        of value: JSONValue, _ schema: JSONValue, _ place: String, _ evaluated: inout Set<String>
    ) -> [String] {
        guard case .object(let keywords) = schema else { return ["\(place): no schema"] }
        var problems: [String] = []
        let members = value.members ?? [:]
        let properties = keywords["properties"]?.members ?? [:]
        for (name, property) in properties {
            guard let member = members[name] else { continue }
            evaluated.insert(name)
            problems += self.problems(of: member, property, "\(place).\(name)")
        }
        if let reference = keywords["$ref"]?.string {
            problems += self.problems(of: value, target(of: reference), place, &evaluated)
        }
        for part in keywords["allOf"]?.elements ?? [] {
            problems += self.problems(of: value, part, place, &evaluated)
        }
        for (keyword, expected) in keywords {
            switch keyword {
            case "$ref", "allOf", "properties", "description", "examples", "default", "format": break
            case "type":
                let types = expected.elements ?? [expected]
                if !types.contains(.string(value.typeName)) { problems.append("\(place) is of type \(value.typeName)") }
            case "const":
                if value != expected { problems.append("\(place) is not the constant") }
            case "enum":
                if !(expected.elements ?? []).contains(value) {
                    problems.append("\(place) is none of the listed values")
                }
            case "required":
                for name in (expected.elements ?? []).compactMap(\.string) where members[name] == nil {
                    problems.append("\(place) lacks \(name)")
                }
            case "additionalProperties" where expected == .bool(false):
                for name in members.keys where properties[name] == nil {
                    problems.append("\(place) must not have \(name)")
                }
            case "unevaluatedProperties" where expected == .bool(false):
                for name in members.keys where !evaluated.contains(name) {
                    problems.append("\(place) must not have \(name)")
                }
            case "minLength", "maxLength", "pattern":
                guard let text = value.string else { break }
                let count = text.unicodeScalars.count
                if keyword == "minLength", count < expected.number ?? .max { problems.append("\(place) is too short") }
                if keyword == "maxLength", count > expected.number ?? 0 { problems.append("\(place) is too long") }
                if keyword == "pattern", let pattern = expected.string,
                    text.range(of: pattern, options: .regularExpression) == nil
                {
                    problems.append("\(place) does not match \(pattern)")
                }
            case "items":
                for (index, element) in (value.elements ?? []).enumerated() {
                    problems += self.problems(of: element, expected, "\(place)[\(index)]")
                }
            case "minimum":
                if let number = value.number, number < expected.number ?? .max {
                    problems.append("\(place) is too small")
                }
            case "minItems", "maxItems":
                let count = value.elements?.count ?? 0
                if keyword == "minItems", count < expected.number ?? .max { problems.append("\(place) has too few") }
                if keyword == "maxItems", count > expected.number ?? 0 { problems.append("\(place) has too many") }
            case "maxProperties":
                if members.count > expected.number ?? 0 { problems.append("\(place) has too many members") }
            case "propertyNames":
                for name in members.keys {
                    problems += self.problems(of: .string(name), expected, "\(place): the name \(name)")
                }
            case "additionalProperties":
                for (name, member) in members where properties[name] == nil {
                    problems += self.problems(of: member, expected, "\(place).\(name)")
                }
            case "not":
                if self.problems(of: value, expected, place).isEmpty { problems.append("\(place) is excluded") }
            default: problems.append("\(place): the checker does not know \(keyword): \(expected)")
            }
        }
        return problems
    }
}

extension JSONValue {
    var members: [String: JSONValue]? { if case .object(let members) = self { members } else { nil } }
    var elements: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }

    fileprivate var typeName: String {
        switch self {
        case .string: "string"
        case .number: "integer"
        case .bool: "boolean"
        case .null: "null"
        case .object: "object"
        case .array: "array"
        }
    }
}
