internal import COpenSSL
internal import LinkSessions

/// An Ed25519 key pair (RFC 8032) through OpenSSL. Signatures are deterministic: the same message gets the same one.
package struct SigningKey: Sendable, Redacted {
    private let pair: KeyPair
    /// 32 bytes.
    package let publicKey: [UInt8]

    /// - Parameter seed: the 32 bytes of a private key.
    package init?(seed: [UInt8]) {
        guard seed.count == 32 else { return nil }
        var publicKey = [UInt8](repeating: 0, count: 32)
        var length = 32
        guard let pair = KeyPair(seed: seed),
            unsafe EVP_PKEY_get_raw_public_key(pair.pointer, &publicKey, &length) == 1, length == 32
        else { return nil }
        self.pair = pair
        self.publicKey = publicKey
    }

    /// 64 bytes.
    package func signature(of message: [UInt8]) throws(OpenSSLError) -> [UInt8] {
        guard let context = unsafe EVP_MD_CTX_new() else { throw OpenSSLError() }
        defer { unsafe EVP_MD_CTX_free(context) }
        var signature = [UInt8](repeating: 0, count: 64)
        var length = 64
        guard unsafe EVP_DigestSignInit(context, nil, nil, nil, pair.pointer) == 1,
            unsafe EVP_DigestSign(context, &signature, &length, message, message.count) == 1, length == 64
        else { throw OpenSSLError() }
        return signature
    }
}

/// Owns an `EVP_PKEY`: making it from the seed takes as long as a signature.
///
/// Unchecked because an `EVP_PKEY` does not change any more and is made to be shared between threads.
@safe private final class KeyPair: @unchecked Sendable {
    let pointer: OpaquePointer

    init?(seed: [UInt8]) {
        guard let pointer = unsafe EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, seed, seed.count) else {
            return nil
        }
        unsafe self.pointer = pointer
    }

    deinit { unsafe EVP_PKEY_free(pointer) }
}
