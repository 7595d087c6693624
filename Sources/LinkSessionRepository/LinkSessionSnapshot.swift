package import LinkSessions
internal import PostgresClient

/// A link session as the browser's pages see it, together with what they have to know.
package struct LinkSessionSnapshot: Sendable {
    package let session: LinkSession
    package let tokenDigest: SHA256Digest
    /// By the database's clock.
    package let now: UnixSeconds
    /// Whether the session has pages at all: not where it ended more than an hour ago, its manufacturer is disabled,
    /// or its redirect URL is allowed no more.
    package let isServed: Bool
    /// Whether the result of a completion may still be fetched.
    package let resultIsFresh: Bool
    /// The sign-in that completed the session.
    package let completedBy: SHA256Digest?
}

extension LinkSessionSnapshot {
    static let query = Query<LinkSessionSnapshot?>(
        "snapshot_link_session", "SELECT \(columns) FROM \(tables) WHERE s.token_hash = $1::bytea",
        readOptional: { (row) throws(DatabaseError) in try row.snapshot() })

    /// What ``PostgresClient/Row/snapshot()`` reads of ``tables``.
    static let columns = """
        \(LinkSession.columnsWithManufacturer()), s.token_hash, clock_timestamp(), \
        m.enabled AND coalesce(s.completed_at, s.expires_at) + interval '1 hour' > clock_timestamp(), \
        \(RedirectPolicy.columns), \
        coalesce(s.completed_at + interval '\(LinkSession.resultLifetimeInSeconds) seconds' > clock_timestamp(), false), \
        s.completed_by
        """

    static let tables = "link_sessions s JOIN manufacturers m ON m.id = s.manufacturer_id"
}

extension Row {
    mutating func snapshot() throws(DatabaseError) -> LinkSessionSnapshot {
        let session = try linkSession()
        let (tokenDigest, now) = (try digest(), try unixSeconds())
        let hasPages = try bool()
        let (policy, _) = try redirectPolicy()
        let isRedirectAllowed = (try? policy.check(session.redirectURL)) != nil
        return LinkSessionSnapshot(
            session: session, tokenDigest: tokenDigest, now: now, isServed: hasPages && isRedirectAllowed,
            resultIsFresh: try bool(), completedBy: try optionalDigest())
    }
}
