internal import Foundation
package import LinkSessions
package import TokenGenerator

/// The secret that an endpoint shares with us: derived when it is needed, and stored nowhere.
package struct WebhookSecret: Sendable, Redacted {
    fileprivate let hmac: HMACSHA256
    /// As receivers' libraries take it.
    package let text: String

    /// - Parameters:
    ///   - secret: one of WEBHOOK_SECRETS.
    ///   - salt: the endpoint's.
    package init(from secret: HMACSHA256, salt: [UInt8]) throws(OpenSSLError) {
        let bytes = try secret.code(of: Array("webhook secret ".utf8) + salt).bytes
        guard let hmac = HMACSHA256(secret: bytes) else { throw OpenSSLError() }
        self.hmac = hmac
        text = "whsec_\(Data(bytes).base64EncodedString())"
    }
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
        let message = Array("\(id).\(timestamp).".utf8) + body
        var signatures = ["v1a,\(Data(try key.signature(of: message)).base64EncodedString())"]
        for salt in salts {
            for secret in secrets {
                let code = try WebhookSecret(from: secret, salt: salt).hmac.code(of: message)
                signatures.append("v1,\(Data(code.bytes).base64EncodedString())")
            }
        }
        return signatures.joined(separator: " ")
    }
}
