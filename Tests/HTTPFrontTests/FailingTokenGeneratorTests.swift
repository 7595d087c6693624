// What a create answers when there is no randomness to make a token from.

import APIKeyAuth
import HTTPFront
import HTTPServer
import LinkSessionRepository
import LinkSessions
import Logging
import PostgresClient
import ReturnLinks
import Synchronization
import TestSupport
import Testing
import TokenGenerator

@Suite struct FailingTokenGeneratorTests {
    @Test func `a create without randomness is a 500, stores nothing, and only the log says why`() async throws {
        try await TestDatabase.with { database in
            try await database.addManufacturers()
            let log = Lines()
            let hasRandomness = Atomic<Bool>(false)
            // Each replica's clock says the same, and each gets the same bits.
            func generator() -> TokenGenerator {
                TokenGenerator(now: { 1_800_000_000_000_000_000 }) { () throws(RandomnessError) in
                    guard hasRandomness.load(ordering: .relaxed) else { throw RandomnessError() }
                    return (1, 2, 3, 4)
                }
            }
            func create(_ id: String, port: Int) async throws -> TestResponse {
                try await TestConnection.with(port: port) {
                    try await $0.send(
                        "POST", "/v2/manufacturer/link-sessions",
                        headers: [
                            ("Content-Type", "application/json"), ("x-api-key", TestKeys.acme), ("X-Request-Id", id),
                        ],
                        body: Array(#"{"user_id":"zq7user","redirect_url":"https://your-app.com/callback"}"#.utf8))
                }
            }
            try await serving(database, generator(), log) { port in
                let failed = try await create("without", port: port)
                #expect(failed.status == 500)
                #expect(
                    failed.text
                        == #"{"error":"internal error","code":"internal_error","request_id":"without","docs_url":"https://docs.nox.energy/errors#internal_error"}"#
                )
                let lines = log.all.filter { $0.contains(#"requestID: "without""#) }
                #expect(lines.count == 1)
                #expect(lines.first?.contains("status: 500") == true, "\(lines)")
                #expect(lines.first?.contains("RandomnessError") == true, "\(lines)")
                #expect(try await database.count("SELECT count(*) FROM link_sessions") == 0)

                hasRandomness.store(true, ordering: .relaxed)
                #expect(try await create("with", port: port).status == 201)
            }
            try await serving(database, generator(), log) { port in
                // Would be the same token: never a second session, never the first one's.
                let repeated = try await create("again", port: port)
                #expect(repeated.status == 500, "\(repeated.text)")
                #expect(repeated.json["link_token"] == nil)
                #expect(try await database.count("SELECT count(*) FROM link_sessions") == 1)
            }
            for secret in ["zq7user", TestKeys.acme] {
                #expect(!log.all.contains { $0.contains(secret) }, "\(secret)")
            }
        }
    }

    /// Runs a front of its own on a free port; `body` begins once it knows the keys.
    private func serving(
        _ database: TestDatabase, _ generator: TokenGenerator, _ log: Lines, _ body: (Int) async throws -> Void
    ) async throws {
        let logger = Logger(label: "test") { _ in log.handler }
        let client = try DatabaseClient(
            address: try database.address, applicationName: "tests", connections: 2, waitingLimit: 64, logger: logger)
        let controlPlane = ControlPlaneCache.forTests(client, logger)
        let apiKeys = APIKeyAuthenticator.forTests(client, controlPlane, logger)
        let (ports, listening) = AsyncStream.makeStream(of: Int.self)
        var routes = Routes()
        try routes.addAPI(on: client, controlPlane, apiKeys: apiKeys, tokenGenerator: generator)
        let server = HTTPServer(
            .init(host: "127.0.0.1", port: 0, maximumConnections: 64), routes: routes,
            isSecret: { apiKeys.isUsable(key: $0) }, logger: logger, accessLog: { log.add($0) },
            onListening: { listening.yield($0) })
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await client.run() }
            group.addTask { try await controlPlane.run() }
            group.addTask { try await server.run() }
            defer { group.cancelAll() }
            let deadline = ContinuousClock.now + .seconds(5)
            while !controlPlane.isFresh {
                try #require(.now < deadline, "the keys are not there: \(log.all)")
                try await Task.sleep(for: .milliseconds(5))
            }
            for await port in ports {
                try await body(port)
                break
            }
        }
    }
}

/// A log to look into.
private final class Lines: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }

    func add(_ entry: AccessLogEntry) { lines.withLock { $0.append("\(entry)") } }

    var handler: any LogHandler { Handler(lines: self) }

    private struct Handler: LogHandler {
        let lines: Lines
        var logLevel = Logger.Level.trace
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let fields = (event.metadata ?? [:]).sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
            lines.lines.withLock { $0.append("\(event.level) \(event.message)\(fields)") }
        }
    }
}
