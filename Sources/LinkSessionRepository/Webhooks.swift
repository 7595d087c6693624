package import LinkSessions

/// Where a manufacturer's events are sent to.
package struct WebhookEndpoint: Sendable {
    package struct ID: Sendable, Hashable {
        package let number: Int64

        package init(_ number: Int64) { self.number = number }
    }

    package let id: ID
    package let manufacturer: Manufacturer.ID
    package let url: String
    /// Which events it gets; `nil`: all.
    package let kinds: Set<FeedEvent.Kind>?
    /// What its secrets are derived from: that of now, and where it was changed not long ago the one before.
    package let salts: [[UInt8]]
}

/// What one replica sends to an endpoint, while it renews the lease.
package struct WebhookLease: Sendable {
    package let endpoint: WebhookEndpoint
    /// Events until there were taken, or are to be retried by themselves.
    package let position: FeedPosition
    package let consecutiveFailures: Int
    package let failingFor: Duration?
    /// A stretch of the feed that is to be sent once more: behind a position, with the last.
    package let resend: WebhookResend?
    /// Changes when an operator resumes the endpoint.
    package let resumptions: Int64?
    /// A replica that has fewer endpoints is to have it.
    package let isWanted: Bool
}

package struct WebhookResend: Sendable, Equatable {
    package let id: Int64
    package let position: FeedPosition
    package let last: FeedPosition
}

/// An event that was not taken, and when it is to be sent again.
package struct WebhookRetry: Sendable {
    package let position: FeedPosition
    package let session: LinkSessionID
    /// 0: it was under way, and it is not known what came of it.
    package let attempts: Int
    package let failingFor: Duration
    /// `nil`: not before an operator resumes the endpoint.
    package let dueIn: Duration?

    package init(
        position: FeedPosition, session: LinkSessionID, attempts: Int, failingFor: Duration, dueIn: Duration?
    ) {
        self.position = position
        self.session = session
        self.attempts = attempts
        self.failingFor = failingFor
        self.dueIn = dueIn
    }
}

/// What came of sending an event once.
package struct WebhookAttempt: Sendable {
    package let position: FeedPosition
    package let session: LinkSessionID
    package let number: Int
    /// When it ended, in Unix microseconds by the replica's clock.
    package let endedAt: Int64
    package let duration: Duration
    /// `nil` where there was no answer.
    package let status: Int?
    /// The first characters of the answer, or why there was none.
    package let answer: String

    package init(
        position: FeedPosition, session: LinkSessionID, number: Int, endedAt: Int64, duration: Duration, status: Int?,
        answer: String
    ) {
        self.position = position
        self.session = session
        self.number = number
        self.endedAt = endedAt
        self.duration = duration
        self.status = status
        self.answer = answer
    }
}

/// What changed since it was saved last.
package struct WebhookProgress: Sendable {
    package enum End: Sendable { case paused, stopped }

    package var position: FeedPosition
    package var resend: (id: Int64, position: FeedPosition, isDone: Bool)?
    package var retries: [WebhookRetry] = []
    /// Whose retries are over.
    package var done: [FeedPosition] = []
    package var attempts: [WebhookAttempt] = []
    package var hasSucceeded = false
    package var lastError: String?
    package var consecutiveFailures = 0
    package var failingFor: Duration?
    package var end: (end: End, reason: String)?

    package init(position: FeedPosition) { self.position = position }
}

extension FeedPosition {
    /// Where the feed was so long before.
    package func earlier(by time: Duration) -> FeedPosition {
        FeedPosition(stored: max(0, number - Int64(time / .microseconds(1))))
    }
}
