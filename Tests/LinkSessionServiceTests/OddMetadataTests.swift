// Providers whose metadata, client authentication or token endpoint are as some are out there.

import Foundation
import NIOHTTP1
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(3))) struct OddMetadataTests {
        private static let secret = "zq7 client+secret/&%"
        private static let configuration = "/.well-known/openid-configuration"

        private func expect(_ oddities: [Oddity]) async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(environment: ["SUPPLIER_MOCK_SECRET": Self.secret]) { service in
                    try await service.expect(oddities, of: provider)
                }
            }
        }

        @Test func `metadata may be written as nobody expects, and omit what is optional`() async throws {
            let json =
                #"{"issuer":"{issuer}","authorization_endpoint":"{issuer}/authorize","token_endpoint":"{issuer}/token","jwks_uri":"{issuer}/keys"}"#
            try await expect([
                Oddity("a byte order mark before every body", .confirms()) { $0.prefix = "\u{FEFF}" },
                Oddity("another media type", .confirms()) {
                    $0.headers = [("content-type", "text/plain; charset=utf-8")]
                },
                Oddity("application/jwk-set+json", .confirms()) {
                    $0.headers = [("content-type", "application/jwk-set+json")]
                },
                Oddity("large metadata", .confirms()) { $0.metadata = ["x": String(repeating: "x", count: 200_000)] },
                Oddity("optional members of the wrong type", .confirms()) {
                    $0.metadata = [
                        "token_endpoint_auth_methods_supported": "client_secret_post", "response_modes_supported": 7,
                        "userinfo_endpoint": ["x"], "prompt_values_supported": ["login": true],
                        "authorization_response_iss_parameter_supported": "true", "scopes_supported": "{null}",
                    ]
                },
                Oddity("no S256 among the code challenge methods", .confirms()) {
                    $0.metadata = ["code_challenge_methods_supported": ["plain"]]
                },
                Oddity("no email among the scopes", .confirms()) { $0.metadata = ["scopes_supported": ["openid"]] },
                Oddity(
                    "endpoints with a query", .confirms(), check: { $0.contains { $0.path.hasSuffix("/token?a=b&c") } }
                ) {
                    $0.metadata = [
                        "token_endpoint": "{issuer}/token?a=b&c", "authorization_endpoint": "{issuer}/a?b=c",
                    ]
                    $0.paths = ["/token?a=b&c": "/token"]
                },
                Oddity("an issuer with a slash at its end", .confirms(), columns: "issuer = '{issuer}/'") {
                    $0.metadata = ["issuer": "{issuer}/"]
                    $0.changeClaims = { $0.iss += "/" }
                },
                Oddity(
                    "metadata elsewhere, with a policy in the query", .confirms(),
                    columns: "discovery_url = '{issuer}/elsewhere?p=b2c_1'"
                ) { $0.answers["/elsewhere?p=b2c_1"] = (200, [], json) },
                Oddity("a status that is another success", .confirms()) {
                    $0.answers[Self.configuration] = (203, [], json)
                },
            ])
        }

        @Test func `metadata that cannot be used say why`() async throws {
            try await expect([
                Oddity(
                    "metadata elsewhere of another issuer", .cannotBegin("its metadata names another issuer"),
                    columns: "discovery_url = '{issuer}/elsewhere'"
                ) { script in
                    script.paths = ["/elsewhere": Self.configuration]
                    script.metadata = ["issuer": "{issuer}/v2.0"]
                },
                Oddity("an issuer of many tenants", .cannotBegin("stand for many tenants")) {
                    $0.metadata = ["issuer": "https://login.example/{tenantid}/v2.0"]
                },
                Oddity("no keys' URL", .cannotBegin("what it publishes has no jwks_uri")) {
                    $0.metadata = ["jwks_uri": "{none}"]
                },
                Oddity("compressed", .cannotBegin("its answer is compressed, which was not asked for")) {
                    $0.answers[Self.configuration] = (200, [("content-encoding", "gzip")], "\u{1F}x")
                },
                Oddity("a redirect", .cannotBegin("status 301, a redirect, which is not followed")) {
                    $0.answers[Self.configuration] = (301, [("location", "https://login.example/")], "")
                },
                Oddity("too large", .cannotBegin("the answer is too large")) {
                    $0.metadata = ["x": String(repeating: "x", count: 300_000)]
                },
                Oddity("a token endpoint in clear text", .cannotBegin("an endpoint that is no https URL")) {
                    $0.metadata = ["token_endpoint": "http://login.example/token"]
                },
            ])
        }

        @Test
        func
            `the client secret is sent as the supplier's setting or its metadata say, and basic where they are silent`()
            async throws
        {
            let encoded = "client-1:zq7%20client%2Bsecret%2F%26%25"
            func basic(_ credentials: String) -> @Sendable ([ScriptedProvider.Request]) -> Bool {
                let value = "Basic \(Data(credentials.utf8).base64EncodedString())"
                return { $0.contains { $0.authorization == value && $0.form["client_secret"] == nil } }
            }
            let post: @Sendable ([ScriptedProvider.Request]) -> Bool = {
                $0.contains { $0.form["client_secret"] == Self.secret && $0.form["client_id"] == "client-1" }
                    && !$0.contains { $0.authorization?.hasPrefix("Basic") == true }
            }
            let methods = "token_endpoint_auth_methods_supported"
            try await expect([
                Oddity("no methods", .confirms(), check: basic(encoded)),
                Oddity("an empty list", .confirms(), check: basic(encoded)) { $0.metadata = [methods: [String]()] },
                Oddity("null", .confirms(), check: basic(encoded)) { $0.metadata = [methods: "{null}"] },
                Oddity("methods that nobody here knows", .confirms(), check: basic(encoded)) {
                    $0.metadata = [methods: ["private_key_jwt", "tls_client_auth"]]
                },
                Oddity("only post", .confirms(), check: post) { $0.metadata = [methods: ["client_secret_post"]] },
                Oddity(
                    "post, by the setting", .confirms(), columns: "client_authentication = 'client_secret_post'",
                    check: post
                ) {
                    $0.metadata = [methods: ["client_secret_basic"]]
                },
                Oddity(
                    "basic, by the setting", .confirms(), columns: "client_authentication = 'client_secret_basic'",
                    check: basic(encoded)
                ) { $0.metadata = [methods: ["client_secret_post"]] },
                Oddity(
                    "basic without encoding, by the setting", .confirms(),
                    columns: "client_authentication = 'client_secret_basic_unencoded'",
                    check: basic("client-1:\(Self.secret)")),
            ])
        }

        @Test func `every request says who asks, and what it can read`() async throws {
            try await expect([
                Oddity(
                    "a firewall", .confirms(showing: "j•••@example.com"),
                    check: { requests in
                        requests.count == 4
                            && requests.allSatisfy { request in
                                request.headers["user-agent"] == ["nox-link-sessions"]
                                    && request.headers["accept"] == ["application/json"]
                                    && request.headers["accept-encoding"] == ["identity"]
                            }
                    }
                ) {
                    $0.metadata = ["userinfo_endpoint": "{issuer}/userinfo"]
                    $0.changeClaims = { $0.email = nil }
                    $0.answers["/userinfo"] = (200, [], #"{"sub":"subject-1","email":"jan@example.com"}"#)
                }
            ])
        }

        @Test func `token endpoints answer in many ways, and what they refuse is told without a secret`() async throws {
            let path = "/token"
            try await expect([
                Oddity("no token type", .confirms()) { $0.tokenResponse = #""access_token":"a""# },
                Oddity("another case, and numbers as texts", .confirms()) {
                    $0.tokenResponse = #""token_type":"BEARER","expires_in":"3600","scope":null,"x":{"y":[]}"#
                },
                Oddity("no access token", .confirms()) { $0.tokenResponse = "" },
                Oddity("an access token of another type", .confirms()) {
                    $0.tokenResponse = #""access_token":{"a":1}"#
                },
                Oddity("seven seconds", .confirms()) { $0.delays = [path: .seconds(7)] },
                Oddity("too slow", .fails("supplier_failed", "no answer in time")) { $0.delays = [path: .seconds(12)] },
                Oddity("an error with status 200", .fails("code_refused", "error invalid_grant: Code expired")) {
                    $0.answers[path] = (200, [], #"{"error":"invalid_grant","error_description":"Code expired"}"#)
                },
                Oddity("a secret that is wrong", .fails("supplier_failed", "status 401, error invalid_client")) {
                    $0.answers[path] = (401, [("www-authenticate", "Basic")], #"{"error":"invalid_client"}"#)
                },
                Oddity("a secret that is wrong, with a page", .fails("supplier_failed", "status 401")) {
                    $0.answers[path] = (401, [("content-type", "text/html")], "<html>no</html>")
                },
                Oddity(
                    "a client that may not do this, with status 200",
                    .fails("supplier_failed", "error unauthorized_client")
                ) { $0.answers[path] = (200, [], #"{"error":"unauthorized_client"}"#) },
                Oddity("a page with status 400", .fails("code_refused", "status 400")) {
                    $0.answers[path] = (400, [("content-type", "text/html")], "<html>no</html>")
                },
                Oddity(
                    "an error with status 500",
                    .fails("supplier_failed", "status 500, error server_error: 1 \\u{202E}x")
                ) {
                    $0.answers[path] = (
                        500, [], "{\"error\":\"server_error\",\"error_description\":\"1\\n\\t\u{202E}x\"}"
                    )
                },
                Oddity("a redirect", .fails("supplier_failed", "status 302, a redirect, which is not followed")) {
                    $0.answers[path] = (302, [("location", "https://login.example/")], "")
                },
                Oddity("no ID token, since openid was not granted", .fails("supplier_failed", "has no ID token")) {
                    $0.answers[path] = (200, [], #"{"access_token":"a","token_type":"Bearer"}"#)
                },
                Oddity(
                    "a description that repeats what it must not",
                    .fails("code_refused", "error invalid_grant: code … of … … was 5f…")
                ) {
                    $0.answers[path] = (
                        400, [],
                        #"{"error":"invalid_grant","error_description":"code eyJhbGciOiJIUzI1NiJ9.eyJ of jan@example.com (123456789) was 5fzq7 client+secret/&%"}"#
                    )
                },
            ])
        }
    }
}
