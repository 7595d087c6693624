internal import Foundation
internal import LinkSessions

/// What a user knows the account by, as an ID token or UserInfo tells it (OpenID Connect Core 1.0, section 5.1). It is only
/// shown to that user: a claim that is no text counts as absent.
struct Profile: Sendable, Decodable {
    var email: String?
    var name: String?

    private struct Claims: Decodable {
        let email, name, given_name, family_name, preferred_username: Lenient<String>?
    }

    init(email: String? = nil, name: String? = nil) { (self.email, self.name) = (email, name) }

    init(from decoder: any Decoder) throws {
        let claims = try Claims(from: decoder)
        let userName = Self.text(claims.preferred_username)
        let names = [claims.given_name, claims.family_name].compactMap { Self.text($0) }
        email = [Self.text(claims.email), userName].compactMap(\.self).first(where: MaskedAccount.isAddress)
        name = Self.text(claims.name) ?? (names.isEmpty ? userName : names.joined(separator: " "))
    }

    /// Of a token that was verified.
    init(token: String) {
        let parts = token.split(separator: ".")
        let payload = parts.count > 1 ? Base64URL.decode(parts[1]) : nil
        self = payload.flatMap { try? JSONDecoder().decode(Profile.self, from: Data($0)) } ?? Profile()
    }

    private static func text(_ claim: Lenient<String>?) -> String? {
        claim?.value.flatMap { $0.allSatisfy(\.isWhitespace) ? nil : $0 }
    }
}

/// What the UserInfo endpoint answers (OpenID Connect Core 1.0, section 5.3.2).
struct UserInfo: Sendable, Decodable {
    let sub: Subject
    let profile: Profile

    private enum CodingKeys: CodingKey { case sub }

    init(from decoder: any Decoder) throws {
        sub = try decoder.container(keyedBy: CodingKeys.self).decode(Subject.self, forKey: .sub)
        profile = try Profile(from: decoder)
    }
}

/// An account as its user is shown it before confirming: enough for its owner to know the account again, too little for
/// anybody else.
enum MaskedAccount {
    /// What a page shows of a masked account: a text, the end of a customer number, or nothing.
    enum Shown: Equatable {
        case text(String)
        case numberEnding(String)
        case unnamed

        init(_ masked: String) {
            guard masked.hasPrefix(dots) else {
                self = .text(masked)
                return
            }
            let end = String(masked.dropFirst(dots.count))
            self = end.isEmpty ? .unnamed : .numberEnding(end)
        }
    }

    private static let dots = "•••"

    static func isAddress(_ text: String) -> Bool {
        text.unicodeScalars.lastIndex(of: "@").map { $0 > text.unicodeScalars.startIndex } ?? false
    }

    /// At most 200 Unicode scalars, which is less than the database takes.
    static func text(email: String?, name: String?, subject: String) -> String {
        let shown =
            if let email = email?.unicodeScalars, let at = email.lastIndex(of: "@"), at > email.startIndex {
                String(email.prefix(1)) + dots + String(email[at...])
            } else if let name, let masked = masked(name: name) {
                masked
            } else {
                dots + end(of: subject)
            }
        return String(DisplayText.escaped(shown).unicodeScalars.prefix(200))
    }

    /// Of several words the first and the next one's first letter, of one word its first letter.
    private static func masked(name: String) -> String? {
        let words = name.unicodeScalars.split { $0.properties.generalCategory == .spaceSeparator }
        guard let first = words.first, let initial = words.last?.first else { return nil }
        return (words.count > 1 ? "\(String(first)) " : "") + "\(initial)\(dots)"
    }

    /// The last four characters, or two of a short one, so that less is shown than not.
    private static func end(of subject: String) -> String {
        let length = subject.unicodeScalars.count
        return String(subject.unicodeScalars.suffix(length >= 8 ? 4 : length >= 5 ? 2 : 0))
    }
}
