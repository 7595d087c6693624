// The header and the claims of an ID token, as they are sent.

internal import JWTKit

/// The members of a token's header that verification looks at (RFC 7515, section 4.1).
struct IDTokenHeader: Decodable {
    let alg: String
    let kid: String?
    let crit: [String]?
}

/// OpenID Connect Core 1.0, section 2.
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

/// A claim that is only shown to its user. One that is no text is no reason to refuse the token: it counts as absent.
struct DisplayedClaim: Codable {
    let text: String?

    init(from decoder: any Decoder) throws { text = try? decoder.singleValueContainer().decode(String.self) }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}
