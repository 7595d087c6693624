// The API's description has what the API serves.

import APIKeyAuth
import Foundation
import HTTPFront
@testable import HTTPServer
import LinkSessionRepository
import LinkSessions
import Logging
import PostgresClient
import RateLimits
import ReturnLinks
import TestSupport
import Testing
import TokenGenerator

@Suite struct APIRoutesTests {
    @Test func `every endpoint of the API is in openapi.json, and none besides`() throws {
        let file = TestEnvironment.projectDirectory.appending(path: "Sources/HTTPFront/openapi.json")
        let document = try JSONDecoder().decode(JSONValue.self, from: Data(contentsOf: file))
        guard case .object(let paths) = document["paths"] else {
            Issue.record("no paths")
            return
        }
        let described = paths.flatMap { path, item -> [String] in
            guard case .object(let operations) = item else { return [] }
            return operations.keys.map { "\($0.uppercased()) \(path)" }
        }
        let served = try routes().resources.flatMap { resource in
            resource.allow.split(separator: ", ").filter { $0 != "HEAD" }.map { "\($0) \(resource.path)" }
        }
        #expect(described.sorted() == served.sorted())
    }

    /// On a database that nobody asks.
    private func routes() throws -> Routes {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let client = try DatabaseClient(
            address: try DatabaseAddress(connectionString: "postgres://nobody@localhost/nothing"),
            applicationName: "tests", connections: 1, waitingLimit: 1, logger: logger)
        var routes = Routes()
        let controlPlane = ControlPlaneCache.forTests(client, logger)
        try routes.addAPI(
            on: client, controlPlane, apiKeys: .forTests(client, controlPlane, logger),
            tokenGenerator: TokenGenerator())
        return routes
    }
}

extension ControlPlaneCache {
    static func forTests(_ client: DatabaseClient, _ logger: Logger) -> ControlPlaneCache {
        ControlPlaneCache(repository: ControlPlaneRepository(database: client), hasSandbox: false, logger: logger)
    }
}

extension APIKeyAuthenticator {
    /// The manufacturers' keys in the database, and none of the Authenticator's.
    static func forTests(
        _ client: DatabaseClient, _ controlPlane: ControlPlaneCache, _ logger: Logger
    ) -> APIKeyAuthenticator {
        APIKeyAuthenticator(
            controlPlane: controlPlane, environment: .test, authenticatorKeys: [],
            uses: APIKeyUsageRecorder(repository: ControlPlaneRepository(database: client), logger: logger),
            limits: ManufacturerLimits(
                limit: nil, delay: RefusalDelay(),
                repository: RateDemandRepository(database: client, replica: [UInt8](repeating: 1, count: 16)),
                logger: logger))
    }
}

extension Routes {
    /// The API with return links of its own, always ready.
    mutating func addAPI(
        on client: DatabaseClient, _ controlPlane: ControlPlaneCache, apiKeys: APIKeyAuthenticator,
        tokenGenerator: TokenGenerator
    ) throws {
        let feed = EventFeedRepository(database: client, controlPlane: controlPlane)
        addAPI(
            publicBaseURL: "https://auth.example", apiKeys: apiKeys,
            sessions: LinkSessionRepository(database: client, controlPlane: controlPlane),
            suppliers: { try controlPlane.suppliers() }, feed: feed,
            watcher: EventFeedWatcher(
                repository: feed, logger: Logger(label: "quiet") { _ in SwiftLogNoOpLogHandler() }),
            returnLinks: try ReturnLinks(
                issuer: "https://auth.example", signingKey: try #require(SigningKey(seed: Array(0..<32))),
                sandboxKey: nil, codeSecret: try #require(HMACSHA256(secret: Array(0..<32)))),
            tokenGenerator: tokenGenerator,
            idempotencySecrets: [try #require(IdempotencySecret(secret: Array(0..<32)))],
            readiness: Readiness {
                []
            } ownChecks: {
                []
            })
    }
}
