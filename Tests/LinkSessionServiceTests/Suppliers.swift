// What tests of sign-ins share: the supplier whose provider they script, and what is known of a session afterwards.

@testable import TestSupport
import Testing

extension Service {
    static let supplierSecret = "zq7clientsecret"

    /// Serves with the supplier `mock-energy`, whose provider the test scripts.
    static func run(
        with provider: ScriptedProvider, environment: [String: String] = [:],
        sourceLocation: SourceLocation = #_sourceLocation, _ body: (Service) async throws -> Void
    ) async throws {
        try await Service.run(
            environment: ["SUPPLIER_MOCK_SECRET": supplierSecret].merging(environment) { $1 },
            prepare: { try await $0.addSupplier(issuer: provider.issuer) }, sourceLocation: sourceLocation, body)
    }

    /// Kinds and reasons of a session's events, in their order, but that its page was opened.
    func events(_ token: String) async throws -> [String] {
        try await database.rows(
            """
            SELECT event || coalesce(' ' || reason, '') FROM link_session_events
            WHERE session_id = '\(sessionID(of: token))' AND event <> 'opened' ORDER BY occurred_at, event
            """
        ).map { $0[0] ?? "" }
    }

    func status(_ token: String) async throws -> String {
        try await find(token).json["status"]?.string ?? ""
    }

    func keys() async throws -> [[String: JSONValue]] {
        (try await get("/.well-known/jwks.json").json["keys"]?.elements ?? []).map { $0.members ?? [:] }
    }
}

extension TestDatabase {
    func addSupplier(_ slug: String = "mock-energy", name: String = "Mock Energy", issuer: String) async throws {
        try await execute(
            """
            INSERT INTO suppliers (slug, name, issuer, client_id, client_secret_name, scopes)
            VALUES ('\(slug)', '\(name)', '\(issuer)', 'client-1', 'SUPPLIER_MOCK_SECRET', '{openid,email}')
            """)
    }
}
