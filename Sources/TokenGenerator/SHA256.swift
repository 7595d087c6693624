internal import COpenSSL
package import LinkSessions

/// OpenSSL refused what it always does: a broken installation.
package struct OpenSSLError: Error {}

/// SHA-256 through OpenSSL's EVP.
package enum SHA256 {
    /// The SHA-256 of the text's UTF-8 bytes.
    package static func digest(of text: String) throws(OpenSSLError) -> SHA256Digest {
        var text = text
        return try text.withUTF8 { unsafe digest(of: UnsafeRawBufferPointer($0)) }.get()
    }

    package static func digest(of bytes: [UInt8]) throws(OpenSSLError) -> SHA256Digest {
        try unsafe bytes.withUnsafeBytes { unsafe digest(of: $0) }.get()
    }

    /// Fetched once: an implicit fetch would take longer than the digest of a token.
    /// Unchecked because an `EVP_MD` is immutable and made to be shared between threads.
    nonisolated(unsafe) private static let algorithm = unsafe EVP_MD_fetch(nil, "SHA256", nil)

    private static func digest(of bytes: UnsafeRawBufferPointer) -> Result<SHA256Digest, OpenSSLError> {
        var output: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        let succeeded = unsafe withUnsafeMutableBytes(of: &output) { buffer in
            unsafe EVP_Digest(
                bytes.baseAddress, bytes.count, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), nil,
                algorithm, nil)
        }
        guard succeeded == 1 else { return .failure(OpenSSLError()) }
        return .success(
            SHA256Digest(words: (output.0.bigEndian, output.1.bigEndian, output.2.bigEndian, output.3.bigEndian)))
    }
}

/// HMAC (RFC 2104) with SHA-256 through OpenSSL, under one secret.
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
        guard
            unsafe HMAC(EVP_sha256(), secret, Int32(secret.count), message, message.count, &code, &length) != nil,
            length == 32, let digest = SHA256Digest(bytes: code)
        else { throw OpenSSLError() }
        return digest
    }
}
