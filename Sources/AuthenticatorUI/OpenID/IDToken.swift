// ID tokens: what a supplier says about who signed in.

internal import Foundation
internal import JWTKit
internal import LinkSessions

/// Who signed in, as a verified ID token says.
struct IDToken: Sendable {
    let subject: String
    /// What the user knows the account by, masked.
    let account: String

    /// The signature algorithms that are accepted, and the kind and curve of each one's keys (RFC 7518, section 3.1;
    /// RFC 8037, section 3.1). Neither `none` nor an algorithm with a shared secret is among them.
    private static let algorithms: [String: (JWK.Algorithm, JWK.KeyType, curve: String?)] = [
        "RS256": (.rs256, .rsa, nil), "PS256": (.ps256, .rsa, nil), "ES256": (.es256, .ecdsa, "P-256"),
        "ES384": (.es384, .ecdsa, "P-384"), "EdDSA": (.eddsa, .octetKeyPair, "Ed25519"),
    ]
    /// How many seconds the provider's clock may be ahead or behind.
    private static let clockSkew = 60.0

    /// The id of the key that a token says it is signed with: where the cached keys lack it, they are fetched anew.
    static func keyID(of token: String) throws(IDTokenError) -> String? { try header(of: token).kid }

    /// Verifies a token (OpenID Connect Core 1.0, section 3.1.3.7).
    ///
    /// - Parameter now: Unix seconds.
    init(
        verifying token: String, keys: ProviderKeySet, issuer: String, clientID: String, nonce: String, now: Double
    ) async throws(IDTokenError) {
        let header = try Self.header(of: token)
        guard header.crit == nil else { throw IDTokenError(what: "it has critical extensions") }
        guard let (algorithm, keyType, curve) = Self.algorithms[header.alg] else {
            throw IDTokenError(what: "its algorithm is not allowed")
        }
        let candidates = keys.keys.filter { key in
            key.isForSignatures && key.jwk.keyType == keyType && (curve == nil || key.jwk.curve?.rawValue == curve)
                && (key.jwk.algorithm == nil || key.jwk.algorithm == algorithm)
                && (header.kid == nil || key.id == header.kid)
        }
        // No key is tried after another: a token names its key, or the provider has only one that it can mean.
        guard candidates.count == 1, var jwk = candidates.first?.jwk else {
            throw IDTokenError(what: "its key is not among the supplier's")
        }
        jwk.algorithm = algorithm
        // JWTKit takes no key without an id, and reads a private exponent where a provider publishes one by mistake.
        jwk.keyIdentifier = "key"
        jwk.privateExponent = nil
        let claims: IDTokenClaims
        do {
            claims = try await JWTKeyCollection().add(jwk: jwk).verify(token, as: IDTokenClaims.self)
        } catch {
            throw IDTokenError(what: "its signature or its form is wrong")
        }
        guard claims.iss.isSame(as: issuer) else { throw IDTokenError(what: "it is of another issuer") }
        guard claims.aud.values.contains(where: { $0.isSame(as: clientID) }) else {
            throw IDTokenError(what: "it is for another audience")
        }
        guard claims.azp.map({ $0.isSame(as: clientID) }) ?? (claims.aud.values.count == 1) else {
            throw IDTokenError(what: "it was issued to another party")
        }
        guard claims.nonce?.isSame(as: nonce) == true else { throw IDTokenError(what: "it is of another sign-in") }
        guard claims.exp > now - Self.clockSkew else { throw IDTokenError(what: "it is expired") }
        guard claims.iat < now + Self.clockSkew, (claims.nbf ?? 0) < now + Self.clockSkew else {
            throw IDTokenError(what: "it is not valid yet")
        }
        subject = claims.sub
        account = MaskedAccount.text(
            email: claims.email?.text, name: claims.preferred_username?.text ?? claims.name?.text, subject: claims.sub)
    }

    private static func header(of token: String) throws(IDTokenError) -> IDTokenHeader {
        let part = token.prefix { $0 != "." }
        guard let bytes = Base64URL.decode(part),
            let header = try? JSONDecoder().decode(IDTokenHeader.self, from: Data(bytes))
        else { throw IDTokenError(what: "it has no header") }
        return header
    }
}

extension String {
    /// Byte for byte. `==` compares by canonical equivalence, so that texts of different bytes can be equal.
    func isSame(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
