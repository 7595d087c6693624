// Providers whose keys are as some are out there.

import Foundation
import JWTKit
import LinkSessions
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(3))) struct OddKeyTests {
        private func expect(_ oddities: [Oddity]) async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    try await service.expect(oddities, of: provider)
                }
            }
        }

        /// A key set of these keys, and a token that is signed by ``OddToken``'s key and has this header.
        private func keys(
            _ name: String, _ expectation: Oddity.Expectation, _ keys: String...,
            header change: @escaping @Sendable (inout [String: any Sendable]) -> Void = { _ in }
        ) -> Oddity {
            Oddity(name, expectation) { script in
                (script.oddKeys, script.published) = (keys.joined(separator: ","), [])
                script.changePayload = { header, _ in change(&header) }
            }
        }

        private static let other =
            #"{"kty":"OKP","crv":"Ed25519","x":"\#(String(repeating: "A", count: 43))","kid":"ed"}"#
        private static let noKey = Oddity.Expectation.fails("id_token_invalid", "its key is not among the supplier's")

        @Test func `keys may have no name, or that of others, and lack or spoil what is optional`() async throws {
            let key = OddToken.edKey
            try await expect([
                keys("two of one name", .confirms(), Self.other, key(#""kid":"ed""#)),
                keys("a token that names none of several", .confirms(), Self.other, key(#""kid":"other""#)) {
                    $0["kid"] = nil
                },
                keys("a key without a name, a token with one", .confirms(), key("")),
                keys("a key whose name is a number", .confirms(), key(#""kid":5"#)),
                keys(
                    "optional members of the wrong type", .confirms(),
                    key(#""kid":"ed","alg":5,"use":["sig"],"key_ops":"x""#)),
                keys("null members", .confirms(), key(#""kid":"ed","alg":null,"use":null,"key_ops":null,"x5c":null"#)),
                keys(
                    "a certificate that is none", .confirms(),
                    key(#""kid":"ed","x5c":["x"],"x5t":7,"d":"private""#)),
                keys("key_ops with verify", .confirms(), key(#""kid":"ed","key_ops":["verify"],"alg":"EdDSA""#)),
                keys(
                    "one for encryption under the same name", .confirms(), key(#""kid":"ed","use":"enc""#),
                    key(#""kid":"ed""#)),
                keys(
                    "elements that are no keys", .confirms(), "null", "7", "[]", "{}", #"{"kty":"oct","k":"x"}"#,
                    #"{"kty":"EC","crv":"secp256k1","kid":"ed"}"#, #"{"kty":"RSA","kid":"ed"}"#, key(#""kid":"ed""#)),
                keys(
                    "fifty keys", .confirms(), (0..<49).map { key(#""kid":"k\#($0)""#) }.joined(separator: ","),
                    key(#""kid":"ed""#)),
                keys("a token with members that say where to find another key", .confirms(), key(#""kid":"ed""#)) {
                    $0.merge(["jku": "https://evil.example/keys", "x5u": "https://evil.example", "typ": "x"]) { $1 }
                },
            ])
        }

        @Test func `a key that is for something else, too short or another's verifies nothing`() async throws {
            let key = OddToken.edKey
            try await expect([
                keys("for encryption", Self.noKey, key(#""kid":"ed","use":"enc""#)),
                keys("for other operations", Self.noKey, key(#""kid":"ed","key_ops":["sign","deriveKey"]"#)),
                keys("for another algorithm", Self.noKey, key(#""kid":"ed","alg":"ES256""#)),
                keys("another name", Self.noKey, key(#""kid":"other""#)),
                keys("another kind", Self.noKey, key(#""kid":"ed""#).replacing("OKP", with: "EC")),
                keys("another's alone", .fails("id_token_invalid", "its signature or its form is wrong"), Self.other),
                keys("none", Self.noKey),
                keys(
                    "a token whose name is a number", .fails("id_token_invalid", "its signature or its form is wrong"),
                    key(#""kid":"ed""#)
                ) { $0["kid"] = 7 },
                Oddity("1024 bits", Self.noKey) {
                    $0.rsaAlgorithm = "RS256"
                    $0.oddKeys = OddToken.rsaKey(OddToken.shortModulus)
                },
            ])
        }

        @Test(arguments: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"])
        func `every algorithm with RSA is taken`(algorithm: String) async throws {
            try await expect([
                Oddity(algorithm, .confirms()) {
                    $0.rsaAlgorithm = algorithm
                    $0.oddKeys = OddToken.rsaKey()
                },
                Oddity("\(algorithm), with padding and a zero in front", .confirms()) {
                    $0.rsaAlgorithm = algorithm
                    let bytes = [0] + (Base64URL.decode(OddToken.modulus) ?? [])
                    $0.oddKeys = OddToken.rsaKey(Data(bytes).base64EncodedString(), e: "AAEAAQ==")
                },
            ])
        }

        @Test func `numbers of an elliptic curve's key may lack the zeros in front, or be padded`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let parameters = try #require(provider.keys["key-1"]?.publicKey.parameters)
                    let (x, y) = (ScriptedProvider.url(parameters.x), ScriptedProvider.url(parameters.y))
                    try await service.expect(
                        [
                            Oddity("zeros in front, and padding", .confirms()) {
                                $0.published = []
                                $0.oddKeys =
                                    #"{"kty":"EC","crv":"P-256","kid":"key-1","x":"AAAA\#(x)","y":"\#(y)="}"#
                            }
                        ], of: provider)
                }
            }
        }

        @Test func `keys that change are had at once, and those that cannot be had cost no code`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    func signIn() async throws -> (name: String, token: String) {
                        let token = try await service.createdToken()
                        return (try await TestBrowser(service).signIn(token, at: provider).page.name, token)
                    }
                    provider.script.withLock { $0.answers["/keys"] = (503, [], "") }
                    let (name, token) = try await signIn()
                    #expect(name == "failed")
                    #expect(provider.count("/token") == 0)
                    let told = try await service.detail(token)
                    #expect(told.reason == "supplier_unavailable")
                    #expect(told.detail.contains("its keys could not be had: status 503"), "\(told.detail)")
                    provider.script.withLock { $0.answers["/keys"] = nil }
                    #expect(try await signIn().name == "confirm")
                    provider.script.withLock { ($0.keyID, $0.published) = ("key-2", ["key-2"]) }
                    #expect(try await signIn().name == "confirm")
                    #expect(provider.count("/keys") == 3)
                }
            }
        }
    }
}
