// The way back to the app: what a result says, who signed it, and who gets it.

import Foundation
import JWTKit
import LinkSessions
@testable import TestSupport
import Testing
import TokenGenerator

extension ProgramTests {
    @Suite struct ReturnLinkTests {
        private static let whole = ReturnedResult.common.union([
            "nox_user_id", "manufacturer_user_id", "brand", "supplier", "connected_at", "code",
        ])

        // MARK: The signature

        @Test func `data between the signature's dots is a token that the published keys verify`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let result = try await service.result(try await service.createdToken(), as: "s-1")
                let keys = try await service.keyCollection()
                #expect(await result.verifies(with: keys))
                #expect(Set(result.header.keys) == ["alg", "typ", "kid"])
                #expect(result.header["alg"] == .string("EdDSA"))
                #expect(result.header["typ"] == .string("link-return+jwt"))
                let kid = try keyID(of: TestKeys.signing)
                #expect(result.header["kid"] == .string(kid))
                #expect(Base64URL.decode(result.signatureParts[2])?.count == 64)
                #expect(Base64URL.decode(result.data) != nil && Base64URL.decode(result.signatureParts[0]) != nil)
                // Another service's keys verify nothing.
                let foreign = await JWTKeyCollection().add(eddsa: try EdDSA.PrivateKey(curve: .ed25519))
                #expect(await !result.verifies(with: foreign))
            }
        }

        @Test func `with one character of data, signature or header changed nothing verifies`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let result = try await service.result(try await service.createdToken(), as: "s-1")
                let keys = try await service.keyCollection()
                #expect(await result.verifies(with: keys))
                let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
                /// Each with its highest bit at one place turned: the last character's lowest bits mean nothing.
                func changed(_ text: String) throws -> [String] {
                    let characters = Array(text)
                    return try characters.indices.map { place in
                        var copy = characters
                        copy[place] = alphabet[try #require(alphabet.firstIndex(of: copy[place])) ^ 32]
                        return String(copy)
                    }
                }
                let parts = result.signatureParts
                let forgeries =
                    try changed(result.data).map { result.token(data: $0) }
                    + changed(parts[0]).map { result.token(header: $0) }
                    + changed(parts[2]).map { result.token(signature: $0) }
                #expect(forgeries.count == result.data.count + parts[0].count + parts[2].count)
                for (index, forgery) in forgeries.enumerated() {
                    #expect(await !ReturnedResult.verifies(forgery, with: keys), "place \(index)")
                }
                for forgery in [
                    result.token(signature: ""), result.token(data: ""), result.token(data: result.data + "AA"),
                    result.token(header: Base64URL.encode(Array(#"{"alg":"none","typ":"link-return+jwt"}"#.utf8))),
                ] {
                    #expect(await !ReturnedResult.verifies(forgery, with: keys))
                }
            }
        }

        @Test
        func `results of the sandbox are signed with its own key, all others with the first, and both are published`()
            async throws
        {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let (main, sandbox) = (try keyID(of: TestKeys.signing), try keyID(of: TestKeys.sandboxSigning))
                let webhooks = try keyID(of: TestKeys.webhookSigning)
                let published = try await service.keys()
                #expect(published.map { $0["kid"] } == [main, sandbox, webhooks].map { .string($0) })
                for key in published {
                    #expect(Set(key.keys) == ["kty", "crv", "alg", "use", "kid", "x"], "and no private part")
                    #expect((key["kty"], key["crv"]) == (.string("OKP"), .string("Ed25519")))
                    #expect((key["alg"], key["use"]) == (.string("EdDSA"), .string("sig")))
                }
                let answer = try await service.get("/.well-known/jwks.json")
                #expect(answer.header("Cache-Control") == "public, max-age=300")
                for secret in [TestKeys.signing, TestKeys.sandboxSigning, TestKeys.webhookSigning] {
                    #expect(!answer.text.contains(secret))
                }

                let keys = try await service.keyCollection()
                func expect(_ url: String, _ status: String, signedWith kid: String) async throws {
                    let result = try #require(ReturnedResult(url), "\(status)")
                    #expect(result.members["status"] == .string(status))
                    #expect(result.header["kid"] == .string(kid), "\(status)")
                    #expect(await result.verifies(with: keys), "\(status)")
                }
                // By the API.
                let byAPI = try await service.createdToken()
                let account = try await service.complete(byAPI, supplier: "sandbox", as: "sandbox-user")
                try await expect(account.json["return_url"]?.string ?? "", "completed", signedWith: sandbox)
                let plain = try await service.complete(try await service.createdToken())
                try await expect(plain.json["return_url"]?.string ?? "", "completed", signedWith: main)
                // In the browser.
                let (token, browser) = (try await service.createdToken(), TestBrowser(service))
                let open = try await browser.get("/ui?token=\(token)")
                try await expect(open.link("back"), "cancelled", signedWith: main)
                let declined = try await browser.get(
                    try await service.sandboxSignIn(token, browser, "error=access_denied"))
                try await expect(declined.link("back"), "failed", signedWith: sandbox)
                let path = try await service.sandboxSignIn(token, browser)
                let confirm = try await browser.get(path)
                try await expect(confirm.link("back"), "cancelled", signedWith: sandbox)
                let done = try await browser.post(path)
                try await expect(done.goTo, "completed", signedWith: sandbox)
            }
        }

        @Test func `of two signing keys the first signs, and both are published`() async throws {
            let (old, new) = (TestKeys.signing, secretOf(7))
            try await Service.run(prepare: Service.withGreenGrid) { before in
                let token = try await before.createdToken()
                let first = try await before.result(token, as: "s-1")
                // As the rotation goes: the new key is appended, then put first.
                for (configured, signer) in [("\(old),\(new)", old), ("\(new),\(old)", new)] {
                    try await Service.serving(before.database, environment: ["RETURN_SIGNING_KEYS": configured]) {
                        service in
                        let signing = configured.split(separator: ",").map(String.init)
                        let ids = try (signing + [TestKeys.sandboxSigning, TestKeys.webhookSigning]).map {
                            JSONValue.string(try keyID(of: $0))
                        }
                        let published = try await service.keys().compactMap { $0["kid"] }
                        #expect(published == ids)
                        let keys = try await service.keyCollection()
                        let result = try await service.result(token, as: "s-1")
                        let kid = try keyID(of: signer)
                        #expect(result.header["kid"] == .string(kid))
                        #expect(await result.verifies(with: keys))
                        #expect(await first.verifies(with: keys), "what the old key has signed")
                        #expect(result.data == first.data, "only the signature is another")
                    }
                }
            }
        }

        // MARK: What it says

        @Test func `a completed session's result says whose account was linked with whose brand, by whom and when`()
            async throws
        {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let token = try await service.createdToken()
                let completed = try await service.complete(token, as: "s-1")
                let moment = try #require(completed.json["completed_at"]?.number)
                let url = try #require(completed.json["return_url"]?.string)
                #expect(url.hasPrefix("https://your-app.com/callback?data="))
                let result = try #require(ReturnedResult(url))
                let members = result.members
                #expect(Set(members.keys) == Self.whole)
                #expect(members["status"] == .string("completed"))
                #expect(members["iss"] == .string("https://auth.example"))
                let audience = try #require(
                    try await service.database.value("SELECT id FROM manufacturers WHERE name = 'Acme Manufacturing'"))
                #expect(members["aud"] == .string(audience))
                #expect(members["iat"] == .number(moment))
                #expect(members["connected_at"] == .number(moment))
                #expect(members["exp"] == .number(moment + 600))
                #expect(members["brand"] == .string("acme manufacturing"))
                #expect(members["manufacturer_user_id"] == .string(Secrets.publishedUserID))
                #expect(members["supplier"] == .string("green-grid"))
                let user = try #require(members["nox_user_id"]?.string)
                #expect(
                    user.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil)
                let (code, id) = (try #require(members["code"]?.string), try #require(members["jti"]?.string))
                #expect(code.count == 43 && id.count == 43 && code != id)
                // Neither the supplier's id of its user nor the token is anybody's business there.
                let json = String(decoding: try #require(ReturnedResult.decoded(result.data)), as: UTF8.self)
                #expect(!json.contains("s-1") && !json.contains(token))
                // What is sent again is the same; another session's ids are others.
                let other = try await service.result(try await service.createdToken(), as: "s-1")
                #expect(other.members["nox_user_id"] == members["nox_user_id"])
                #expect(other.members["code"] != members["code"] && other.members["jti"] != members["jti"])
            }
        }

        @Test func `what a completed session does not have is absent, and never null`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let beta = try await service.createdToken(key: TestKeys.beta)
                let branded = try await service.result(beta, as: "s-1")
                #expect(Set(branded.members.keys) == Self.whole.subtracting(["brand"]))
                let plain = try await service.complete(try await service.createdToken())
                let result = try #require(ReturnedResult(plain.json["return_url"]?.string ?? ""))
                #expect(Set(result.members.keys) == Self.whole.subtracting(["supplier"]))
                #expect(await result.verifies(with: try await service.keyCollection()))
            }
        }

        @Test func `a brand is in lower case, its words parted by one space`() async throws {
            try await Service.run { service in
                for (stored, expected) in [("alpha-innotec", "alpha innotec"), ("NIBE", "nibe"), ("Élan_X", "élan x")] {
                    try await service.change(
                        "UPDATE manufacturers SET brand = '\(stored)' WHERE name = 'Acme Manufacturing'")
                    let completed = try await service.complete(try await service.createdToken())
                    let result = try #require(ReturnedResult(completed.json["return_url"]?.string ?? ""))
                    #expect(result.members["brand"] == .string(expected))
                }
            }
        }

        @Test func `cancelled, expired and failed results are signed too, and name neither a user nor a code`()
            async throws
        {
            try await Service.run { service in
                let keys = try await service.keyCollection()
                let (token, browser) = (try await service.createdToken(), TestBrowser(service))
                let cancelled = try await browser.get("/ui?token=\(token)").link("back")
                let failed = try await browser.get(
                    try await service.sandboxSignIn(token, browser, "error=server_error")
                ).link("back")
                try await service.age(token)
                let expired = try await browser.get("/ui?token=\(token)").link("back")
                let now = Int(Date().timeIntervalSince1970)
                var ids: Set<String> = []
                for (url, status) in [(cancelled, "cancelled"), (failed, "failed"), (expired, "expired")] {
                    let result = try #require(ReturnedResult(url), "\(status)")
                    #expect(Set(result.members.keys) == ReturnedResult.common, "\(status)")
                    #expect(result.members["status"] == .string(status))
                    #expect(result.members["iss"] == .string("https://auth.example"))
                    #expect(await result.verifies(with: keys), "\(status)")
                    let issued = try #require(result.members["iat"]?.number)
                    #expect(abs(issued - now) <= 5, "\(status)")
                    #expect(result.members["exp"] == .number(issued + 600), "\(status)")
                    ids.insert(try #require(result.members["jti"]?.string))
                }
                #expect(ids.count == 3)
            }
        }
    }
}
