internal import APIKeyAuth
internal import HTTPServer
internal import JSON
internal import LinkSessionRepository
internal import LinkSessions

/// What happened to a manufacturer's sessions.
extension ManufacturerLinkSessions {
    /// Of all its sessions, in an order that never changes; where there is nothing yet, held until there is.
    @Sendable func events(_ request: Request) async throws -> Response {
        let caller = try await apiKeys.manufacturer(of: request)
        let query = FormFields(request.query)
        let position = try query.value("after", .after, expects: Self.expectedAfter, FeedPosition.init(eventID:))
        let (kinds, limit, wait) = (try query.kinds, try query.limit, try query.wait)
        var page = FeedPage(events: [], next: position ?? .start, hasMore: true)
        /// Nothing where there is nothing yet.
        func look() async throws -> FeedPage? {
            page = try await feed.page(
                of: caller.manufacturer.id, after: page.next, kinds, limit: limit, until: request.deadline)
            return page.events.isEmpty && !page.hasMore ? nil : page
        }
        if let wait {
            _ = try await self.wait(for: .events, of: caller.manufacturer.id, within: wait, request, look: look)
        } else {
            _ = try await look()
        }
        return Response(
            json: JSONWriter.object { object in
                add(page.events, of: caller.manufacturer, to: &object)
                object.add("has_more", page.hasMore)
                object.add("next", page.next.eventID)
            })
    }

    /// Of one of its sessions.
    @Sendable func eventsOfSession(_ request: Request) async throws -> Response {
        let caller = try await apiKeys.manufacturer(of: request)
        let (session, _) = try await session(of: caller, request)
        let events = try await feed.events(of: session.id, until: request.deadline)
        return Response(json: JSONWriter.object { add(events, of: caller.manufacturer, to: &$0) })
    }

    /// - Returns: the session when it is open no more; `nil` where it is gone, or still open when the time is over.
    func end(of session: LinkSession, within wait: Duration, _ request: Request) async throws -> LinkSession? {
        var latest: LinkSession? = session
        _ = try await self.wait(for: .end(session.id), of: session.manufacturer, within: wait, request) {
            latest = try await sessions.find(session.id, until: request.deadline)?.session
            return latest?.status == .open ? nil : latest
        }
        // Its time may be over, and nothing else tells so of a session that nobody opened.
        return try await sessions.find(session.id, until: request.deadline)?.session ?? latest
    }

    private func wait<Value>(
        for subject: EventFeedWatcher.Subject, of manufacturer: Manufacturer.ID, within time: Duration,
        _ request: Request, look: () async throws -> Value?
    ) async throws -> Value? {
        let wait = try watcher.begin(subject, of: manufacturer, until: .now + time)
        defer { watcher.end(wait) }
        return try await request.whileConnected(orElse: wait.finish) {
            while true {
                request.restartDeadline()
                if let value = try await look() { return value }
                if wait.isFinished { return nil }
                await wait.next()
            }
        }
    }

    private func add(_ events: [FeedEvent], of manufacturer: Manufacturer, to object: inout JSONWriter) {
        object.add("data", array: events.map { event in { write(event, of: manufacturer, to: &$0) } })
    }

    /// An event as the feed and webhooks have it.
    func write(_ event: FeedEvent, of manufacturer: Manufacturer, to object: inout JSONWriter) {
        object.add("id", event.position.eventID)
        object.add("type", event.kind.type)
        object.add("timestamp", event.occurredAt)
        object.add("data") { data in
            data.add("link_session") { write(event.session, of: manufacturer, nil, to: &$0) }
            data.add("reason", orNull: event.reason)
        }
        object.add("metadata") { metadata in
            metadata.add("external_user_id", event.session.userID.text)
            metadata.add("user_id", orNull: event.session.link?.noxUserID)
            metadata.add("brand", orNull: manufacturer.brand?.titleCased)
            metadata.add("energy_supplier", orNull: event.session.link?.identity?.supplier.text)
        }
    }

    private static let expectedAfter = "the next of the page before, or the id of an event"
}

extension FormFields {
    /// How long an answer is held; `nil`: it is not.
    var wait: Duration? {
        get throws(ValidationError) {
            let seconds = try value("wait", .wait, expects: "a whole number of seconds from 0 to 55") { text in
                text.wholeNumber.flatMap { (0...55).contains($0) ? $0 : nil }
            }
            guard let seconds, seconds > 0 else { return nil }
            return .seconds(seconds)
        }
    }

    /// `nil`: all.
    fileprivate var kinds: Set<FeedEvent.Kind>? {
        get throws(ValidationError) {
            let known = FeedEvent.Kind.allCases.map(\.type).joined(separator: ", ")
            return try value("types", .types, expects: "a comma-separated list of: \(known)") { text in
                let kinds = text.split(separator: ",", omittingEmptySubsequences: false)
                    .map { FeedEvent.Kind(type: String($0)) }
                return kinds.contains(nil) ? nil : Set(kinds.compactMap(\.self))
            }
        }
    }
}
