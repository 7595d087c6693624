internal import Foundation
package import LinkSessions
package import PostgresClient

/// Which of a manufacturer's sessions are asked for.
package struct LinkSessionFilter: Sendable {
    package let userID: ManufacturerUserID?
    package let status: LinkSession.Status?
    /// Neither of the two bounds is within.
    package let createdAfter: UnixSeconds?
    package let createdBefore: UnixSeconds?

    package init(
        userID: ManufacturerUserID?, status: LinkSession.Status?, createdAfter: UnixSeconds?,
        createdBefore: UnixSeconds?
    ) {
        self.userID = userID
        self.status = status
        self.createdAfter = createdAfter
        self.createdBefore = createdBefore
    }

    /// Whether a session can be within the ids that are looked through, and not be asked for.
    fileprivate var passesOver: Bool { status != nil || createdAfter != nil || createdBefore != nil }

    /// An id has its replica's clock and `created_at` the database's: they are taken to be an hour apart at most.
    private static let clockSkew: UnixSeconds = 3600

    /// The smallest id that can be asked for.
    fileprivate func lowestID(now: UnixSeconds) -> LinkSessionID {
        let sinceOpen = status == .open ? now - LinkSession.lifetimeInSeconds : 0
        return .first(at: max(createdAfter ?? 0, sinceOpen) - Self.clockSkew)
    }

    /// Beyond the largest id that can be asked for.
    fileprivate func idsEnd(before last: LinkSessionID?) -> [UInt8] {
        let end = createdBefore.map { LinkSessionID.first(at: $0 + Self.clockSkew) }
        return [end, last].compactMap(\.self).min()?.bytes ?? [UInt8](repeating: 0xFF, count: 16)
    }
}

package struct LinkSessionPage: Sendable {
    /// The newest first.
    package let sessions: [LinkSession]
    /// Where the next page begins: behind this session. `nil` where there is none.
    package let next: LinkSessionID?
}

extension LinkSessionRepository {
    /// A page of a manufacturer's sessions, the newest first by their ids.
    ///
    /// A filter that few sessions pass costs no more than others: where it let enough of them pass by, the page has
    /// fewer than the limit, and says where to go on.
    ///
    /// - Parameter last: the page begins behind this session.
    package func list(
        of manufacturer: Manufacturer.ID, _ filter: LinkSessionFilter, after last: LinkSessionID?, limit: Int,
        until deadline: Deadline
    ) async throws(RepositoryError) -> LinkSessionPage {
        let now = UnixSeconds(Date().timeIntervalSince1970)
        let search = LinkSessionSearch(
            database: database, manufacturer: manufacturer, filter: filter, limit: limit, deadline: deadline)
        let ids = IDRange(start: filter.lowestID(now: now).bytes, end: filter.idsEnd(before: last))
        let found = try await search.run(in: ids, now: now)
        guard found.sessions.count <= limit else {
            return LinkSessionPage(sessions: Array(found.sessions.prefix(limit)), next: found.sessions[limit - 1].id)
        }
        return LinkSessionPage(sessions: found.sessions, next: found.cut)
    }
}

/// From the first id, without the last one.
private struct IDRange {
    var start: [UInt8]
    var end: [UInt8]

    var isEmpty: Bool { !start.lexicographicallyPrecedes(end) }

    var parameters: [Parameter] { [.blob(start), .blob(end)] }
}

/// A list's way through the partitions, with the two indexes that every create pays for already: one by user and one by
/// id. A third one, by manufacturer and id, would be simpler and add a quarter to what a create writes.
private struct LinkSessionSearch {
    let database: DatabaseAccess
    let manufacturer: Manufacturer.ID
    let filter: LinkSessionFilter
    let limit: Int
    let deadline: Deadline

    struct Found {
        var sessions: [LinkSession] = []
        /// The last session that was looked at, where there may be more behind it.
        var cut: LinkSessionID?
    }

    /// The most ids that are sorted to find the newest.
    private static let mostSorted = 2000

    /// How many sessions are looked at, at most.
    private var mostLookedAt: Int { filter.passesOver ? 500 : limit + 1 }

    func run(in ids: IDRange, now: UnixSeconds) async throws(RepositoryError) -> Found {
        // With few sessions: their ids come from the index by user, whatever else there is.
        if let few = try await fewIDs(in: ids) { return try await look(at: few[...], in: ids) }
        // With many: the newest days have them. There are more than are looked at, so that this comes to an end.
        var found = Found()
        var left = mostLookedAt
        var day = now / 86_400
        var rest = ids
        while left > 0, found.sessions.count <= limit, !rest.isEmpty, day >= 0 {
            var today = rest
            let midnight = LinkSessionID.first(at: day * 86_400).bytes
            if today.start.lexicographicallyPrecedes(midnight) { today.start = midnight }
            day -= 1
            guard !today.isEmpty else { continue }
            rest.end = today.start
            if let few = try await fewIDs(in: today) {
                let newest = few.prefix(left)
                found.sessions += try await look(at: newest, in: today).sessions
                left -= newest.count
                found.cut = newest.last ?? found.cut
            } else {
                let further = try await look(at: .all, in: today, [.text(filter.userID?.text)], most: left)
                found.sessions += further.sessions
                found.cut = further.cut
                left = 0
            }
        }
        return found
    }

    /// The ids of the manufacturer's sessions, or of its user's, the newest first; `nil` where there are too many.
    private func fewIDs(in ids: IDRange) async throws(RepositoryError) -> [LinkSessionID]? {
        let found = try await database.answer(
            Self.ids, [.number(manufacturer.number)] + ids.parameters + [.text(filter.userID?.text)], until: deadline)
        return found.count > Self.mostSorted ? nil : found.sorted { $0 > $1 }
    }

    private func look(
        at newest: ArraySlice<LinkSessionID>, in ids: IDRange
    ) async throws(RepositoryError) -> Found {
        let looked = newest.prefix(mostLookedAt)
        guard let last = looked.last else { return Found() }
        var found = try await look(
            at: .named, in: IDRange(start: last.bytes, end: ids.end), [.uuids(looked.map(\.bytes))], most: looked.count)
        found.cut = looked.count < newest.count ? last : nil
        return found
    }

    private func look(
        at candidates: Candidates, in ids: IDRange, _ parameters: [Parameter], most: Int
    ) async throws(RepositoryError) -> Found {
        var all = [.number(manufacturer.number)] + ids.parameters + [.number(Int64(most))] + parameters
        if filter.passesOver {
            all += [
                .number(filter.createdAfter ?? -1), .number(filter.createdBefore ?? LinkSessionFilter.endOfTime),
                .text(filter.status?.rawValue), .number(Int64(limit + 1)),
            ]
        }
        let rows = try await database.answer(candidates.query(filtered: filter.passesOver), all, until: deadline)
        let cut = rows.last.flatMap { $0.number == most ? $0.session.id : nil }
        return Found(sessions: rows.filter(\.isAskedFor).map(\.session), cut: cut)
    }

    private static let ids = Query<[LinkSessionID]>(
        "list_ids",
        "SELECT session_ids($1::bigint, $4::text, $2::uuid, $3::uuid, \(mostSorted))",
        readEach: { (row) throws(DatabaseError) in try row.linkSessionID() })
}

private struct ListedSession: Sendable {
    let session: LinkSession
    /// Which of the sessions that were looked at.
    let number: Int64
    let isAskedFor: Bool
}

/// Which sessions a statement of a list looks at.
private enum Candidates: Int {
    case named, all

    func query(filtered: Bool) -> Query<[ListedSession]> { Self.queries[rawValue * 2 + (filtered ? 1 : 0)] }

    private static let queries = [named, all].flatMap { candidates in
        [false, true].map { candidates.makeQuery(filtered: $0) }
    }

    private var condition: String {
        switch self {
        case .named: "s.manufacturer_id = $1::bigint AND s.id = ANY ($5::uuid[])"
        // The sum keeps to the index by id, whose order is the one that is asked for.
        case .all: "s.manufacturer_id + 0 = $1::bigint AND ($5::text IS NULL OR s.user_id = $5::text)"
        }
    }

    private func makeQuery(filtered: Bool) -> Query<[ListedSession]> {
        let looked = """
            FROM link_sessions s WHERE \(condition) AND s.id >= $2::uuid AND s.id < $3::uuid
            ORDER BY s.id DESC LIMIT $4::bigint
            """
        let columns = StoredLinkSession.columns(now: "statement_timestamp()")
        // Numbered outside of the limit, which every node of a distributed table can then keep to by itself.
        let passing = """
            SELECT \(columns), s.number, s.is_asked_for
            FROM (
                SELECT s.*, row_number() OVER (ORDER BY s.id DESC) AS number,
                       s.created_at > to_timestamp($6::bigint) AND s.created_at < to_timestamp($7::bigint)
                       AND ($8::text IS NULL OR $8::text = CASE
                           WHEN s.completed_at IS NOT NULL THEN 'completed'
                           WHEN s.expires_at <= statement_timestamp() THEN 'expired' ELSE 'open' END) AS is_asked_for
                FROM (SELECT s.* \(looked)) s
            ) s
            WHERE s.is_asked_for OR s.number = $4::bigint
            ORDER BY s.id DESC LIMIT $9::bigint
            """
        return Query(
            "list_\(self)\(filtered ? "_filtered" : "")",
            filtered ? passing : "SELECT \(columns), 0::bigint, true \(looked)",
            readEach: { (row) throws(DatabaseError) in
                ListedSession(
                    session: try row.storedLinkSession().session, number: try row.int64(), isAskedFor: try row.bool())
            })
    }
}

extension LinkSessionFilter {
    /// The end of the year 9999: no bound is later.
    package static let endOfTime: UnixSeconds = 253_402_300_799
}
