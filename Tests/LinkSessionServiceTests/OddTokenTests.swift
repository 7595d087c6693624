// Providers whose ID tokens or UserInfo are as some are out there.

import Foundation
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(3))) struct OddTokenTests {
        private func expect(_ oddities: [Oddity]) async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    try await service.expect(oddities, of: provider)
                }
            }
        }

        private static func refused(_ cause: String) -> Oddity.Expectation { .fails("id_token_invalid", cause) }

        @Test func `an ID token may have members of odd types, as long as what protects its user is right`()
            async throws
        {
            let now = Date().timeIntervalSince1970
            let form = "its signature or its form is wrong"
            try await expect([
                Oddity(token: "an audience in a list", .confirms()) { $1["aud"] = ["client-1"] },
                Oddity(token: "times with fractions", .confirms()) {
                    ($1["exp"], $1["iat"]) = (now + 300.5, now - 0.25)
                },
                Oddity(token: "a clock that is ahead", .confirms()) { ($1["iat"], $1["nbf"]) = (now + 40, now + 40) },
                Oddity(token: "a clock that is two minutes ahead", Self.refused("it is not valid yet")) {
                    $1["iat"] = now + 120
                },
                Oddity(token: "an end that is a text", Self.refused(form)) { $1["exp"] = "\(now + 300)" },
                Oddity(token: "a begin that is a text", Self.refused(form)) { $1["nbf"] = "x" },
                Oddity(token: "a subject that is a number", .confirms(showing: "Customer number ending in 4321")) {
                    $1["sub"] = 987_654_321
                },
                Oddity(token: "a subject that is true", Self.refused(form)) { $1["sub"] = true },
                Oddity(token: "a subject that is a fraction", Self.refused(form)) { $1["sub"] = 1.5 },
                Oddity(token: "a nonce that is a number", Self.refused(form)) { $1["nonce"] = 5 },
                Oddity(token: "a party that is a list", Self.refused(form)) { $1["azp"] = ["client-1"] },
                Oddity(token: "an audience of numbers", Self.refused(form)) { $1["aud"] = [1] },
                Oddity(token: "a hash of the access token that is none", .confirms()) { $1["at_hash"] = "x" },
                Oddity(token: "many groups", .confirms()) {
                    $1["groups"] = [String](repeating: String(repeating: "g", count: 36), count: 800)
                },
                Oddity(token: "too many groups", Self.refused("it is larger than 64 KiB")) {
                    $1["groups"] = [String](repeating: String(repeating: "g", count: 36), count: 1600)
                },
                Oddity(token: "claims of the wrong type", .confirms(showing: "Customer number ending in ct-1")) {
                    $1.merge([
                        "email": ["a@b"], "email_verified": "true", "name": 5, "address": "x", "amr": "pwd",
                        "auth_time": "then", "preferred_username": false,
                    ]) { $1 }
                },
                Oddity(token: "no critical extensions", Self.refused("critical extensions")) { header, _ in
                    header["crit"] = [String]()
                },
            ])
        }

        @Test func `whatever tells an account from another is shown, masked, and never dots alone`() async throws {
            try await expect([
                Oddity(token: "an e-mail", .confirms(showing: ">j•••@example.com</bdi>")) {
                    $1["email"] = "jan@example.com"
                },
                Oddity(token: "an e-mail for a name", .confirms(showing: ">j•••@example.com</bdi>")) {
                    ($1["preferred_username"], $1["name"]) = ("jan@example.com", "Jan Jansen")
                },
                Oddity(token: "a name", .confirms(showing: ">Jan J•••</bdi>")) {
                    ($1["preferred_username"], $1["name"]) = ("jj84", "Jan Jansen")
                },
                Oddity(token: "a name in parts", .confirms(showing: ">Jan J•••</bdi>")) {
                    ($1["given_name"], $1["family_name"]) = ("Jan", "Jansen")
                },
                Oddity(token: "a user name", .confirms(showing: ">j•••</bdi>")) { $1["preferred_username"] = "jj84" },
                Oddity(token: "a number", .confirms(showing: ">Customer number ending in 4321</bdi>")) {
                    $1["sub"] = "0987654321"
                },
                Oddity(token: "nearly nothing", .confirms(showing: ">The one that you signed in with just now</bdi>")) {
                    ($1["sub"], $1["name"], $1["email"]) = ("7", " ", "")
                },
            ])
        }

        @Test func `where a sign-in must be recent, the token has to say so`() async throws {
            let now = Date().timeIntervalSince1970
            let column = "max_age = 600"
            try await expect([
                Oddity(token: "recent", .confirms(), columns: column) { $1["auth_time"] = Int(now - 500) },
                Oddity(token: "too long ago", Self.refused("signed in longer ago than max_age"), columns: column) {
                    $1["auth_time"] = Int(now - 700)
                },
                Oddity(token: "not said", Self.refused("it does not say when its user signed in"), columns: column) {
                    _, _ in
                },
                Oddity(token: "no number", Self.refused("it does not say when its user signed in"), columns: column) {
                    $1["auth_time"] = "\(Int(now))"
                },
            ])
        }

        private func userInfo(
            _ name: String, _ showing: String, _ answer: ScriptedProvider.Answer, isAsked: Bool = true,
            endpoint: String = "{issuer}/userinfo", delay: Duration = .zero,
            claims: @escaping @Sendable (inout ScriptedProvider.Claims) -> Void = { $0.email = nil }
        ) -> Oddity {
            Oddity(
                name, .confirms(showing: showing),
                check: { requests in
                    let asked = requests.filter { $0.path.hasSuffix("/userinfo") }
                    return isAsked ? asked.count == 1 && asked[0].authorization == "Bearer a" : asked.isEmpty
                }
            ) {
                $0.metadata = ["userinfo_endpoint": endpoint]
                $0.answers["/userinfo"] = answer
                $0.delays["/userinfo"] = delay
                $0.changeClaims = claims
            }
        }

        @Test func `what the ID token lacks comes from UserInfo, which nobody needs to sign in`() async throws {
            let jwt: ScriptedProvider.Answer = (200, [("content-type", "application/jwt")], "eyJhbGciOiJub25lIn0.e30.")
            let (number, email) = ("Customer number ending in ct-1", #"{"sub":"subject-1","email":"jan@example.com"}"#)
            try await expect([
                userInfo("an e-mail", "j•••@example.com", (200, [], email)),
                userInfo("an e-mail beside a name", "j•••@example.com", (200, [], email)) {
                    ($0.email, $0.preferred_username) = (nil, "jan jansen")
                },
                userInfo("a name", "Jan J•••", (200, [], #"{"sub":"subject-1","name":"Jan Jansen"}"#)),
                userInfo("not asked where the token says enough", "j•••@example.com", (200, [], email), isAsked: false)
                { _ in },
                userInfo("another subject", number, (200, [], #"{"sub":"subject-2","email":"eve@example.com"}"#)),
                userInfo("no subject", number, (200, [], #"{"email":"eve@example.com"}"#)),
                userInfo("a JWT", number, jwt),
                userInfo("no JSON", number, (200, [], "<html>")),
                userInfo("status 403", number, (403, [], #"{"error":"insufficient_scope"}"#)),
                userInfo("a redirect", number, (302, [("location", "https://evil.example/")], "")),
                userInfo("too slow", number, (200, [], email), delay: .seconds(5)),
                userInfo(
                    "an endpoint without encryption", number, (200, [], email), isAsked: false,
                    endpoint: "http://login.example/userinfo"),
                userInfo(
                    "a subject that is a number", "j•••@example.com",
                    (200, [], #"{"sub":12345,"email":"jan@example.com"}"#)
                ) {
                    ($0.sub, $0.email) = ("12345", nil)
                },
            ])
        }
    }
}
