// What is odd about a provider, and what has to come of a sign-in there.

import Foundation
import Synchronization
@testable import TestSupport
import Testing

struct Oddity: Sendable {
    enum Expectation: Sendable {
        /// The user can confirm, and the page shows this.
        case confirms(showing: String = "")
        /// The sign-in begins not: its supplier is unavailable, and the cause says this.
        case cannotBegin(String)
        /// Nobody signs in, for this reason, and the cause says this.
        case fails(String, String = "")
    }

    let name: String
    let expectation: Expectation
    /// Columns of the supplier.
    var columns = ""
    var script = ScriptedProvider.Script()
    /// What has to hold for the requests that the provider had, besides.
    var check: @Sendable ([ScriptedProvider.Request]) -> Bool

    init(
        _ name: String, _ expectation: Expectation, columns: String = "",
        check: @escaping @Sendable ([ScriptedProvider.Request]) -> Bool,
        _ change: (inout ScriptedProvider.Script) -> Void = { _ in }
    ) {
        (self.name, self.expectation, self.columns, self.check) = (name, expectation, columns, check)
        change(&script)
    }

    init(
        _ name: String, _ expectation: Expectation, columns: String = "",
        _ change: (inout ScriptedProvider.Script) -> Void
    ) {
        self.init(name, expectation, columns: columns, check: { _ in true }, change)
    }

    /// An ID token with claims, or a header, of any type.
    init(
        token name: String, _ expectation: Expectation, columns: String = "",
        _ change: @escaping @Sendable (_ header: inout [String: any Sendable], inout [String: any Sendable]) -> Void
    ) {
        self.init(name, expectation, columns: columns) {
            $0.oddKeys = OddToken.edKey()
            $0.changePayload = change
        }
    }
}

extension Service {
    /// Signs in at a supplier of each oddity: at an issuer and with a script of its own.
    func expect(
        _ oddities: [Oddity], of provider: ScriptedProvider, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        for (index, oddity) in oddities.enumerated() {
            let place = "/odd-\(index)"
            provider.scripts.withLock { $0[place] = oddity.script }
            try await database.addSupplier("odd-\(index)", name: "Odd \(index)", issuer: provider.issuer + place)
            guard !oddity.columns.isEmpty else { continue }
            let columns = oddity.columns.replacing("{issuer}", with: provider.issuer + place)
            try await database.execute("UPDATE suppliers SET \(columns) WHERE slug = 'odd-\(index)'")
        }
        try await catchUp()
        for (index, oddity) in oddities.enumerated() {
            let token = try await createdToken()
            let browser = TestBrowser(self)
            let supplier = "odd-\(index)"
            let begin = try await browser.start(token, at: supplier)
            if case .cannotBegin(let cause) = oddity.expectation {
                #expect((begin.status, begin.name) == (424, "failed"), "\(oddity.name)", sourceLocation: sourceLocation)
                try await expectDetail(of: token, oddity, "supplier_unavailable", cause, sourceLocation)
                continue
            }
            let request = AuthenticationRequest(url: begin.goTo)
            let answer = try await browser.get(
                browser.callback(provider.code(for: request), request, supplier: supplier))
            let page = try await browser.get(answer.location)
            switch oddity.expectation {
            case .confirms(let text):
                #expect(page.name == "confirm", "\(oddity.name)", sourceLocation: sourceLocation)
                #expect(
                    text.isEmpty || page.response.text.contains(text), "\(oddity.name)", sourceLocation: sourceLocation)
                let done = try await browser.post(answer.location)
                #expect(done.name == "returning", "\(oddity.name)", sourceLocation: sourceLocation)
            case .fails(let reason, let cause):
                #expect(page.name == "failed", "\(oddity.name)", sourceLocation: sourceLocation)
                try await expectDetail(of: token, oddity, reason, cause, sourceLocation)
            case .cannotBegin: break
            }
            let had = provider.requests.withLock { $0.filter { $0.path.hasPrefix("/odd-\(index)/") } }
            #expect(oddity.check(had), "\(oddity.name): \(had.map(\.path))", sourceLocation: sourceLocation)
        }
    }

    /// What the session's last refusal says.
    func detail(_ token: String) async throws -> (reason: String, detail: String) {
        let rows = try await database.rows(
            """
            SELECT reason, coalesce(detail, '') FROM link_session_events
            WHERE session_id = '\(sessionID(of: token))' AND reason IS NOT NULL ORDER BY occurred_at DESC LIMIT 1
            """)
        return (rows.first?[0] ?? "", rows.first?[1] ?? "")
    }

    private func expectDetail(
        of token: String, _ oddity: Oddity, _ reason: String, _ cause: String, _ sourceLocation: SourceLocation
    ) async throws {
        let told = try await detail(token)
        #expect(told.reason == reason, "\(oddity.name): \(told)", sourceLocation: sourceLocation)
        #expect(
            cause.isEmpty || told.detail.contains(cause), "\(oddity.name): \(told)", sourceLocation: sourceLocation)
    }
}
