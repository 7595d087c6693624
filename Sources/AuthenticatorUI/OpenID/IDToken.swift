internal import Foundation
internal import JWTKit
internal import LinkSessions

/// What a supplier says about who signed in: a verified ID token.
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
    static func keyID(of token: String) throws(ProviderError) -> String? { try header(of: token).kid }

    /// Verifies a token (OpenID Connect Core 1.0, section 3.1.3.7).
    ///
    /// - Parameter now: Unix seconds.
    init(
        verifying token: String, keys: ProviderKeySet, issuer: String, clientID: String, nonce: String, now: Double
    ) async throws(ProviderError) {
        let header = try Self.header(of: token)
        try Self.require(header.crit == nil, else: "it has critical extensions")
        guard let (algorithm, keyType, curve) = Self.algorithms[header.alg] else {
            throw .idToken("its algorithm is not allowed")
        }
        let candidates = keys.keys.filter { key in
            key.isForSignatures && key.jwk.keyType == keyType && (curve == nil || key.jwk.curve?.rawValue == curve)
                && (key.jwk.algorithm == nil || key.jwk.algorithm == algorithm)
                && (header.kid == nil || key.id == header.kid)
        }
        // No key is tried after another: a token names its key, or the provider has only one that it can mean.
        guard candidates.count == 1, var jwk = candidates.first?.jwk else {
            throw .idToken("its key is not among the supplier's")
        }
        jwk.algorithm = algorithm
        // JWTKit takes no key without an id, and reads a private exponent where a provider publishes one by mistake.
        jwk.keyIdentifier = "key"
        jwk.privateExponent = nil
        let claims: IDTokenClaims
        do {
            claims = try await JWTKeyCollection().add(jwk: jwk).verify(token, as: IDTokenClaims.self)
        } catch {
            throw .idToken("its signature or its form is wrong")
        }
        try Self.require(claims.iss.isSame(as: issuer), else: "it is of another issuer")
        let audiences = claims.aud.values
        try Self.require(audiences.contains { $0.isSame(as: clientID) }, else: "it is for another audience")
        let isOurs = claims.azp.map { $0.isSame(as: clientID) } ?? (audiences.count == 1)
        try Self.require(isOurs, else: "it was issued to another party")
        try Self.require(claims.nonce?.isSame(as: nonce) == true, else: "it is of another sign-in")
        try Self.require(claims.exp > now - Self.clockSkew, else: "it is expired")
        try Self.require(max(claims.iat, claims.nbf ?? 0) < now + Self.clockSkew, else: "it is not valid yet")
        subject = claims.sub
        account = MaskedAccount.text(
            email: claims.email?.text, name: claims.preferred_username?.text ?? claims.name?.text, subject: claims.sub)
    }

    private static func require(_ condition: Bool, else what: String) throws(ProviderError) {
        guard condition else { throw .idToken(what) }
    }

    private static func header(of token: String) throws(ProviderError) -> IDTokenHeader {
        let part = token.prefix { $0 != "." }
        guard let bytes = Base64URL.decode(part),
            let header = try? JSONDecoder().decode(IDTokenHeader.self, from: Data(bytes))
        else { throw .idToken("it has no header") }
        return header
    }
}

extension String {
    /// Byte for byte. `==` compares by canonical equivalence, so that texts of different bytes can be equal.
    func isSame(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}

/// The members of a token's header that verification looks at (RFC 7515, section 4.1).
struct IDTokenHeader: Decodable {
    let alg: String
    let kid: String?
    let crit: [String]?
}

/// OpenID Connect Core 1.0, section 2. JWTKit asks for what can be encoded, too; nothing here ever is.
struct IDTokenClaims: JWTPayload {
    let iss: String
    let sub: String
    let aud: Audiences
    let exp: Double
    let iat: Double
    let nbf: Double?
    let nonce: String?
    let azp: String?
    let email: DisplayedClaim?
    let preferred_username: DisplayedClaim?
    let name: DisplayedClaim?

    /// Does nothing: ``IDToken`` checks the claims, since it knows which are expected.
    func verify(using _: some JWTAlgorithm) {}
}

/// One audience or several (RFC 7519, section 4.1.3). JWTKit's own claim ends the process where the list is empty.
struct Audiences: Codable {
    let values: [String]

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let one = try? container.decode(String.self)
        values = try one.map { [$0] } ?? container.decode([String].self)
    }
}

/// A claim that is only shown to its user. One that is no text is no reason to refuse the token: it counts as absent.
struct DisplayedClaim: Codable {
    let text: String?

    init(from decoder: any Decoder) throws { text = try? decoder.singleValueContainer().decode(String.self) }
}

/// An account as its user is shown it before confirming: enough for its owner to know the account again, too little for anybody else.
enum MaskedAccount {
    /// At most 200 Unicode scalars, which is less than the database takes.
    static func text(email: String?, name: String?, subject: String) -> String {
        let dots = "•••"
        let shown =
            if let email = email?.unicodeScalars, let at = email.lastIndex(of: "@"), at > email.startIndex {
                String(email.prefix(1)) + dots + String(email[at...])
            } else if let first = name?.unicodeScalars.first {
                String(first) + dots
            } else {
                dots + (subject.unicodeScalars.count >= 12 ? String(subject.unicodeScalars.suffix(4)) : "")
            }
        return String(DisplayText.escaped(shown).unicodeScalars.prefix(200))
    }
}
