// A provider's metadata: whose it is, and where it sends browsers, codes and client secrets.

@testable import AuthenticatorUI
import Foundation
import LinkSessions
import Testing

@Suite struct ProviderMetadataTests {
    private static let https = "https://login.example"
    private static let loopback = "http://127.0.0.1:8080"

    /// What the metadata is refused for; `nil` where it is accepted.
    private func refusal(_ changes: [String: String] = [:], of issuer: String = https) throws -> String? {
        let members = [
            "issuer": issuer, "authorization_endpoint": "\(issuer)/authorize", "token_endpoint": "\(issuer)/token",
            "jwks_uri": "\(issuer)/keys",
        ].merging(changes) { $1 }
        let metadata = try JSONDecoder().decode(
            ProviderMetadata.self, from: try JSONSerialization.data(withJSONObject: members))
        let issuer = try #require(ProviderURL(issuer))
        do throws(ProviderError) {
            try metadata.check(issuer)
            return nil
        } catch {
            return error.reason.cause
        }
    }

    @Test func `metadata of its issuer is accepted`() throws {
        #expect(try refusal() == nil)
        #expect(try refusal(of: Self.loopback) == nil)
        #expect(try refusal(["token_endpoint": "https://elsewhere.example/token"]) == nil)
    }

    @Test func `metadata of another issuer is refused, however alike`() throws {
        for issuer in [Self.https + "/", "HTTPS://login.example", "https://login.example.evil.example", ""] {
            #expect(
                try refusal(["issuer": issuer])?.hasSuffix("its metadata names another issuer") == true, "\(issuer)")
        }
    }

    @Test(arguments: ["authorization_endpoint", "token_endpoint", "jwks_uri"])
    func `every endpoint is an https URL, or on this machine where its issuer is`(name: String) throws {
        for url in [
            "http://login.example/x", "javascript:alert(1)", "/x", "", "ftp://login.example/x",
            "https://login.example/x#y", "https://user@login.example/x", "http://127.0.0.1:8080/x",
            "http://localhost/x", "http://[::1]/x",
        ] {
            #expect(
                try refusal([name: url])?.hasSuffix("its metadata has an endpoint that is no https URL") == true,
                "\(url)")
        }
        #expect(try refusal([name: "http://localhost:1/x"], of: Self.loopback) == nil)
        #expect(try refusal([name: "http://login.example/x"], of: Self.loopback) != nil)
    }
}
