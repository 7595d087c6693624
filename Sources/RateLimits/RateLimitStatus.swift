/// What a caller is told of its limit, in the header fields of the IETF's draft (draft-ietf-httpapi-ratelimit-headers-10).
package struct RateLimitStatus: Sendable, Equatable {
    /// A structured field's string without escapes.
    private let name: StaticString
    private let limit: RateLimit
    private let left: Int
    private let fullAfter: Duration

    package init(_ name: StaticString, _ limit: RateLimit, left: Int, fullAfter: Duration) {
        self.name = name
        self.limit = limit
        self.left = left
        self.fullAfter = fullAfter
    }

    /// The field `RateLimit-Policy`: so many may come in so many seconds.
    package var policy: String { "\"\(name)\";q=\(limit.atOnce);w=\(limit.window)" }

    /// The field `RateLimit`: so many may still come, and in so many seconds all may again.
    package var state: String { "\"\(name)\";r=\(left);t=\(fullAfter.roundedUpToSeconds)" }

    package static func == (left: Self, right: Self) -> Bool {
        left.policy == right.policy && left.state == right.state
    }
}

extension Duration {
    package var roundedUpToSeconds: Int64 {
        let (seconds, attoseconds) = components
        return max(0, seconds + (attoseconds > 0 ? 1 : 0))
    }
}
