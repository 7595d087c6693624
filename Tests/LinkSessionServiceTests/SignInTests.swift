// Signing in at a supplier: from the session's page to the completed session, as it is meant.

import Foundation
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct SignInTests {
        @Test func `from the session's page to the completed session and back to the app`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = TestBrowser(service)
                    let page = try await browser.get("/ui?token=\(token)&language=en")
                    #expect((page.status, page.name, page.language) == (200, "link", "en"))
                    #expect(browser.cookies.withLock { $0.isEmpty })

                    let going = try await browser.start(token, at: "mock-energy")
                    #expect((going.status, going.name) == (200, "continue"))
                    let request = AuthenticationRequest(url: going.goTo)
                    #expect(request.url.hasPrefix("\(provider.issuer)/authorize?"))
                    for (name, value) in [
                        ("response_type", "code"), ("response_mode", "query"), ("client_id", "client-1"),
                        ("redirect_uri", "https://auth.example/ui/callback/mock-energy"), ("scope", "openid email"),
                        ("code_challenge_method", "S256"), ("ui_locales", "en"),
                    ] { #expect(request[name] == value, "\(name)") }
                    for (name, length) in [("state", 64), ("nonce", 43), ("code_challenge", 43)] {
                        #expect(request[name].count == length, "\(name)")
                    }
                    #expect(Set([request["state"], request["nonce"], request["code_challenge"]]).count == 3)
                    #expect(!request.url.contains(token))

                    let answer = try await browser.get(browser.callback(provider.code(for: request), request))
                    #expect(answer.status == 303)
                    #expect(answer.location.hasPrefix("/ui/sign-ins/"))
                    let confirm = try await browser.get(answer.location)
                    #expect((confirm.status, confirm.name) == (200, "confirm"))
                    #expect(confirm.response.text.contains("j•••@example.com"))
                    #expect(!confirm.response.text.contains("jan.jansen"))
                    #expect(try await service.status(token) == "open")

                    let done = try await browser.post(answer.location)
                    #expect((done.status, done.name) == (200, "returning"))
                    #expect(done.goTo == done.link("return"))
                    let result = try #require(ReturnedResult(done.goTo))
                    #expect(result.members["status"] == .string("completed"))
                    #expect(result.members["supplier"] == .string("mock-energy"))
                    #expect(result.members["brand"] == .string("acme manufacturing"))
                    #expect(result.members["manufacturer_user_id"] == .string(Secrets.publishedUserID))
                    #expect(try await service.status(token) == "completed")
                    #expect(
                        try await service.events(token) == ["sign_in_started", "signed_in", "completed"])

                    let exchange = try #require(provider.requests.withLock { $0.first { $0.path == "/token" } })
                    #expect(exchange.form["grant_type"] == "authorization_code")
                    #expect(exchange.form["redirect_uri"] == request["redirect_uri"])
                    let basic = Data("client-1:\(Service.supplierSecret)".utf8).base64EncodedString()
                    #expect(exchange.authorization == "Basic \(basic)")
                    #expect(exchange.form["client_secret"] == nil)
                }
            }
        }

        @Test func `a provider that knows no basic authentication gets the secret in the body`() async throws {
            try await ScriptedProvider.with { provider in
                provider.script.withLock {
                    $0.metadata = ["token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"]]
                }
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    #expect(try await TestBrowser(service).signIn(token, at: provider).page.name == "confirm")
                    let exchange = try #require(provider.requests.withLock { $0.first { $0.path == "/token" } })
                    #expect(exchange.authorization == nil)
                    #expect(exchange.form["client_id"] == "client-1")
                    #expect(exchange.form["client_secret"] == Service.supplierSecret)
                }
            }
        }

        @Test func `a sign-in goes on at another replica`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { first in
                    try await Service.serving(
                        first.database, environment: ["SUPPLIER_MOCK_SECRET": Service.supplierSecret]
                    ) { second in
                        let token = try await first.createdToken()
                        let browser = TestBrowser(first)
                        let request = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                        let other = TestBrowser(second)
                        other.cookies.withLock { $0 = browser.cookies.withLock { $0 } }
                        let answer = try await other.get(other.callback(provider.code(for: request), request))
                        #expect(try await other.get(answer.location).name == "confirm")
                        let done = try await browser.post(answer.location)
                        #expect(done.name == "returning")
                        #expect(try await other.get("/ui?token=\(token)").link("back") == done.goTo)
                    }
                }
            }
        }
    }
}
