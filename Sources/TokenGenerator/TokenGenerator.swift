internal import COpenSSL
package import LinkSessions

/// The operating system or OpenSSL had no randomness to give: nothing may be made from less.
package struct RandomnessError: Error {
    package init() {}
}

/// Makes link tokens and API keys from OpenSSL's CSPRNG.
///
/// A value, so that a test can pass a generator that fails.
package struct TokenGenerator: Sendable {
    private let randomWords: @Sendable () throws(RandomnessError) -> (UInt64, UInt64, UInt64, UInt64)

    /// `RAND_bytes`, checked.
    package init() {
        randomWords = { () throws(RandomnessError) in
            var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
            let made = unsafe withUnsafeMutableBytes(of: &words) { buffer in
                unsafe RAND_bytes(buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(buffer.count))
            }
            guard made == 1 else { throw RandomnessError() }
            return words
        }
    }

    package init(
        randomWords: @escaping @Sendable () throws(RandomnessError) -> (UInt64, UInt64, UInt64, UInt64)
    ) {
        self.randomWords = randomWords
    }

    /// A new token of 256 random bits.
    package func makeToken() throws(RandomnessError) -> LinkToken {
        LinkToken(words: try randomWords())
    }

    /// 256 random bits as 43 characters of base64url, for secrets of a browser's sign-in.
    package func makeSecret() throws(RandomnessError) -> String {
        LinkToken(words: try randomWords()).characters
    }

    /// A new key of 256 random bits.
    package func makeAPIKey(for environment: APIKey.Environment) throws(RandomnessError) -> APIKey {
        APIKey(for: environment, words: try randomWords())
    }
}
