// Which account a supplier is asked for: at the first sign-in of a session, and at a further one.

import Foundation
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(1))) struct AnotherAccountTests {
        @Test(
            arguments: [
                (nil, nil, "", "login"),
                (["login", "select_account"], nil, "", "select_account"),
                (["none", "login"], nil, "", "login"),
                (["none"], nil, "", "login"),
                (nil, "login", "login", "login"),
                (nil, "select_account", "select_account", "select_account"),
                (["select_account"], "login", "login", "select_account"),
            ] as [([String]?, String?, String, String)])
        func `a further sign-in at the same supplier asks for another account, as the supplier can`(
            supported: [String]?, prompt: String?, first: String, again: String
        ) async throws {
            try await ScriptedProvider.with { provider in
                if let supported { provider.script.withLock { $0.metadata = ["prompt_values_supported": supported] } }
                try await Service.run(with: provider) { service in
                    if let prompt { try await service.change("UPDATE suppliers SET prompt = '\(prompt)', max_age = 0") }
                    try await service.database.addSupplier("other", name: "Other", issuer: "\(provider.issuer)/other")
                    provider.scripts.withLock { $0["/other"] = provider.script.withLock { $0 } }
                    try await service.catchUp()
                    let token = try await service.createdToken()
                    let browser = TestBrowser(service)
                    func asked(at supplier: String, _ token: String) async throws -> String {
                        let request = AuthenticationRequest(url: try await browser.start(token, at: supplier).goTo)
                        #expect(request["max_age"] == (prompt == nil || supplier == "other" ? "" : "0"))
                        return request["prompt"]
                    }
                    #expect(try await asked(at: "mock-energy", token) == first)
                    #expect(try await asked(at: "mock-energy", token) == again)
                    #expect(try await asked(at: "mock-energy", token) == again)
                    // Another supplier, and another session, begin anew.
                    #expect(try await asked(at: "other", token) == "")
                    #expect(try await asked(at: "mock-energy", try await service.createdToken()) == first)
                }
            }
        }
    }
}
