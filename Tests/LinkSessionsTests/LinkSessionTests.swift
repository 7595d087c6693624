// What a link session's times mean.

import LinkSessions
import Testing

@Suite struct LinkSessionTests {
    @Test(
        arguments: [
            (nil, false, .open),
            (nil, true, .expired),
            // Completed for good, whether or not its time has passed since.
            (1_703_123_500, false, .completed),
            (1_703_123_500, true, .completed),
        ] as [(UnixSeconds?, Bool, LinkSession.Status)])
    func `a session is open until it is completed or its time has passed`(
        completedAt: UnixSeconds?, isPastExpiry: Bool, expected: LinkSession.Status
    ) throws {
        let session = LinkSession(
            id: LinkSessionID(ticks: 1 << 53, shard: 7, random: 1), manufacturer: .init(1),
            userID: try ManufacturerUserID("1"), redirectURL: try RedirectURL("https://your-app.com/callback"),
            language: .nl, createdAt: 1_703_123_456, expiresAt: 1_703_124_056, completedAt: completedAt,
            isPastExpiry: isPastExpiry)
        #expect(session.status == expected)
        #expect(session.completedAt == completedAt)
    }

    @Test func `the statuses have the names of the API, and a session is open for ten minutes`() {
        #expect(LinkSession.Status.open.rawValue == "open")
        #expect(LinkSession.Status.completed.rawValue == "completed")
        #expect(LinkSession.Status.expired.rawValue == "expired")
        #expect(LinkSession.lifetimeInSeconds == 600)
    }
}
