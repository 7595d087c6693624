// The keys that a provider publishes.

internal import JWTKit

/// A JWK set (RFC 7517, section 5), as far as its keys are of kinds that are known here: others are left out, as the
/// section asks for.
struct ProviderKeySet: Sendable, Decodable {
    struct Key: Sendable {
        let jwk: JWK
        /// Whether its `use` lets it verify signatures (RFC 7517, section 4.2); a key for encryption never does.
        let isForSignatures: Bool

        var id: String? { jwk.keyIdentifier?.string }
    }

    let keys: [Key]

    private enum CodingKeys: CodingKey { case keys }

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
