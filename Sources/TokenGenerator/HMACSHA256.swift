// HMAC-SHA-256 through OpenSSL.

internal import COpenSSL
package import LinkSessions

/// RFC 2104 with SHA-256, under one secret.
package struct HMACSHA256: Sendable, Redacted {
    private let secret: [UInt8]

    /// - Parameter secret: 32 bytes or more.
    package init?(secret: [UInt8]) {
        guard secret.count >= 32 else { return nil }
        self.secret = secret
    }

    /// Two results compare in constant time, as digests do.
    package func code(of message: [UInt8]) throws(OpenSSLError) -> SHA256Digest {
        var code = [UInt8](repeating: 0, count: 32)
        var length: UInt32 = 0
        let made = unsafe secret.withUnsafeBytes { secret in
            unsafe message.withUnsafeBufferPointer { message in
                unsafe code.withUnsafeMutableBufferPointer { code in
                    unsafe HMAC(
                        EVP_sha256(), secret.baseAddress, Int32(secret.count), message.baseAddress, message.count,
                        code.baseAddress, &length)
                }
            }
        }
        guard unsafe made != nil, length == 32, let digest = SHA256Digest(bytes: code) else { throw OpenSSLError() }
        return digest
    }
}
