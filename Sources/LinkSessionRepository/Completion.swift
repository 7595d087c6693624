package import LinkSessions
package import PostgresClient

/// What a completion came to.
package enum CompletionOutcome: Sendable {
    /// With this account, now or before: whoever lost the answer may ask again.
    case completed(LinkSession)
    /// With another account, before or at the same time.
    case completedByAnother(LinkSession)
    case expired(LinkSession)
    /// Open, and its manufacturer is disabled or may redirect there no more.
    case blocked
    /// Open, and the account's supplier is not enabled.
    case supplierDisabled
    /// Open, and the account's supplier is not among those that the manufacturer named.
    case supplierNotOffered
    /// The session was deleted meanwhile.
    case unknown
}

extension LinkSessionRepository {
    /// Completes an open session now, and links the manufacturer's user with the account; a completed session stays as
    /// it is, and so does an expired one. Of any number of racing calls one sets `completed_at`, and all that name its
    /// account get the same answer.
    ///
    /// What is refused is recorded as an event, but for ``CompletionOutcome/supplierDisabled`` and
    /// ``CompletionOutcome/supplierNotOffered``: only the caller knows whether a user confirmed, or a request names a
    /// supplier that never was.
    ///
    /// - Parameters:
    ///   - found: the session as it was found.
    ///   - identity: the account that is linked; `nil` where the caller does not say.
    ///   - signIn: whose browser gets the result; `nil` where no browser of ours did it.
    ///   - authenticatorKey: the name of the Authenticator's key; `nil` where a browser of ours did it.
    package func complete(
        _ found: LinkSessionSnapshot, as identity: SupplierIdentity?, signIn: SHA256Digest? = nil,
        by authenticatorKey: String? = nil, requestID: String, until deadline: Deadline
    ) async throws(RepositoryError) -> CompletionOutcome {
        let (id, userID) = (found.session.id, found.session.userID)
        var noxUser: [UInt8]?
        // What has ended already is answered the same whatever changed meanwhile.
        if found.session.status == .open {
            guard found.isServed else {
                try await record(
                    .completionRefused(.blocked, at: identity?.supplier), of: id, by: authenticatorKey,
                    requestID: requestID, until: deadline)
                return .blocked
            }
            if let slug = identity?.supplier, !(try controlPlane.suppliers().contains { $0.slug == slug }) {
                return .supplierDisabled
            }
            if let slug = identity?.supplier, !found.session.options.offers(slug) { return .supplierNotOffered }
            noxUser = try await self.noxUser(of: found.session.manufacturer, userID, until: deadline)
        }
        let session = try await complete(
            id, as: identity, noxUser: noxUser, signIn: signIn, by: authenticatorKey, requestID: requestID,
            until: deadline)
        guard let session else { return .unknown }
        switch session.status {
        case .completed:
            return session.link?.identity == identity ? .completed(session) : .completedByAnother(session)
        case .expired:
            return .expired(session)
        case .open:
            throw .unavailable(cause: "the session is still open after it was completed: a clock stepped back")
        }
    }
}
