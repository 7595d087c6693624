internal import Foundation
internal import JWTKit
internal import LinkSessions

/// The signed result in a URL that leads back to the manufacturer's app, verified as docs/integrate.md has it.
struct ReturnedLink {
    private struct Claims: JWTPayload {
        let status: String
        let manufacturer_user_id: String
        let code: String
        let exp: ExpirationClaim

        func verify(using _: some JWTAlgorithm) throws { try exp.verifyNotExpired() }
    }

    let status: String
    let userID: String
    /// For `confirm`; printed nowhere.
    let code: String

    /// - Parameter keySet: of `/.well-known/jwks.json`.
    init(_ url: String, keySet: String) async throws(CommandError) {
        let fields = FormFields(url.drop { $0 != "?" }.dropFirst())
        let parts = (fields["signature"] ?? "").split(separator: ".", omittingEmptySubsequences: false)
        guard let data = fields["data"], parts.count == 3, parts[1].isEmpty else {
            throw CommandError("the way back to the app holds no result: \(DisplayText.escaped(url))")
        }
        do {
            let keys = try await JWTKeyCollection().add(jwksJSON: keySet)
            let claims = try await keys.verify("\(parts[0]).\(data).\(parts[2])", as: Claims.self)
            (status, userID, code) = (claims.status, claims.manufacturer_user_id, claims.code)
        } catch {
            throw CommandError("the result does not verify with the keys of /.well-known/jwks.json")
        }
    }
}
