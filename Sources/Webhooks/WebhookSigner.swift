internal import Foundation
package import LinkSessions
package import TokenGenerator

/// The secret that a receiver shares with us: derived when it is needed, and stored nowhere.
package struct WebhookSecret: Sendable, Redacted {
    private let hmac: HMACSHA256
    /// As receivers' libraries take it.
    package let text: String

    /// - Parameters:
    ///   - secret: one of WEBHOOK_SECRETS, or what else nobody but the two sides can know.
    ///   - salt: the receiver's.
    package init(from secret: HMACSHA256, salt: [UInt8]) throws(OpenSSLError) {
        let bytes = try secret.code(of: Array("webhook secret ".utf8) + salt).bytes
        guard let hmac = HMACSHA256(secret: bytes) else { throw OpenSSLError() }
        self.hmac = hmac
        text = "whsec_\(Data(bytes).base64EncodedString())"
    }

    /// One of the signatures of the header `webhook-signature`.
    package func signature(
        id: String, timestamp: UnixSeconds, body: [UInt8]
    ) throws(OpenSSLError) -> String {
        let code = try hmac.code(of: signedContent(id: id, timestamp: timestamp, body: body))
        return "v1,\(Data(code.bytes).base64EncodedString())"
    }
}

private func signedContent(id: String, timestamp: UnixSeconds, body: [UInt8]) -> [UInt8] {
    Array("\(id).\(timestamp).".utf8) + body
}

/// Signs events as Standard Webhooks has it: with a key that receivers find in the published key set, and with the
/// secrets that they share with us.
package struct WebhookSigner: Sendable {
    private let key: SigningKey
    private let secrets: [HMACSHA256]

    /// - Parameter secrets: those of WEBHOOK_SECRETS; each of them signs, so that they can be changed.
    package init(key: SigningKey, secrets: [HMACSHA256]) {
        self.key = key
        self.secrets = secrets
    }

    /// The header `webhook-signature`.
    ///
    /// - Parameter salts: what the endpoint's secrets are derived from.
    package func signatures(
        id: String, timestamp: UnixSeconds, body: [UInt8], salts: [[UInt8]]
    ) throws(OpenSSLError) -> String {
        let message = signedContent(id: id, timestamp: timestamp, body: body)
        var signatures = ["v1a,\(Data(try key.signature(of: message)).base64EncodedString())"]
        for salt in salts {
            for secret in secrets {
                let shared = try WebhookSecret(from: secret, salt: salt)
                signatures.append(try shared.signature(id: id, timestamp: timestamp, body: body))
            }
        }
        return signatures.joined(separator: " ")
    }
}
