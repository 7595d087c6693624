internal import COpenSSL
package import LinkSessions

/// OpenSSL refused what it always does: a broken installation.
package struct OpenSSLError: Error {
    package init() {}
}

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

/// HMAC (RFC 2104) with SHA-256 through OpenSSL's EVP, under one secret.
package struct HMACSHA256: Sendable, Redacted {
    private let context: HMACContext

    /// - Parameter secret: 32 bytes or more.
    package init?(secret: [UInt8]) {
        guard secret.count >= 32, let context = HMACContext(secret: secret) else { return nil }
        self.context = context
    }

    /// Two results compare in constant time, as digests do.
    package func code(of message: [UInt8]) throws(OpenSSLError) -> SHA256Digest {
        guard let copy = unsafe EVP_MAC_CTX_dup(context.pointer) else { throw OpenSSLError() }
        defer { unsafe EVP_MAC_CTX_free(copy) }
        var code = [UInt8](repeating: 0, count: 32)
        var length = 0
        guard unsafe EVP_MAC_update(copy, message, message.count) == 1,
            unsafe EVP_MAC_final(copy, &code, &length, code.count) == 1, length == 32,
            let digest = SHA256Digest(bytes: code)
        else { throw OpenSSLError() }
        return digest
    }
}

/// Owns an `EVP_MAC_CTX` that has got its secret: one is copied for each message, since to make it takes longer.
///
/// Unchecked because nothing is done with it but to copy it.
@safe private final class HMACContext: @unchecked Sendable {
    let pointer: OpaquePointer

    init?(secret: [UInt8]) {
        guard let algorithm = unsafe EVP_MAC_fetch(nil, "HMAC", nil) else { return nil }
        defer { unsafe EVP_MAC_free(algorithm) }
        guard let pointer = unsafe EVP_MAC_CTX_new(algorithm) else { return nil }
        // A parameter points to its name and its value: a text that is merely passed is gone when the call returns.
        let succeeded = unsafe OSSL_MAC_PARAM_DIGEST.withCString { key in
            unsafe "SHA256".withCString { name in
                var parameters = unsafe [
                    OSSL_PARAM_construct_utf8_string(key, UnsafeMutablePointer(mutating: name), 0),
                    OSSL_PARAM_construct_end(),
                ]
                return unsafe EVP_MAC_init(pointer, secret, secret.count, &parameters)
            }
        }
        guard succeeded == 1 else {
            unsafe EVP_MAC_CTX_free(pointer)
            return nil
        }
        unsafe self.pointer = pointer
    }

    deinit { unsafe EVP_MAC_CTX_free(pointer) }
}
