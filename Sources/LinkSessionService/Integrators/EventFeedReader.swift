internal import Foundation
internal import JSON
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOCore
internal import NIOHTTP1
internal import OutboundHTTP

/// Reads the feed of events from elsewhere.
struct EventFeedReader: Sendable {
    struct Page {
        let events: [ReadEvent]
        let next: FeedPosition
        let hasMore: Bool
    }

    private struct Members: Decodable {
        let next: String
        let has_more: Bool
    }

    let api: ManufacturerAPI
    let types: String?

    /// - Parameter wait: how many seconds the service holds its answer where there is nothing.
    func page(after position: FeedPosition, wait: Int) async throws(ManufacturerAPIError) -> Page {
        try await ask(after: position, wait: wait).page
    }

    /// Where the events of this moment are: their ids are microseconds since 1970. By the service's clock, not by ours.
    func end() async throws(ManufacturerAPIError) -> FeedPosition {
        let now = Date()
        let date = try await ask(after: Self.position(now), wait: 0).date ?? now
        return Self.position(date)
    }

    private static func position(_ date: Date) -> FeedPosition {
        FeedPosition(eventID: "evt_\(Int64(date.timeIntervalSince1970 * 1_000_000))") ?? .start
    }

    private func ask(
        after position: FeedPosition, wait: Int
    ) async throws(ManufacturerAPIError) -> (page: Page, date: Date?) {
        var query = [("after", position.eventID), ("limit", "100"), ("wait", String(wait))]
        if let types { query.append(("types", types)) }
        let response = try await api.send(
            .GET, "/v2/manufacturer/events?\(FormFields.encode(query))", within: .seconds(Int64(wait) + 15))
        let members = try api.read(response, as: Members.self)
        let elements = (try? JSONObject(Array(response.body.readableBytesView)))?.elements("data")
        guard let events = elements?.map({ ReadEvent($0) }), let next = FeedPosition(eventID: members.next),
            !events.contains(where: { $0 == nil })
        else { throw .noSuchService(api.url) }
        let page = Page(events: events.compactMap(\.self), next: next, hasMore: members.has_more)
        let date = response.headers.first(name: "date").flatMap(Self.time)
        return (page, date)
    }

    /// Of the header `Date` (RFC 9110, section 5.6.7).
    private static func time(_ text: String) -> Date? {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = .gmt
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        return format.date(from: text)
    }
}
