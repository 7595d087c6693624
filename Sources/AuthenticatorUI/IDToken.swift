// ID tokens: what a supplier says about who signed in.

internal import Foundation
internal import JWTKit
internal import LinkSessions

/// Why an ID token was not accepted; holds nothing of the token.
struct IDTokenError: Error {
    let what: String
}

/// One audience or several (RFC 7519, section 4.1.3). JWTKit's own claim ends the process where the list is empty.
private struct Audiences: Codable {
    let values: [String]

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let value = try? container.decode(String.self) {
            values = [value]
        } else {
            values = try container.decode([String].self)
        }
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(values)
    }
}

/// A claim that is only shown: of another type it is as good as absent.
private struct Lenient: Codable {
    let text: String?

    init(from decoder: any Decoder) throws { text = try? decoder.singleValueContainer().decode(String.self) }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// The claims of an ID token (OpenID Connect Core 1.0, section 2).
private struct IDTokenClaims: JWTPayload {
    let iss: String
    let sub: String
    let aud: Audiences
    let exp: Double
    let iat: Double
    let nbf: Double?
    let nonce: String?
    let azp: String?
    let email: Lenient?
    let preferred_username: Lenient?
    let name: Lenient?

    /// The signature is checked by then; the claims are judged by ``IDToken``, which knows what is expected.
    func verify(using _: some JWTAlgorithm) {}
}

private struct IDTokenHeader: Decodable {
    let alg: String
    let kid: String?
    let crit: [String]?
}

/// A supplier's published keys (RFC 7517, section 5).
struct ProviderKeys: Sendable, Decodable {
    struct Key: Sendable {
        let jwk: JWK
        let isForSignatures: Bool

        var id: String? { jwk.keyIdentifier?.string }
    }

    let keys: [Key]

    private enum CodingKeys: CodingKey { case keys }

    /// Keys of kinds that are not known here are left out (RFC 7517, section 5).
    private struct Element: Decodable {
        private enum CodingKeys: CodingKey { case use }

        let key: Key?

        init(from decoder: any Decoder) throws {
            do {
                let use = try decoder.container(keyedBy: CodingKeys.self).decodeIfPresent(String.self, forKey: .use)
                key = Key(jwk: try JWK(from: decoder), isForSignatures: use == nil || use == "sig")
            } catch {
                key = nil
            }
        }
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        keys = try container.decode([Element].self, forKey: .keys).compactMap(\.key)
    }
}

/// Who signed in, as a verified ID token says.
struct IDToken: Sendable {
    let subject: String
    /// What the user knows the account by, masked.
    let account: String

    /// Signature algorithms that count, and the kind and curve of each one's keys (RFC 7518, section 3.1; RFC 8037,
    /// section 3.1). Neither `none` nor one with a shared secret is here.
    private static let algorithms: [String: (JWK.Algorithm, JWK.KeyType, curve: String?)] = [
        "RS256": (.rs256, .rsa, nil), "PS256": (.ps256, .rsa, nil), "ES256": (.es256, .ecdsa, "P-256"),
        "ES384": (.es384, .ecdsa, "P-384"), "EdDSA": (.eddsa, .octetKeyPair, "Ed25519"),
    ]
    private static let clockSkew = 60.0

    /// The key id that the token names, to see whether the keys have to be fetched anew.
    static func keyID(of token: String) throws(IDTokenError) -> String? { try header(of: token).kid }

    /// Verifies a token (OpenID Connect Core 1.0, section 3.1.3.7).
    ///
    /// - Parameter now: Unix seconds.
    init(
        verifying token: String, keys: ProviderKeys, issuer: String, clientID: String, nonce: String, now: Double
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
        // Without a key id there must be no doubt which key is meant.
        guard candidates.count == 1, var jwk = candidates.first?.jwk else {
            throw IDTokenError(what: "its key is not among the supplier's")
        }
        jwk.algorithm = algorithm
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
        account = Self.masked(
            email: claims.email?.text, name: claims.preferred_username?.text ?? claims.name?.text, subject: claims.sub)
    }

    private static func header(of token: String) throws(IDTokenError) -> IDTokenHeader {
        let part = token.prefix { $0 != "." }
        guard let bytes = Base64URL.decode(part),
            let header = try? JSONDecoder().decode(IDTokenHeader.self, from: Data(bytes))
        else { throw IDTokenError(what: "it has no header") }
        return header
    }

    /// Enough for its owner to know the account again, too little for anybody else. At most 200 Unicode scalars.
    static func masked(email: String?, name: String?, subject: String) -> String {
        let dots = "•••"
        let shown =
            if let email = email?.unicodeScalars, let at = email.lastIndex(of: "@"), at > email.startIndex {
                escaped(email.prefix(1)) + dots + escaped(email[at...])
            } else if let name, !name.isEmpty {
                escaped(name.unicodeScalars.prefix(1)) + dots
            } else {
                dots + (subject.unicodeScalars.count >= 12 ? escaped(subject.unicodeScalars.suffix(4)) : "")
            }
        return String(String.UnicodeScalarView(shown.unicodeScalars.prefix(200)))
    }

    private static func escaped(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        DisplayText.escaped(String(String.UnicodeScalarView(scalars)))
    }
}

extension String {
    /// Byte for byte: `==` takes texts for equal that only look so.
    func isSame(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
