package import LinkSessions
package import PostgresClient

/// An event of a session, as its manufacturer is told.
package struct FeedEvent: Sendable {
    package enum Kind: String, Sendable, CaseIterable {
        case opened
        case signInFailed = "sign_in_failed"
        case completed, confirmed, expired

        /// As answers name it.
        package var type: String { "link_session.\(rawValue)" }

        package init?(type: String) {
            guard let kind = Self.allCases.first(where: { $0.type == type }) else { return nil }
            self = kind
        }
    }

    package let position: FeedPosition
    package let kind: Kind
    package let reason: String?
    package let occurredAt: UnixSeconds
    /// As it was after the event.
    package let session: LinkSession
}

/// Where an event stands in the feed: greater than all before. 0 is before the first.
package struct FeedPosition: Sendable, Hashable, Comparable {
    package let number: Int64

    package static let start = FeedPosition(number: 0)

    private init(number: Int64) { self.number = number }

    init(stored number: Int64) { self.init(number: number) }

    /// The id of an event: `evt_` and 19 digits at most.
    package init?(eventID text: String) {
        guard text.hasPrefix("evt_"), let number = Int64(text.dropFirst(4)), number >= 0,
            FeedPosition(number: number).eventID == text
        else { return nil }
        self.number = number
    }

    package var eventID: String { "evt_\(number)" }

    package static func < (a: FeedPosition, b: FeedPosition) -> Bool { a.number < b.number }
}

package struct FeedPage: Sendable {
    package let events: [FeedEvent]
    /// Where the next page begins: behind this position.
    package let next: FeedPosition
    package let hasMore: Bool

    package init(events: [FeedEvent], next: FeedPosition, hasMore: Bool) {
        self.events = events
        self.next = next
        self.hasMore = hasMore
    }
}

/// How far the feed is, and which sessions can have events behind the position that was asked about.
package struct FeedState: Sendable {
    package let last: FeedPosition
    /// 16 bytes: the least id.
    let sessionsSince: [UInt8]
}

/// What a step of the feed did.
package struct FeedAdvance: Sendable {
    /// Nothing more waits.
    package let isDone: Bool
    /// How many events of each kind got their positions.
    package let counts: [(event: String, count: Int64)]

    package static let events = [
        "opened", "sign_in_refused", "completed", "confirmed", "expired_early", "expired",
    ]
}

/// The events of sessions in the order in which manufacturers read them.
package struct EventFeedRepository: Sendable {
    /// How many events get their positions in one step.
    private static let mostInAStep = 2000
    /// How many events are passed over for a page, at most, where only some types are asked for.
    private static let mostLookedAt = 1000
    private static let mostChanges = 5000

    private let database: DatabaseAccess
    private let sessions: LinkSessionRepository

    package init(database: DatabaseClient, controlPlane: ControlPlaneCache) {
        self.database = DatabaseAccess(client: database, serviceClass: .first)
        sessions = LinkSessionRepository(database: database, controlPlane: controlPlane)
    }

    /// Gives positions to what is committed and has none, and adds the ends of sessions whose time is over.
    ///
    /// - Parameter whole: looks at sessions that are older than a day, too.
    /// - Returns: what was done; `nil` where another replica is at work.
    package func advance(whole: Bool, until deadline: Deadline) async throws(RepositoryError) -> FeedAdvance? {
        try await database.answer(
            Self.advance, [.number(Int64(Self.mostInAStep)), .number(whole ? 1 : 0)], until: deadline)
    }

    /// What is behind a position.
    package func state(
        after position: FeedPosition, until deadline: Deadline
    ) async throws(RepositoryError) -> FeedState {
        try await database.answer(Self.state, [.number(position.number)], until: deadline)
    }

    /// Which sessions of the manufacturers have had events behind the position until the state, and whether these are
    /// their ends.
    ///
    /// - Returns: `nil` where there are so many that all may have had some.
    package func changes(
        of manufacturers: [Manufacturer.ID], after position: FeedPosition, _ state: FeedState, until deadline: Deadline
    ) async throws(RepositoryError) -> [(manufacturer: Manufacturer.ID, session: LinkSessionID, isEnd: Bool)]? {
        let changes = try await database.answer(
            Self.changes,
            [
                .numbers(manufacturers.map(\.number)), .number(position.number), .blob(state.sessionsSince),
                .number(state.last.number), .number(Int64(Self.mostChanges)),
            ], until: deadline)
        return changes.count < Self.mostChanges ? changes : nil
    }

    /// A page of a manufacturer's events, the oldest first.
    ///
    /// - Parameter kinds: where not all of them are asked for: a page may then have fewer than the limit, and say that
    ///   there is more.
    package func page(
        of manufacturer: Manufacturer.ID, after position: FeedPosition, _ kinds: Set<FeedEvent.Kind>? = nil, limit: Int,
        until deadline: Deadline
    ) async throws(RepositoryError) -> FeedPage {
        let most = kinds == nil ? limit + 1 : Self.mostLookedAt
        let state = try await state(after: position, until: deadline)
        guard state.last > position else { return FeedPage(events: [], next: position, hasMore: false) }
        let rows = try await database.answer(
            Self.page,
            [
                .number(manufacturer.number), .number(position.number), .blob(state.sessionsSince),
                .number(state.last.number), .number(Int64(most)),
            ], until: deadline)
        var asked = rows.filter { kinds?.contains($0.kind) ?? true }
        let isCut = asked.count > limit
        if isCut { asked.removeLast(asked.count - limit) }
        let next = isCut || kinds == nil ? asked.last?.position : rows.last?.position
        return FeedPage(
            events: try await events(asked, until: deadline), next: next ?? position,
            hasMore: isCut || rows.count == most)
    }

    /// What happened to a session, in order.
    package func events(
        of id: LinkSessionID, until deadline: Deadline
    ) async throws(RepositoryError) -> [FeedEvent] {
        let rows = try await database.answer(
            Self.ofSession, [.blob(id.bytes), .shard(of: id)], until: deadline)
        return try await events(rows, until: deadline)
    }

    /// With their sessions; one that was erased meanwhile is left out.
    private func events(
        _ rows: [StoredFeedEvent], until deadline: Deadline
    ) async throws(RepositoryError) -> [FeedEvent] {
        let found = try await sessions.find(Set(rows.map(\.session)), until: deadline)
        return rows.compactMap { row in found[row.session].map(row.event) }
    }

    private static let advance = Query<FeedAdvance?>(
        "advance_event_feed",
        """
        SELECT is_done, opened, refused, completed, confirmed, expired_early, expired
        FROM advance_event_feed($1::bigint::integer, $2::bigint = 1)
        """,
        readOptional: { (row) throws(DatabaseError) in
            let isDone = try row.bool()
            var counts: [(event: String, count: Int64)] = []
            for event in FeedAdvance.events { counts.append((event, try row.int64())) }
            return FeedAdvance(isDone: isDone, counts: counts)
        })

    private static let state = Query<FeedState>(
        "event_feed_state", "SELECT readable_position, uuid_send(sessions_since($1::bigint)) FROM event_feed",
        readOne: { (row) throws(DatabaseError) in
            FeedState(last: FeedPosition(stored: try row.int64()), sessionsSince: try row.blob())
        })

    private static let changes = Query<[(manufacturer: Manufacturer.ID, session: LinkSessionID, isEnd: Bool)]>(
        "event_feed_changes",
        """
        SELECT manufacturer_id, session_id, event IN ('completed', 'expired', 'expired_early') FROM link_session_events
        WHERE manufacturer_id = ANY ($1::bigint[]) AND position > 0 AND position > $2::bigint AND session_id >= $3::uuid
          AND position <= $4::bigint
        LIMIT $5::bigint
        """,
        readEach: { (row) throws(DatabaseError) in
            (
                manufacturer: Manufacturer.ID(try row.int64()), session: try row.linkSessionID(),
                isEnd: try row.bool()
            )
        })

    private static let page = Query<[StoredFeedEvent]>(
        "event_feed_page",
        """
        SELECT \(StoredFeedEvent.columns) FROM link_session_events e
        WHERE e.manufacturer_id = $1::bigint AND e.position > 0 AND e.position > $2::bigint
          AND e.session_id >= $3::uuid AND e.position <= $4::bigint
        ORDER BY e.position LIMIT $5::bigint
        """,
        readEach: { (row) throws(DatabaseError) in try row.storedFeedEvent() })

    private static let ofSession = Query<[StoredFeedEvent]>(
        "events_of_link_session",
        """
        SELECT \(StoredFeedEvent.columns) FROM link_session_events e
        WHERE e.session_id = $1::uuid AND e.shard = $2::smallint AND e.position > 0 ORDER BY e.position
        """,
        readEach: { (row) throws(DatabaseError) in try row.storedFeedEvent() })
}

private struct StoredFeedEvent: Sendable {
    /// What ``PostgresClient/Row/storedFeedEvent()`` reads of an event `e`.
    static let columns = "e.position, e.session_id, e.event, e.reason, e.occurred_at"

    let position: FeedPosition
    let session: LinkSessionID
    let name: String
    let kind: FeedEvent.Kind
    let reason: String?
    let occurredAt: UnixSeconds

    /// - Parameter session: as it is now.
    func event(of session: LinkSession) -> FeedEvent {
        FeedEvent(
            position: position, kind: kind, reason: reason, occurredAt: occurredAt,
            session: session.asItWas(after: kind, isEarly: name == "expired_early"))
    }
}

extension Row {
    fileprivate mutating func storedFeedEvent() throws(DatabaseError) -> StoredFeedEvent {
        let position = FeedPosition(stored: try int64())
        let (session, name, reason) = (try linkSessionID(), try text(), try optionalText())
        guard let told = FeedEvent.told.first(where: { $0.event == name && ($0.of == nil || $0.of == reason) }) else {
            throw mismatch()
        }
        return StoredFeedEvent(
            position: position, session: session, name: name, kind: told.kind, reason: told.reason,
            occurredAt: try unixSeconds())
    }
}

extension FeedEvent {
    /// Which of the events that support sees are told, and as what.
    fileprivate static let told: [(event: String, of: String?, kind: Kind, reason: String?)] =
        [
            ("opened", nil, .opened, nil), ("completed", nil, .completed, nil), ("confirmed", nil, .confirmed, nil),
            ("expired", nil, .expired, "time"), ("expired_early", nil, .expired, "manufacturer"),
        ] + toldRefusals.map { ("sign_in_refused", $0.key.rawValue, .signInFailed, $0.value) }

    private static let toldRefusals: [(key: SignInRefusal, value: String)] = [
        (.declined, "declined"), (.supplierUnavailable, "supplier_unavailable"), (.supplierFailed, "supplier_failed"),
        (.codeRefused, "supplier_failed"), (.idTokenInvalid, "supplier_failed"), (.otherBrowser, "other_browser"),
        (.tooManySignIns, "too_many_sign_ins"),
    ]

    /// Whether an event `e`, with its reason, is told: an SQL expression.
    static let isForFeed = told.map { told in
        "e.event = '\(told.event)'" + (told.of.map { " AND e.reason = '\($0)'" } ?? "")
    }.joined(separator: " OR ")
}

extension LinkSession {
    /// What followed is taken back.
    fileprivate func asItWas(after kind: FeedEvent.Kind, isEarly: Bool) -> LinkSession {
        let isCompleted = kind == .completed || kind == .confirmed
        return LinkSession(
            id: id, manufacturer: manufacturer, userID: userID, redirectURL: redirectURL, language: language,
            options: options, createdAt: createdAt, expiresAt: isEarly ? expiresAt : createdAt + Self.lifetimeInSeconds,
            completedAt: isCompleted ? completedAt : nil, confirmedAt: kind == .confirmed ? confirmedAt : nil,
            link: isCompleted ? link : nil, isPastExpiry: kind == .expired)
    }
}
