// ID tokens: each check that one has to pass, tried by a token that fails this check alone.

@testable import AuthenticatorUI
import Foundation
import LinkSessions
import Testing
import TokenGenerator

@Suite struct IDTokenTests {
    private static let now = 1_800_000_000.0
    private static let issuer = "https://login.example/caf\u{E9}"
    private static let nonce = "n-1"

    /// The provider's key, and another one that is as good.
    private let key: SigningKey
    private let otherKey: SigningKey

    init() throws {
        key = try #require(SigningKey(seed: [UInt8](repeating: 1, count: 32)))
        otherKey = try #require(SigningKey(seed: [UInt8](repeating: 2, count: 32)))
    }

    /// A key as a provider publishes it; `nil` leaves a member out.
    private func published(
        _ key: SigningKey, id: String? = "key-1", use: String? = "sig", algorithm: String? = nil, more: String = ""
    ) -> String {
        let members = [("kid", id), ("use", use), ("alg", algorithm)]
            .compactMap { name, value in value.map { #","\#(name)":"\#($0)""# } }.joined()
        return #"{"kty":"OKP","crv":"Ed25519","x":"\#(Base64URL.encode(key.publicKey))"\#(members)\#(more)}"#
    }

    /// A token that is right but for what is changed.
    private func token(
        header: [String: any Sendable] = ["alg": "EdDSA", "kid": "key-1"], claims: [String: any Sendable] = [:],
        without removed: String? = nil, signedBy signer: SigningKey? = nil
    ) throws -> String {
        var all: [String: any Sendable] = [
            "iss": Self.issuer, "sub": "subject-1", "aud": "client-1", "exp": Self.now + 300, "iat": Self.now,
            "nonce": Self.nonce,
        ]
        all.merge(claims) { $1 }
        if let removed { all[removed] = nil }
        let parts = try [header, all].map { Base64URL.encode(Array(try JSONSerialization.data(withJSONObject: $0))) }
        let signed = parts.joined(separator: ".")
        return "\(signed).\(Base64URL.encode(try (signer ?? key).signature(of: Array(signed.utf8))))"
    }

    /// What the token is refused for; `nil` where it is accepted.
    private func refusal(_ token: String, keys: [String]? = nil) async throws -> String? {
        let json = #"{"keys":[\#((keys ?? [published(key)]).joined(separator: ","))]}"#
        let keySet = try JSONDecoder().decode(ProviderKeySet.self, from: Data(json.utf8))
        do throws(ProviderError) {
            let token = try await IDToken(
                verifying: token, keys: keySet, issuer: Self.issuer, clientID: "client-1", nonce: Self.nonce,
                now: Self.now)
            return token.subject == "subject-1" ? nil : "another subject"
        } catch {
            let failure = if case .byBrowser(let failure) = error { failure } else { error }
            guard case .idToken(let what) = failure else { return "another error" }
            return what
        }
    }

    private let noKey = "its key is not among the supplier's"

    @Test func `a token that is right is accepted`() async throws {
        #expect(try await refusal(try token()) == nil)
    }

    // MARK: The key

    @Test(arguments: ["enc", "", "SIG", "sig ", "sign"])
    func `a key for another use than signatures verifies no token`(use: String) async throws {
        #expect(try await refusal(try token(), keys: [published(key, use: use)]) == noKey)
        // Nor is it in the way of the one for signatures.
        #expect(try await refusal(try token(), keys: [published(otherKey, use: use), published(key)]) == nil)
    }

    @Test func `a key that names no use verifies a token`() async throws {
        #expect(try await refusal(try token(), keys: [published(key, use: nil)]) == nil)
    }

    @Test func `a key of another algorithm verifies no token`() async throws {
        #expect(try await refusal(try token(), keys: [published(key, algorithm: "EdDSA")]) == nil)
        #expect(try await refusal(try token(), keys: [published(key, algorithm: "ES256")]) == noKey)
    }

    @Test func `a token is verified by a key that it names or one without a name, and by no other`() async throws {
        #expect(try await refusal(try token(), keys: [published(key, id: "key-2")]) == noKey)
        #expect(try await refusal(try token(), keys: [published(key, id: nil)]) == nil)
        #expect(try await refusal(try token(), keys: [published(otherKey), published(key, id: nil)]) != nil)
        #expect(try await refusal(try token(), keys: [published(otherKey), published(key, id: "key-2")]) != nil)
        #expect(try await refusal(try token(), keys: []) == noKey)
    }

    @Test func `a token that names no key is verified by any that fits, of a bounded number`() async throws {
        let token = try token(header: ["alg": "EdDSA"])
        #expect(try await refusal(token) == nil)
        #expect(try await refusal(token, keys: [published(key), published(otherKey, use: "enc")]) == nil)
        #expect(try await refusal(token, keys: [published(otherKey, id: "key-2"), published(key)]) == nil)
        let others = [String](repeating: published(otherKey), count: 7)
        #expect(try await refusal(token, keys: others + [published(key)]) == nil)
        #expect(try await refusal(token, keys: others + [published(otherKey), published(key)]) != nil)
    }

    @Test func `of two keys of the same id either may have signed`() async throws {
        #expect(try await refusal(try token(), keys: [published(otherKey), published(key)]) == nil)
        #expect(try await refusal(try token(), keys: [published(otherKey), published(otherKey)]) != nil)
    }

    @Test func `a private part that a provider publishes by mistake is not used`() async throws {
        let part = Base64URL.encode([UInt8](repeating: 2, count: 32))
        #expect(try await refusal(try token(), keys: [published(key, more: #","d":"\#(part)""#)]) == nil)
    }

    @Test func `the signature must be the key's, over this header and these claims`() async throws {
        #expect(try await refusal(try token(signedBy: otherKey)) != nil)
        let (one, other) = (try token(), try token(claims: ["sub": "subject-2"]))
        let parts = { (token: String) in token.split(separator: ".").map(String.init) }
        #expect(try await refusal([parts(one)[0], parts(other)[1], parts(one)[2]].joined(separator: ".")) != nil)
        #expect(try await refusal("\(parts(one)[0]).\(parts(one)[1]).") != nil)
        #expect(try await refusal("\(parts(one)[0]).\(parts(one)[1])") != nil)
    }

    @Test(arguments: ["none", "None", "HS256", "HS512", "RS1", "ES256K", "eddsa", ""])
    func `another algorithm than those that are accepted is refused, whoever signed`(algorithm: String) async throws {
        let token = try token(header: ["alg": algorithm, "kid": "key-1"])
        #expect(try await refusal(token) == "its algorithm is not allowed")
    }

    @Test func `a critical extension is not understood, so its token is refused`() async throws {
        let header: [String: any Sendable] = ["alg": "EdDSA", "kid": "key-1", "crit": ["exp"], "exp": 1]
        #expect(try await refusal(try token(header: header)) == "it has critical extensions")
    }

    // MARK: The claims

    @Test func `the issuer is compared byte for byte`() async throws {
        for issuer in [
            "https://login.example/cafe\u{301}", Self.issuer + "/", "https://login.example", "HTTPS://login.example",
        ] {
            #expect(try await refusal(try token(claims: ["iss": issuer])) == "it is of another issuer", "\(issuer)")
        }
    }

    @Test func `we are among the audiences, and the party where there are several or one is named`() async throws {
        let (others, party) = ("it is for another audience", "it was issued to another party")
        let several = ["client-2", "client-1"]
        for (claims, expected) in [
            (["aud": ["client-1"]], nil), (["aud": "client-2"], others), (["aud": [String]()], others),
            (["aud": ["client-2"], "azp": "client-1"], others), (["aud": several], party),
            (["aud": several, "azp": "client-1"], nil), (["aud": several, "azp": "client-2"], party),
            (["azp": "client-2"], party), (["azp": "client-1"], nil),
        ] as [([String: any Sendable], String?)] {
            #expect(try await refusal(try token(claims: claims)) == expected, "\(claims)")
        }
    }

    @Test func `the nonce is that of this sign-in`() async throws {
        #expect(try await refusal(try token(claims: ["nonce": "n-2"])) == "it is of another sign-in")
        #expect(try await refusal(try token(without: "nonce")) == "it is of another sign-in")
    }

    @Test func `a token is good from its times to its end, with a minute for clocks that differ`() async throws {
        let (expired, early) = ("it is expired", "it is not valid yet")
        for (name, offset, expected) in [
            ("exp", -59, nil), ("exp", -60, expired), ("exp", -61, expired), ("iat", 59, nil), ("iat", 60, early),
            ("iat", 61, early), ("iat", -86_400, nil), ("nbf", 59, nil), ("nbf", 60, early), ("nbf", 61, early),
            ("nbf", -86_400, nil),
        ] as [(String, Double, String?)] {
            #expect(try await refusal(try token(claims: [name: Self.now + offset])) == expected, "\(name) \(offset)")
        }
    }

    @Test(arguments: ["iss", "sub", "aud", "exp", "iat"])
    func `a token that lacks a required claim is refused`(claim: String) async throws {
        #expect(try await refusal(try token(without: claim)) == "its signature or its form is wrong")
    }
}
