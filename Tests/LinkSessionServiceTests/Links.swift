// What tests of links do with a running service: completions and confirmations by the API, and sign-ins at the sandbox.

import Foundation
import JWTKit
import LinkSessions
@testable import TestSupport
import Testing
import TokenGenerator

extension Service {
    /// A supplier `green-grid`, at which nobody in these tests signs in.
    static func withGreenGrid(_ database: TestDatabase) async throws {
        try await database.addSupplier("green-grid", name: "Green Grid", issuer: "https://login.green-grid.example")
    }

    /// A fresh session's token.
    func createdToken(
        user: String, redirect: String = "https://your-app.com/callback", key: String = TestKeys.acme
    ) async throws -> String {
        let response = try await create(createBody(user: user, redirect: redirect), key: key)
        return try #require(response.json["link_token"]?.string, "\(response.status) \(response.text)")
    }

    /// Completes a session by the API, with a body.
    func complete(
        _ token: String, json: String, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> TestResponse {
        try await request(
            "POST", "\(Self.authenticatorSessions)/\(token)/complete",
            headers: [("x-api-key", TestKeys.authenticator), ("Content-Type", "application/json")],
            body: Array(json.utf8), sourceLocation: sourceLocation)
    }

    /// The same for an account.
    func complete(
        _ token: String, supplier: String = "green-grid", as user: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> TestResponse {
        try await complete(
            token, json: #"{"supplier":\#(quoted(supplier)),"supplier_user_id":\#(quoted(user))}"#,
            sourceLocation: sourceLocation)
    }

    /// Completes a session by the API; what comes back to the app.
    func result(_ token: String, supplier: String = "green-grid", as user: String) async throws -> ReturnedResult {
        let response = try await complete(token, supplier: supplier, as: user)
        let url = try #require(response.json["return_url"]?.string, "\(response.status) \(response.text)")
        return try #require(ReturnedResult(url))
    }

    func confirm(
        _ token: String, json: String, key: String = TestKeys.acme, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> TestResponse {
        try await request(
            "POST", "\(Self.sessions)/\(token)/confirm",
            headers: [("x-api-key", key), ("Content-Type", "application/json")], body: Array(json.utf8),
            sourceLocation: sourceLocation)
    }

    func confirm(
        _ token: String, user: String = Secrets.publishedUserID, code: String, key: String = TestKeys.acme,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws -> TestResponse {
        try await confirm(
            token, json: #"{"user_id":\#(quoted(user)),"code":\#(quoted(code))}"#, key: key,
            sourceLocation: sourceLocation)
    }

    /// The published keys, as a program of a manufacturer's would take them.
    func keyCollection() async throws -> JWTKeyCollection {
        try await JWTKeyCollection().add(jwksJSON: try await get("/.well-known/jwks.json").text)
    }

    /// Where the sandbox's answer leads: the page of the sign-in.
    func sandboxSignIn(_ token: String, _ browser: TestBrowser, _ answer: String = "code=approve") async throws
        -> String
    {
        let state = AuthenticationRequest(url: try await browser.start(token, at: "sandbox").goTo)["state"]
        return try await browser.get("/ui/callback/sandbox?state=\(state)&\(answer)").location
    }
}

/// A private key or a secret of 32 equal bytes, as configuration has it.
func secretOf(_ byte: UInt8) -> String { Base64URL.encode([UInt8](repeating: byte, count: 32)) }

/// The id of a private key's public key (RFC 7638).
func keyID(of privateKey: String) throws -> String {
    let seed = try #require(Base64URL.decode(privateKey))
    let key = try #require(SigningKey(seed: seed))
    let json = #"{"crv":"Ed25519","kty":"OKP","x":"\#(Base64URL.encode(key.publicKey))"}"#
    return Base64URL.encode(try SHA256.digest(of: json).bytes)
}
