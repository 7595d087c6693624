// Ed25519 through OpenSSL.

internal import COpenSSL

/// An Ed25519 key pair (RFC 8032). Signatures are deterministic: the same message gets the same one.
///
/// Its seed is a secret: the key neither prints nor mirrors itself.
package struct SigningKey: Sendable {
    /// OpenSSL refused: a broken installation.
    package struct Failure: Error {}

    private let seed: [UInt8]
    /// 32 bytes.
    package let publicKey: [UInt8]

    /// - Parameter seed: the 32 bytes of a private key.
    package init?(seed: [UInt8]) {
        guard seed.count == 32 else { return nil }
        var publicKey = [UInt8](repeating: 0, count: 32)
        var length = 32
        guard let key = unsafe EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, seed, seed.count) else { return nil }
        defer { unsafe EVP_PKEY_free(key) }
        guard unsafe EVP_PKEY_get_raw_public_key(key, &publicKey, &length) == 1, length == 32 else { return nil }
        self.seed = seed
        self.publicKey = publicKey
    }

    /// 64 bytes.
    package func signature(of message: [UInt8]) throws(Failure) -> [UInt8] {
        guard let key = unsafe EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nil, seed, seed.count) else {
            throw Failure()
        }
        defer { unsafe EVP_PKEY_free(key) }
        guard let context = unsafe EVP_MD_CTX_new() else { throw Failure() }
        defer { unsafe EVP_MD_CTX_free(context) }
        var signature = [UInt8](repeating: 0, count: 64)
        var length = 64
        guard unsafe EVP_DigestSignInit(context, nil, nil, nil, key) == 1,
            unsafe EVP_DigestSign(context, &signature, &length, message, message.count) == 1, length == 64
        else { throw Failure() }
        return signature
    }
}

extension SigningKey: CustomStringConvertible, CustomReflectable {
    package var description: String { "SigningKey(secret)" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
