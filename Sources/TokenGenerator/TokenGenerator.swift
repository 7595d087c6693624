internal import COpenSSL
internal import Foundation
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
    private let ids: LinkSessionIDSequence

    /// `RAND_bytes`, checked.
    package init() {
        self.init { () throws(RandomnessError) in
            var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
            let made = unsafe withUnsafeMutableBytes(of: &words) { buffer in
                unsafe RAND_bytes(buffer.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(buffer.count))
            }
            guard made == 1 else { throw RandomnessError() }
            return words
        }
    }

    /// - Parameter now: nanoseconds since 1970, for ids: a wrong clock makes ids of another time, and nothing else.
    package init(
        now: @escaping @Sendable () -> UInt64 = {
            var time = timespec()
            unsafe clock_gettime(CLOCK_REALTIME, &time)
            return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        },
        randomWords: @escaping @Sendable () throws(RandomnessError) -> (UInt64, UInt64, UInt64, UInt64)
    ) {
        ids = LinkSessionIDSequence(now: now)
        self.randomWords = randomWords
    }

    /// A new session's token: its id, which is greater than those before, and 192 random bits.
    package func makeToken() throws(RandomnessError) -> LinkToken {
        let words = try randomWords()
        return LinkToken(id: ids.next(random: words.0), secret: (words.1, words.2, words.3))
    }

    /// The id of a new session whose token is derived: see ``IdempotencySecrets``.
    package func makeID(shard: UInt8) throws(RandomnessError) -> LinkSessionID {
        ids.next(random: try randomWords().0, shard: shard)
    }

    /// Makes the next tokens with another shard, where a session of this one could not be stored.
    package func leaveShard(of id: LinkSessionID) { ids.leave(id.shard) }

    /// 256 random bits as 43 characters of base64url, for secrets of a browser's sign-in.
    package func makeSecret() throws(RandomnessError) -> String {
        Base64URL.encode(words: try randomWords())
    }

    /// A new key of 256 random bits.
    package func makeAPIKey(for environment: APIKey.Environment) throws(RandomnessError) -> APIKey {
        APIKey(for: environment, words: try randomWords())
    }
}
