// What is logged of every request.

/// One answered request. Holds no token, no key and no user id.
package struct AccessLogEntry: Sendable {
    package let method: String
    /// The path's template, such as `/v2/manufacturer/link-sessions/{link_token}`; `-` where there is none.
    package let route: String
    package let status: Int
    package let duration: Duration
    package let requestID: String
    /// Who was recognized by a key.
    package let caller: Int64?
    /// Why it was no success, where the answer does not tell.
    package let cause: String?
}

/// Takes every entry, on the event loop of its request: it must neither block nor take long.
package typealias AccessLog = @Sendable (AccessLogEntry) -> Void
