// What serve needs to start, for tests of settings.

import Foundation
import TestSupport
import Testing

enum ServeSettings {
    static let password = "zq7password"
    static let digest = TestKeys.digest(TestKeys.authenticator)

    /// Every setting, and right. Nobody listens at the database's address.
    static let whole = [
        "LINK_SESSION_ENV": "local",
        "DATABASE_URL": "postgres://zq7:\(password)@127.0.0.1:1/none", "AUTHENTICATOR_API_KEY_DIGESTS": "web:\(digest)",
        "PUBLIC_BASE_URL": "https://auth.example", "HTTP_HOST": "127.0.0.1", "HTTP_PORT": "0",
        "HTTP_MANAGEMENT_HOST": "127.0.0.1", "HTTP_MANAGEMENT_PORT": "0", "DATABASE_CONNECTIONS": "2",
        "LOG_LEVEL": "info", "LOG_FORMAT": "text", "MIGRATIONS_DIRECTORIES": TestDatabase.schemaDirectory,
        "HTTP_IDLE_SECONDS": "75", "RETENTION_DAYS": "30", "SHUTDOWN_DELAY_SECONDS": "0", "SHUTDOWN_GRACE_SECONDS": "5",
        "RETURN_SIGNING_KEYS": TestKeys.signing, "RETURN_CODE_SECRETS": TestKeys.codeSecret,
        "IDEMPOTENCY_SECRETS": TestKeys.idempotencySecret,
        "WEBHOOK_SIGNING_KEYS": TestKeys.webhookSigning, "WEBHOOK_SECRETS": TestKeys.webhookSecret,
        "RATE_LIMIT_CREATES": "none", "RATE_LIMIT_ADDRESS": "none",
    ]

    static func with(_ changes: [String: String]) -> [String: String] { whole.merging(changes) { $1 } }
}

/// `serve` has to end with 1 and one line on standard error that starts so, each in an environment of its own.
func expectRefusals(
    _ cases: [(what: String, environment: [String: String], line: String)], arguments: [String] = ["serve"],
    directory: URL = TestEnvironment.projectDirectory, sourceLocation: SourceLocation = #_sourceLocation
) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for (index, (what, environment, line)) in cases.enumerated() {
            if index >= 4 { try await group.next() }
            group.addTask {
                let run = try await Command.run(arguments, environment: environment, directory: directory)
                let summary = "\(what): \(run.summary)"
                #expect(run.status == 1, "\(summary)", sourceLocation: sourceLocation)
                #expect(run.errorLines.count == 1, "\(summary)", sourceLocation: sourceLocation)
                #expect(
                    run.errors.hasPrefix("link-session-service: \(line)"), "expected \(line); \(summary)",
                    sourceLocation: sourceLocation)
                for secret in [ServeSettings.password, ServeSettings.digest, "zq7"] {
                    #expect(
                        !(run.errors + run.output).contains(secret), "\(summary)",
                        sourceLocation: sourceLocation)
                }
            }
        }
        try await group.waitForAll()
    }
}
