internal import Foundation
internal import JWTKit
internal import LinkSessions

/// What a supplier says about who signed in: a verified ID token.
struct IDToken: Sendable {
    let subject: String
    /// What the user knows the account by.
    private(set) var profile: Profile
    /// Why the UserInfo endpoint told nothing, where it was asked.
    private(set) var userInfoCause: String?

    /// How many seconds the provider's clock may be ahead or behind.
    private static let clockSkew = 60.0

    /// Checks the claims of a token whose signature was verified (OpenID Connect Core 1.0, section 3.1.3.7).
    ///
    /// `at_hash` is not looked at: what the access token is for, UserInfo, has to name the same subject.
    ///
    /// - Parameters:
    ///   - maxAge: how many seconds ago its user may have signed in.
    ///   - now: Unix seconds.
    init(
        checking claims: IDTokenClaims, of token: String, issuer: String, clientID: String, nonce: String,
        maxAge: Int? = nil, now: Double
    ) throws(ProviderError) {
        try Self.require(claims.iss.isSame(as: issuer), else: "it is of another issuer")
        let audiences = claims.aud.values
        try Self.require(audiences.contains { $0.isSame(as: clientID) }, else: "it is for another audience")
        let isOurs = claims.azp.map { $0.isSame(as: clientID) } ?? (audiences.count == 1)
        try Self.require(isOurs, else: "it was issued to another party")
        guard claims.nonce?.isSame(as: nonce) == true else { throw .byBrowser(.idToken("it is of another sign-in")) }
        try Self.require(claims.exp > now - Self.clockSkew, else: "it is expired")
        try Self.require(max(claims.iat, claims.nbf ?? 0) < now + Self.clockSkew, else: "it is not valid yet")
        if let maxAge {
            guard let signedInAt = claims.auth_time?.value else {
                throw .byBrowser(.idToken("it does not say when its user signed in, which max_age asks for"))
            }
            guard signedInAt + Double(maxAge) > now - Self.clockSkew else {
                throw .byBrowser(.idToken("its user signed in longer ago than max_age"))
            }
        }
        subject = claims.sub.text
        profile = Profile(token: token)
    }

    /// Verifies a token and checks its claims.
    init(
        verifying token: String, keys: ProviderKeySet, issuer: String, clientID: String, nonce: String, now: Double
    ) async throws(ProviderError) {
        let claims = try await IDTokenClaims(verifying: token, keys: keys)
        try self.init(checking: claims, of: token, issuer: issuer, clientID: clientID, nonce: nonce, now: now)
    }

    /// Takes what the UserInfo endpoint told, where it is about the same user (OpenID Connect Core 1.0, section 5.3.2).
    mutating func add(_ answer: Result<UserInfo, ProviderError>) {
        switch answer {
        case .success(let userInfo):
            guard userInfo.sub.text.isSame(as: subject) else {
                userInfoCause = "UserInfo is about another subject"
                return
            }
            profile = Profile(email: userInfo.profile.email, name: profile.name ?? userInfo.profile.name)
        case .failure(let error): userInfoCause = "UserInfo: \(error.what)"
        }
    }

    private static func require(_ condition: Bool, else what: String) throws(ProviderError) {
        guard condition else { throw .idToken(what) }
    }
}

extension String {
    /// Byte for byte. `==` compares by canonical equivalence, so that texts of different bytes can be equal.
    func isSame(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}

/// The members of a token's header that verification looks at (RFC 7515, section 4.1).
private struct IDTokenHeader: Decodable {
    let alg: String
    let kid: Lenient<String>?
    /// Whatever its value.
    let isCritical: Bool

    private enum CodingKeys: CodingKey { case alg, kid, crit }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        alg = try container.decode(String.self, forKey: .alg)
        kid = try container.decodeIfPresent(Lenient<String>.self, forKey: .kid)
        isCritical = container.contains(.crit)
    }
}

/// The claims that decide (OpenID Connect Core 1.0, section 2). JWTKit asks for what can be encoded, too; nothing here
/// ever is.
struct IDTokenClaims: JWTPayload {
    let iss: String
    let sub: Subject
    let aud: Audiences
    let exp: Double
    let iat: Double
    let nbf: Double?
    let nonce: String?
    let azp: String?
    let auth_time: Lenient<Double>?

    /// Does nothing: ``IDToken`` checks the claims, since it knows which are expected.
    func verify(using _: some JWTAlgorithm) {}
}

extension IDTokenClaims {
    /// The signature algorithms that are accepted, and the kind of each one's keys (RFC 7518, section 3.1; RFC 8037,
    /// section 3.1). Neither `none` nor an algorithm with a shared secret is among them.
    private static let algorithms: [String: (JWK.Algorithm, ProviderKeySet.Kind)] = [
        "RS256": (.rs256, .rsa), "RS384": (.rs384, .rsa), "RS512": (.rs512, .rsa), "PS256": (.ps256, .rsa),
        "PS384": (.ps384, .rsa), "PS512": (.ps512, .rsa), "ES256": (.es256, .p256), "ES384": (.es384, .p384),
        "ES512": (.es512, .p521), "EdDSA": (.eddsa, .ed25519),
    ]
    /// How many keys are tried.
    private static let mostCandidates = 8

    /// Those of a token that one of the keys signed: the keys that it names, or those without a name, or any where it
    /// names none. All are the provider's, so whichever of them fits is as good.
    init(verifying token: String, keys: ProviderKeySet) async throws(ProviderError) {
        guard token.utf8.count <= 65_536 else { throw .idToken("it is larger than 64 KiB") }
        guard let bytes = Base64URL.decode(token.prefix { $0 != "." }),
            let header = try? JSONDecoder().decode(IDTokenHeader.self, from: Data(bytes))
        else { throw .idToken("it has no header") }
        guard !header.isCritical else { throw .idToken("it has critical extensions") }
        guard let (algorithm, kind) = Self.algorithms[header.alg] else {
            throw .idToken("its algorithm is not allowed")
        }
        let fitting = keys.keys.filter { $0.kind == kind && ($0.algorithm ?? header.alg) == header.alg }
        let name = header.kid?.value
        let named = fitting.filter { $0.id == name }
        let candidates = name == nil ? fitting : named.isEmpty ? fitting.filter { $0.id == nil } : named
        guard !candidates.isEmpty else { throw .idToken("its key is not among the supplier's") }
        for var jwk in candidates.prefix(Self.mostCandidates).map(\.jwk) {
            jwk.algorithm = algorithm
            guard let claims = try? await JWTKeyCollection().add(jwk: jwk).verify(token, as: Self.self) else {
                continue
            }
            self = claims
            return
        }
        throw .idToken("its signature or its form is wrong")
    }
}

/// Some providers write it as a number.
struct Subject: Codable {
    let text: String

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try? container.decode(String.self)
        self.text = try text ?? String(container.decode(Int64.self))
    }
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
