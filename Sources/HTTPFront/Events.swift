internal import APIKeyAuth
internal import HTTPServer
internal import JSON
package import LinkSessionRepository
package import LinkSessions
internal import Synchronization

/// What happened to a manufacturer's sessions.
extension ManufacturerLinkSessions {
    /// Of all its sessions, in an order that never changes; where there is nothing yet, held until there is.
    @Sendable func events(_ request: Request) async throws -> Response {
        let caller = try await apiKeys.manufacturer(of: request)
        let query = FormFields(request.query)
        let position = try query.value("after", .after, expects: Self.expectedAfter, FeedPosition.init(eventID:))
        let (kinds, limit, wait) = (try query.kinds, try query.limit, try query.wait)
        let start = position ?? .start
        let manufacturer = caller.manufacturer
        guard let wait else {
            let found = try await feed.page(
                of: manufacturer.id, after: start, kinds, limit: limit, until: request.deadline)
            return page(found, of: manufacturer)
        }
        let next = Mutex(start)
        return try await hold(for: .events, of: manufacturer.id, within: wait, request) { isLast in
            let found = try await watcher.page(
                of: manufacturer.id, after: next.withLock(\.self), kinds, limit: limit, until: request.deadline)
            next.withLock { $0 = found.next }
            return found.events.isEmpty && !found.hasMore && !isLast ? nil : page(found, of: manufacturer)
        }
    }

    /// Of one of its sessions.
    @Sendable func eventsOfSession(_ request: Request) async throws -> Response {
        let caller = try await apiKeys.manufacturer(of: request)
        let (session, _) = try await session(of: caller, request)
        let events = try await feed.events(of: session.id, until: request.deadline)
        return Response(json: JSONWriter.object { add(events, of: caller.manufacturer, to: &$0) })
    }

    /// Holds a request until a look finds something, or the time is over.
    ///
    /// - Parameter look: gets whether it is the last one, which has to answer.
    func hold(
        for subject: EventFeedWatcher.Subject, of manufacturer: Manufacturer.ID, within time: Duration,
        _ request: Request, look: @escaping @Sendable (_ isLast: Bool) async throws -> Response?
    ) async throws -> Response {
        let wait = try watcher.begin(subject, of: manufacturer, until: .now + time)
        request.onDisconnect { wait.finish() }
        return try await goOn(wait, request, look)
    }

    private func goOn(
        _ wait: EventFeedWatcher.Wait, _ request: Request,
        _ look: @escaping @Sendable (_ isLast: Bool) async throws -> Response?
    ) async throws -> Response {
        request.restartDeadline()
        do {
            guard let response = try await look(wait.isFinished) else {
                return Response(
                    heldUntil: wait.onWake, handler: answeringErrors { try await goOn(wait, $0, look) })
            }
            end(wait, request)
            return response
        } catch {
            end(wait, request)
            throw error
        }
    }

    private func end(_ wait: EventFeedWatcher.Wait, _ request: Request) {
        request.onDisconnect(nil)
        watcher.end(wait)
    }

    private func page(_ page: FeedPage, of manufacturer: Manufacturer) -> Response {
        Response(
            json: JSONWriter.object { object in
                add(page.events, of: manufacturer, to: &object)
                object.add("has_more", page.hasMore)
                object.add("next", page.next.eventID)
            })
    }

    private func add(_ events: [FeedEvent], of manufacturer: Manufacturer, to object: inout JSONWriter) {
        object.add("data", array: events.map { event in { event.write(of: manufacturer, to: &$0) } })
    }

    private static let expectedAfter = "the next of the page before, or the id of an event"
}

extension FeedEvent {
    /// As webhooks have it.
    package func json(of manufacturer: Manufacturer) -> [UInt8] {
        JSONWriter.object { write(of: manufacturer, to: &$0) }
    }

    /// As the feed and webhooks have it.
    fileprivate func write(of manufacturer: Manufacturer, to object: inout JSONWriter) {
        object.add("id", position.eventID)
        object.add("type", kind.type)
        object.add("timestamp", occurredAt)
        object.add("data") { data in
            data.add("link_session") { session.write(of: manufacturer, to: &$0) }
            data.add("reason", orNull: reason)
        }
        object.add("metadata") { metadata in
            metadata.add("external_user_id", session.userID.text)
            metadata.add("user_id", orNull: session.link?.noxUserID)
            metadata.add("brand", orNull: manufacturer.brand?.titleCased)
            metadata.add("energy_supplier", orNull: session.link?.identity?.supplier.text)
        }
    }
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
