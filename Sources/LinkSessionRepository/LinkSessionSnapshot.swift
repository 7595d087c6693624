package import LinkSessions

/// A row of the table link_sessions.
struct StoredLinkSession: Sendable {
    let session: LinkSession
    let tokenDigest: SHA256Digest
    /// When the row was read, by the database's clock.
    let now: UnixSeconds
    let completedBy: SHA256Digest?
    let isOpened: Bool
}

/// A link session as it was at one moment, with what its pages have to know.
package struct LinkSessionSnapshot: Sendable {
    private let stored: StoredLinkSession
    private let owner: ControlPlane.ManufacturerEntry

    init(_ stored: StoredLinkSession, of owner: ControlPlane.ManufacturerEntry) {
        self.stored = stored
        self.owner = owner
    }

    package var session: LinkSession { stored.session }
    /// With which the page begins, where the manufacturer named one; it may be one that nobody can choose by now.
    package var preferredSupplier: Supplier.Slug? { session.options.preferredSupplier }
    /// The only ones that are offered; `nil`: all of them.
    package var offeredSuppliers: [Supplier.Slug]? { session.options.offeredSuppliers }
    package var manufacturer: Manufacturer { owner.manufacturer }
    /// By the database's clock.
    package var now: UnixSeconds { stored.now }
    /// The sign-in that completed the session.
    package var completedBy: SHA256Digest? { stored.completedBy }

    /// Whether its page was seen, or the Authenticator looked.
    package var isOpened: Bool { stored.isOpened }

    /// Whether the session has pages, and may be completed: not where it ended more than an hour ago, its manufacturer
    /// is disabled, or its redirect URL is allowed no more.
    package var isServed: Bool {
        owner.isEnabled && (session.completedAt ?? session.expiresAt) + 3600 > now
            && owner.redirectPolicy.allows(session.redirectURL)
    }

    /// Whether the result of a completion may still be fetched.
    package var resultIsFresh: Bool {
        session.completedAt.map { $0 + LinkSession.resultLifetimeInSeconds > now } ?? false
    }
}
