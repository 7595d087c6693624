// One run of the program, and what holds for every answer and every log line of it.

import Foundation
import LinkSessions
import Synchronization
@testable import TestSupport
import Testing

/// The tests of the running program, one after the other: each has a process and database connections of its own.
@Suite(.serialized) enum ProgramTests {}

/// What tests send that must show up nowhere but in the answers to their owner.
enum Secrets {
    static let databasePassword = "zq7password"
    /// Part of every user id that the tests use, besides the published one.
    static let userMark = "zq7user"
    static let publishedUserID = "manufacturer_user_id_123"

    static let all = [
        databasePassword, userMark, publishedUserID, TestKeys.acme, TestKeys.beta, TestKeys.disabled,
        TestKeys.authenticator, TestKeys.digest(TestKeys.authenticator), TestKeys.signing, TestKeys.sandboxSigning,
        TestKeys.codeSecret, TestKeys.idempotencySecret, TestKeys.webhookSigning, TestKeys.webhookSecret,
    ]

    /// - Parameter tokens: that the service has made.
    static func expectNone(in log: String, and tokens: [String] = [], _ sourceLocation: SourceLocation) {
        for secret in all + tokens {
            #expect(
                !log.contains(secret),
                "the log holds \(secret): \(log.split(separator: "\n").first { $0.contains(secret) } ?? "")",
                sourceLocation: sourceLocation)
        }
        let words = log.split { !($0.isASCII && ($0.isLetter || $0.isNumber) || $0 == "-" || $0 == "_") }
        for word in words
        where word.count >= 43 && word.contains(where: \.isUppercase) && word.contains(where: \.isLowercase) {
            Issue.record("the log holds what looks like a token: \(word)", sourceLocation: sourceLocation)
        }
    }
}

final class Service: Sendable {
    static let sessions = "/v2/manufacturer/link-sessions"
    static let authenticatorSessions = "/v2/authenticator/link-sessions"
    static let publishedRequest =
        #"{"user_id":"manufacturer_user_id_123","redirect_url":"https://your-app.com/callback","language":"nl"}"#

    let process: ServiceProcess
    let database: TestDatabase
    let port: Int
    private let tokens = Mutex<Set<String>>([])

    private init(process: ServiceProcess, database: TestDatabase, port: Int) {
        self.process = process
        self.database = database
        self.port = port
    }

    /// Serves a database of its own with the manufacturers of ``TestKeys``, and looks through the log afterwards.
    ///
    /// - Parameter prepare: what is done to the database before the start.
    static func run<Value>(
        arguments: [String] = ["serve"], environment: [String: String] = [:], descriptorLimit: Int? = nil,
        prepare: (TestDatabase) async throws -> Void = { _ in }, sourceLocation: SourceLocation = #_sourceLocation,
        _ body: (Service) async throws -> Value
    ) async throws -> Value {
        try await TestDatabase.with { database in
            try await database.addManufacturers()
            try await prepare(database)
            return try await serving(
                database, arguments: arguments, environment: environment, descriptorLimit: descriptorLimit,
                sourceLocation: sourceLocation, body)
        }
    }

    static func environment(of database: TestDatabase) -> [String: String] {
        [
            "LINK_SESSION_ENV": "local",
            // Nobody asks for it; it is there to be searched for in the log.
            "DATABASE_URL": database.serviceURL.replacing(
                "@", with: ":\(Secrets.databasePassword)@", maxReplacements: 1),
            "HTTP_PORT": "0", "HTTP_MANAGEMENT_PORT": "0", "PUBLIC_BASE_URL": "https://auth.example",
            "LOG_LEVEL": "debug",
            "AUTHENTICATOR_API_KEY_DIGESTS": "web:" + TestKeys.digest(TestKeys.authenticator),
            "RETURN_SIGNING_KEYS": TestKeys.signing, "SANDBOX_SIGNING_KEY": TestKeys.sandboxSigning,
            "RETURN_CODE_SECRETS": TestKeys.codeSecret, "IDEMPOTENCY_SECRETS": TestKeys.idempotencySecret,
            "WEBHOOK_SIGNING_KEYS": TestKeys.webhookSigning, "WEBHOOK_SECRETS": TestKeys.webhookSecret,
        ]
    }

    static func serving<Value>(
        _ database: TestDatabase, arguments: [String] = ["serve"], environment: [String: String] = [:],
        directory: URL = TestEnvironment.projectDirectory, descriptorLimit: Int? = nil, waitsForKeys: Bool = true,
        sourceLocation: SourceLocation = #_sourceLocation, _ body: (Service) async throws -> Value
    ) async throws -> Value {
        let process = try ServiceProcess(
            arguments, environment: Self.environment(of: database).merging(environment) { $1 }, directory: directory,
            shell: descriptorLimit.map { "ulimit -n \($0)" })
        do {
            let service = Service(process: process, database: database, port: try await listeningPort(of: process))
            if waitsForKeys { try await process.waitForLog("control plane loaded", within: 10) }
            let value = try await body(service)
            try await service.expectLogWithoutSecrets(sourceLocation)
            try await end(process)
            return value
        } catch {
            try await end(process)
            throw error
        }
    }

    private static func end(_ process: ServiceProcess) async throws {
        process.send(SIGKILL)
        _ = try await process.waitForExit()
    }

    private static func listeningPort(of process: ServiceProcess) async throws -> Int {
        try await process.waitForLog("listening host", within: 10, orElse: #""message":"listening""#)
        if !process.log.contains(#""message":"listening""#) {
            try await process.waitUntilListening()
            return process.port
        }
        let line = process.log.split(separator: "\n").first { $0.contains(#""message":"listening""#) } ?? ""
        let digits = line.split(separator: #""port":"#).last?.prefix { $0.isNumber } ?? ""
        return try #require(Int(digits), "no port in the log: \(process.log)")
    }

    /// The log is written by a queue of its own: once the last request's line is there, all others are.
    private func expectLogWithoutSecrets(_ sourceLocation: SourceLocation) async throws {
        guard process.isRunning else {
            Issue.record("the program ended on its own: \(process.log.suffix(2000))", sourceLocation: sourceLocation)
            return
        }
        let last = "last-\(UUID().uuidString.prefix(8))"
        _ = try await request("GET", "/health/live", headers: [("X-Request-Id", last)])
        try await process.waitForLog(last, within: 10)
        Secrets.expectNone(in: process.log, and: tokens.withLock { Array($0) }, sourceLocation)
    }
}

extension ServiceProcess {
    fileprivate func waitForLog(_ text: String, within seconds: Double, orElse other: String) async throws {
        let deadline = Date().addingTimeInterval(seconds)
        while !log.contains(text), !log.contains(other) {
            guard isRunning, Date() < deadline else { throw Died(description: "not listening: \(log)") }
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}

extension Service {
    /// One request on a connection of its own; its answer has to be as the API's description says.
    func request(
        _ method: String, _ path: String, headers: [(String, String)] = [], body: [UInt8] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> TestResponse {
        let response = try await TestConnection.with(port: port) {
            try await $0.send(method, path, headers: headers, body: body)
        }
        check(response, to: method, path, sourceLocation: sourceLocation)
        return response
    }

    func get(
        _ path: String, key: String? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> TestResponse {
        try await request("GET", path, headers: key.map { [("x-api-key", $0)] } ?? [], sourceLocation: sourceLocation)
    }

    func create(
        _ json: String = publishedRequest, key: String = TestKeys.acme, headers: [(String, String)] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> TestResponse {
        try await create(Array(json.utf8), key: key, headers: headers, sourceLocation: sourceLocation)
    }

    func create(
        _ body: [UInt8], key: String = TestKeys.acme, headers: [(String, String)] = [],
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> TestResponse {
        try await request(
            "POST", Self.sessions, headers: [("Content-Type", "application/json"), ("x-api-key", key)] + headers,
            body: body, sourceLocation: sourceLocation)
    }

    /// A fresh session's token.
    func createdToken(key: String = TestKeys.acme) async throws -> String {
        let response = try await create(key: key)
        return try #require(response.json["link_token"]?.string, "\(response.status) \(response.text)")
    }

    func find(_ token: String, key: String = TestKeys.acme) async throws -> TestResponse {
        try await get("\(Self.sessions)/\(token)", key: key)
    }

    func expire(_ token: String, key: String = TestKeys.acme) async throws -> TestResponse {
        try await request("POST", "\(Self.sessions)/\(token)/expire", headers: [("x-api-key", key)])
    }

    func view(_ token: String, key: String = TestKeys.authenticator) async throws -> TestResponse {
        try await get("\(Self.authenticatorSessions)/\(token)", key: key)
    }

    func complete(_ token: String, key: String = TestKeys.authenticator) async throws -> TestResponse {
        try await request("POST", "\(Self.authenticatorSessions)/\(token)/complete", headers: [("x-api-key", key)])
    }

    /// Bytes as they are, until the server closes; the answers in the order in which they came.
    func raw(
        _ chunks: [String], pause: Duration = .zero, within time: Duration = .seconds(4)
    ) async throws -> (answers: [TestResponse], text: String, closed: Bool) {
        try await raw(chunks.map { Array($0.utf8) }, pause: pause, within: time)
    }

    func raw(
        _ chunks: [[UInt8]], pause: Duration = .zero, within time: Duration = .seconds(4)
    ) async throws -> (answers: [TestResponse], text: String, closed: Bool) {
        let (text, closed) = try await process.raw(chunks, pause: pause, within: time)
        return (TestResponse.all(in: text), text, closed)
    }

    /// What the description and the manners demand of every answer.
    func check(
        _ response: TestResponse, to method: String, _ path: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        if let token = response.json["link_token"]?.string { tokens.withLock { _ = $0.insert(token) } }
        let request = "\(method) \(path.prefix(120)) → \(response.status) \(response.text.prefix(400))"
        for problem in OpenAPIDocument.shared.problems(of: response, to: method, path) {
            Issue.record("\(request): \(problem)", sourceLocation: sourceLocation)
        }
        if let id = response.json["request_id"] {
            #expect(id.string == response.header("X-Request-Id"), "\(request)", sourceLocation: sourceLocation)
            #expect(
                response.json["docs_url"]?.string
                    == "https://docs.nox.energy/errors#\(response.json["code"]?.string ?? "")",
                "\(request)", sourceLocation: sourceLocation)
        }
        guard response.status >= 400 || path.hasPrefix("/health") else { return }
        for secret in Secrets.all + tokens.withLock({ Array($0) }) {
            #expect(
                !response.text.contains(secret), "the answer holds \(secret): \(request)",
                sourceLocation: sourceLocation)
        }
    }

    /// The request is refused so.
    func expect(
        _ response: TestResponse, _ status: Int, _ code: String, _ what: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let got = "\(what): \(response.status) \(response.text.prefix(300))"
        #expect(response.status == status, "\(got)", sourceLocation: sourceLocation)
        #expect(response.json["code"]?.string == code, "\(got)", sourceLocation: sourceLocation)
    }

    /// - Parameter sentence: the whole of it, or how it starts where it ends with `…`.
    func expect(
        _ response: TestResponse, _ status: Int, _ code: String, _ sentence: String, _ what: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        expect(response, status, code, what, sourceLocation: sourceLocation)
        let got = "\(what): \(response.status) \(response.text.prefix(300))"
        let error = response.json["error"]?.string ?? ""
        if sentence.hasSuffix("…") {
            #expect(error.hasPrefix(sentence.dropLast()), "\(got)", sourceLocation: sourceLocation)
        } else {
            #expect(error == sentence, "\(got)", sourceLocation: sourceLocation)
        }
    }

    /// The session's row as text, by its token; `xmin` changes with every write.
    func row(_ token: String) async throws -> [String?] {
        try await database.rows(
            """
            SELECT xmin::text, user_id, redirect_url, language, floor(extract(epoch FROM created_at))::bigint::text,
                   floor(extract(epoch FROM expires_at))::bigint::text,
                   floor(extract(epoch FROM completed_at))::bigint::text
            FROM link_sessions WHERE token_hash = decode('\(TestKeys.digest(token))', 'hex')
            """
        ).first ?? []
    }

    /// Sets columns of a session's row to SQL expressions.
    func update(_ token: String, _ values: KeyValuePairs<String, String>) async throws {
        try await database.execute(TestDatabase.update(sessions: Self.has(token), values))
    }

    /// Makes a session older: with an hour, its ten minutes are over.
    func age(_ token: String, by interval: String = "1 hour") async throws {
        try await database.age(sessions: Self.has(token), by: interval)
    }

    private static func has(_ token: String) -> String { "token_hash = decode('\(TestKeys.digest(token))', 'hex')" }

    /// Holds a session's row locked for so many seconds.
    func lockRow(of token: String, seconds: Double) async throws {
        let id = try #require(LinkToken(token)?.id)
        try await database.execute("BEGIN; \(TestDatabase.lock(id)); SELECT pg_sleep(\(seconds)); COMMIT")
    }
}

extension TestResponse {
    /// The answers in a connection's text, as far as they are whole. Interim answers (RFC 9110, section 15.2) have no body.
    static func all(in text: String) -> [TestResponse] {
        var rest = Array(text.utf8)[...]
        var answers: [TestResponse] = []
        while let end = rest.firstRange(of: Array("\r\n\r\n".utf8)) {
            let lines = String(decoding: rest[..<end.lowerBound], as: UTF8.self)
                .split(separator: "\r\n").map(String.init)
            let words = (lines.first ?? "").split(separator: " ")
            guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else { break }
            let headers = lines.dropFirst().map { line in
                let parts = line.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
                return (name: parts.first ?? "", value: parts.count > 1 ? parts[1] : "")
            }
            let length = headers.first { $0.name.lowercased() == "content-length" }.flatMap { Int($0.value) } ?? 0
            rest = rest[end.upperBound...]
            guard rest.count >= length else { break }
            answers.append(TestResponse(status: status, headers: headers, body: Array(rest.prefix(length))))
            rest = rest.dropFirst(length)
        }
        return answers
    }

    /// All headers but those that differ from answer to answer.
    var lastingHeaders: [String] {
        headers.filter { !["date", "x-request-id"].contains($0.name.lowercased()) }
            .map { "\($0.name.lowercased()): \($0.value)" }.sorted()
    }

    /// The body with the request id blanked out.
    var bodyWithoutRequestID: String {
        text.replacing(header("X-Request-Id") ?? "", with: "…")
    }
}

/// A JSON string literal.
func quoted(_ text: String) -> String {
    String(decoding: (try? JSONEncoder().encode(text)) ?? Data(), as: UTF8.self)
}

/// The body of a create.
func createBody(user: String = Secrets.publishedUserID, redirect: String = "https://your-app.com/callback") -> String {
    #"{"user_id":\#(quoted(user)),"redirect_url":\#(quoted(redirect))}"#
}
