// The result that comes back to the manufacturer's app, as its backend would read and verify it.

import Foundation
import JWTKit
import LinkSessions
import TestSupport

/// The two parameters that a return link adds, and the members of `data`.
struct ReturnedResult {
    let data: String
    let signature: String
    let members: [String: JSONValue]

    /// `nil` where the URL has no result.
    init?(_ url: String) {
        let items = URLComponents(string: url)?.queryItems ?? []
        guard let data = items.first(where: { $0.name == "data" })?.value,
            let signature = items.first(where: { $0.name == "signature" })?.value,
            let json = Self.decoded(data),
            case .object(let members)? = try? JSONDecoder().decode(JSONValue.self, from: json)
        else { return nil }
        self.data = data
        self.signature = signature
        self.members = members
    }

    static func decoded(_ text: String) -> Data? { Base64URL.decode(text).map { Data($0) } }
}

extension ReturnedResult {
    /// The members of `data` that every result has.
    static let common: Set = ["status", "iss", "aud", "iat", "exp", "jti"]

    private struct Claims: JWTPayload {
        let status: String

        func verify(using _: some JWTAlgorithm) {}
    }

    /// The parts of the detached signature: header, nothing, signature.
    var signatureParts: [String] {
        signature.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    }

    var header: [String: JSONValue] {
        guard let json = Self.decoded(signatureParts.first ?? ""),
            case .object(let members)? = try? JSONDecoder().decode(JSONValue.self, from: json)
        else { return [:] }
        return members
    }

    /// RFC 7515, appendix F: with `data` between its two dots the signature is a JSON web token.
    func token(header: String? = nil, data: String? = nil, signature: String? = nil) -> String {
        let parts = signatureParts
        guard parts.count == 3, parts[1].isEmpty else { return "" }
        return [header ?? parts[0], data ?? self.data, signature ?? parts[2]].joined(separator: ".")
    }

    static func verifies(_ token: String, with keys: JWTKeyCollection) async -> Bool {
        (try? await keys.verify(token, as: Claims.self)) != nil
    }

    func verifies(with keys: JWTKeyCollection) async -> Bool { await Self.verifies(token(), with: keys) }
}
