// SHA-256 through OpenSSL's EVP.

internal import COpenSSL
package import LinkSessions

package enum SHA256 {
    /// The SHA-256 of the text's UTF-8 bytes.
    package static func digest(of text: String) throws(OpenSSLError) -> SHA256Digest {
        var text = text
        let result = text.withUTF8 { unsafe digest(of: UnsafeRawBufferPointer($0)) }
        guard let result else { throw OpenSSLError() }
        return result
    }

    package static func digest(of bytes: [UInt8]) throws(OpenSSLError) -> SHA256Digest {
        let result = unsafe bytes.withUnsafeBytes { unsafe digest(of: $0) }
        guard let result else { throw OpenSSLError() }
        return result
    }

    /// Fetched once: an implicit fetch would take longer than the digest of a token.
    /// Unchecked because an `EVP_MD` is immutable and made to be shared between threads.
    nonisolated(unsafe) private static let algorithm = unsafe EVP_MD_fetch(nil, "SHA256", nil)

    private static func digest(of bytes: UnsafeRawBufferPointer) -> SHA256Digest? {
        var output: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        let succeeded = unsafe withUnsafeMutableBytes(of: &output) { buffer in
            unsafe EVP_Digest(
                bytes.baseAddress, bytes.count, buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), nil,
                algorithm, nil)
        }
        guard succeeded == 1 else { return nil }
        return SHA256Digest(
            words: (output.0.bigEndian, output.1.bigEndian, output.2.bigEndian, output.3.bigEndian))
    }
}
