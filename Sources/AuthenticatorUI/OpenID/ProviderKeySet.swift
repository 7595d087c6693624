internal import Foundation
internal import JWTKit
internal import LinkSessions

/// The keys that a provider publishes: a JWK set (RFC 7517, section 5), as far as its keys can verify signatures here;
/// others are left out, as the section asks for.
struct ProviderKeySet: Sendable, Decodable {
    struct Key: Sendable {
        let id: String?
        /// What it is for alone, if it says so (RFC 7517, section 4.4).
        let algorithm: String?
        /// Kind and curve (RFC 7518, section 6; RFC 8037, section 2).
        let kind: Kind
        let jwk: JWK
    }

    enum Kind: String, Sendable {
        case rsa = "RSA"
        case p256 = "P-256"
        case p384 = "P-384"
        case p521 = "P-521"
        case ed25519 = "Ed25519"
    }

    let keys: [Key]

    private enum CodingKeys: CodingKey { case keys }

    private struct Element: Decodable {
        let key: Key?

        init(from decoder: any Decoder) { key = (try? KeyMembers(from: decoder)).flatMap { Key($0) } }
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        keys = try container.decode([Element].self, forKey: .keys).compactMap(\.key)
    }
}

/// RFC 7517, section 4, and RFC 7518, section 6. Certificates and private parts are not looked at.
private struct KeyMembers: Decodable {
    let kty: String
    let kid, use, alg, crv, n, e, x, y: Lenient<String>?
    let key_ops: Lenient<[String]>?
}

extension ProviderKeySet.Key {
    /// `nil` where it is for something else than signatures, of another kind than those above, or its numbers are none
    /// of that kind's.
    fileprivate init?(_ members: KeyMembers) {
        guard members.use?.value ?? "sig" == "sig", members.key_ops?.value?.contains("verify") != false,
            let kind = ProviderKeySet.Kind(rawValue: members.kty == "RSA" ? "RSA" : members.crv?.value ?? ""),
            let jwk = JWK(members, kind)
        else { return nil }
        (id, algorithm, self.kind, self.jwk) = (members.kid?.value, members.alg?.value, kind, jwk)
    }
}

extension JWK {
    fileprivate init?(_ members: KeyMembers, _ kind: ProviderKeySet.Kind) {
        // JWTKit takes no key without an id.
        let id = JWKIdentifier(string: "key")
        func coordinate(_ member: Lenient<String>?, _ size: Int) -> String? {
            Self.number(member).flatMap { number in
                number.count > size ? nil : Base64URL.encode([UInt8](repeating: 0, count: size - number.count) + number)
            }
        }
        func ellipticCurve(_ curve: ECDSACurve, _ size: Int) -> JWK? {
            guard members.kty == "EC", let x = coordinate(members.x, size), let y = coordinate(members.y, size) else {
                return nil
            }
            return .ecdsa(nil, identifier: id, x: x, y: y, curve: curve)
        }
        let jwk: JWK?
        switch kind {
        case .rsa:
            // 2048 to 8192 bits: shorter ones protect nothing, and longer ones cost too much.
            guard let n = Self.number(members.n), (256...1024).contains(n.count), let e = Self.number(members.e),
                (1...8).contains(e.count)
            else { return nil }
            jwk = .rsa(nil, identifier: id, modulus: Base64URL.encode(n), exponent: Base64URL.encode(e))
        case .p256: jwk = ellipticCurve(.p256, 32)
        case .p384: jwk = ellipticCurve(.p384, 48)
        case .p521: jwk = ellipticCurve(.p521, 66)
        case .ed25519:
            guard members.kty == "OKP", let x = Self.bytes(members.x), x.count == 32 else { return nil }
            jwk = .octetKeyPair(nil, identifier: id, x: Base64URL.encode(x), y: nil, curve: .ed25519)
        }
        guard let jwk else { return nil }
        self = jwk
    }

    /// Some write Base64 with padding or in its other alphabet.
    private static func bytes(_ member: Lenient<String>?) -> [UInt8]? {
        guard let text = member?.value?.trimmingSuffix("="), text.utf8.count <= 2048 else { return nil }
        let standard = text.replacing("-", with: "+").replacing("_", with: "/")
        let padding = String(repeating: "=", count: (4 - standard.utf8.count % 4) % 4)
        return Data(base64Encoded: standard + padding).map { Array($0) }
    }

    /// Without zeros in front: some write one there, and others leave out those that belong there.
    private static func number(_ member: Lenient<String>?) -> [UInt8]? {
        bytes(member).map { Array($0.drop { $0 == 0 }) }
    }
}

extension String {
    fileprivate func trimmingSuffix(_ character: Character) -> String {
        var text = self[...]
        while text.last == character { text.removeLast() }
        return String(text)
    }
}
