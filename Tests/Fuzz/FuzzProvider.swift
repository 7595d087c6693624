// What energy suppliers' providers publish and answer.

import Dispatch
import Foundation
import JWTKit
import LinkSessions
import Synchronization

@testable import AuthenticatorUI

private let issuer = "https://login.example"

func fuzzProviderMetadata(_ input: [UInt8]) {
    guard let metadata = try? JSONDecoder().decode(ProviderMetadata.self, from: Data(input)),
        let url = ProviderURL(issuer), (try? metadata.check(url)) != nil
    else { return }
    expect(metadata.issuer == issuer)
    let endpoints = [metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri]
    for endpoint in endpoints + [metadata.userInfoEndpoint(of: url)].compactMap(\.self) {
        expect(endpoint.lowercased().hasPrefix("https://") && !hasControl(endpoint), "nothing goes unencrypted")
        expect(URLComponents(string: endpoint)?.user == nil && !endpoint.contains("#"))
    }
}

func fuzzKeySet(_ input: [UInt8]) {
    guard let set = try? JSONDecoder().decode(ProviderKeySet.self, from: Data(input)) else { return }
    for key in set.keys.prefix(4) {
        expect(key.id?.utf8.count ?? 0 <= input.count)
        // Whatever its numbers are: taken or refused.
        wait { _ = try? await JWTKeyCollection().add(jwk: key.jwk) }
    }
}

/// The first line: a token, of which nobody has signed one; the others: claims that are taken as if they were signed.
func fuzzIDToken(_ input: [UInt8]) {
    let end = input.firstIndex(of: UInt8(ascii: "\n")) ?? input.endIndex
    let token = String(decoding: input[..<end], as: UTF8.self)
    wait {
        let claims = try? await IDTokenClaims(verifying: token, keys: published)
        expect(claims == nil, "nobody has signed it")
    }
    let now = 1_800_000_000.0
    guard let claims = try? JSONDecoder().decode(IDTokenClaims.self, from: Data(input[end...])),
        let verified = try? IDToken(
            checking: claims, of: token, issuer: issuer, clientID: "client-1", nonce: "n-1", maxAge: 60, now: now)
    else { return }
    expect(claims.iss == issuer && claims.nonce == "n-1" && claims.aud.values.contains("client-1"))
    expect(claims.aud.values.count == 1 || claims.azp == "client-1", "it is ours alone")
    expect(claims.exp > now - 60 && claims.iat < now + 60 && (claims.auth_time?.value ?? 0) > now - 120)
    expect(verified.subject == claims.sub.text)
}

private let published: ProviderKeySet = {
    let key = #"{"kty":"OKP","crv":"Ed25519","kid":"key-1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
    return try! JSONDecoder().decode(ProviderKeySet.self, from: Data(#"{"keys":[\#(key)]}"#.utf8))
}()

/// The first line is the secret of a sign-in; the others what its supplier says of an error.
func fuzzSupplierText(_ input: [UInt8]) {
    let end = input.firstIndex(of: UInt8(ascii: "\n")) ?? input.endIndex
    let secret = String(decoding: input[..<end], as: UTF8.self)
    let text = ProviderText.harmless(String(decoding: input[end...], as: UTF8.self), limit: 160, without: [secret])
    expect(text.unicodeScalars.count <= 161 && !hasControl(text) && !text.contains("@"), "short, and on one line")
    // A shorter one may stand in how a character is escaped.
    guard secret.utf8.count >= 8, Base64URL.decode(secret) != nil else { return }
    expect(Array(text.utf8).firstRange(of: Array(secret.utf8)) == nil, "no secret is repeated")
}

/// Ends when the work does.
private func wait(_ work: @escaping @Sendable () async -> Void) {
    let done = DispatchSemaphore(value: 0)
    Task.detached {
        await work()
        done.signal()
    }
    done.wait()
}
