internal import Foundation
internal import LinkSessions
internal import NIOCore
internal import NIOHTTP1
internal import OutboundHTTP

/// What a manufacturer's backend asks for in a session's life.
struct SessionPlay {
    struct Created: Decodable {
        private enum CodingKeys: String, CodingKey {
            case linkURL = "link_url"
            case token = "link_token"
            case expiresAt = "expires_at"
        }

        let linkURL: String
        let token: String
        let expiresAt: Int64
        /// Of the header.
        var id = ""
    }

    struct Event: Decodable {
        struct Details: Decodable {
            let reason: String?
        }

        let id: String
        let type: String
        let data: Details
    }

    private struct List<Element: Decodable>: Decodable {
        let data: [Element]
    }

    private struct Status: Decodable {
        let status: String
    }

    private struct Supplier: Decodable {
        let slug: String
    }

    let api: ManufacturerAPI

    func requireSandbox() async throws {
        let suppliers = try await api.send(.GET, "/v2/manufacturer/suppliers", as: List<Supplier>.self).data
        guard suppliers.contains(where: { $0.slug == LinkSessions.Supplier.Slug.sandbox.text }) else {
            throw CommandError(
                "\(api.url) has no supplier Sandbox Energy, and no sessions to play with: it is there where the service "
                    + "has a SANDBOX_SIGNING_KEY, and never in production; nothing was created")
        }
    }

    func create(userID: String, redirectURL: String) async throws -> Created {
        let response = try await api.send(
            .POST, ManufacturerAPI.sessions, json: ["user_id": userID, "redirect_url": redirectURL])
        var created = try api.read(response, as: Created.self)
        guard let id = response.headers.first(name: "link-session-id").flatMap({ LinkSessionID($0) }) else {
            throw ManufacturerAPIError.noSuchService(api.url)
        }
        created.id = id.text
        return created
    }

    func verified(_ returnURL: String) async throws -> ReturnedLink {
        let keys = try await api.send(.GET, "/.well-known/jwks.json")
        return try await ReturnedLink(returnURL, keySet: String(buffer: keys.body))
    }

    func confirm(_ id: String, userID: String, code: String) async throws {
        _ = try await api.send(.POST, path(id, "/confirm"), json: ["user_id": userID, "code": code])
    }

    func expire(_ id: String) async throws { _ = try await api.send(.POST, path(id, "/expire")) }

    func status(of id: String) async throws -> String {
        try await api.send(.GET, path(id), as: Status.self).status
    }

    func waitForEnd(_ id: String) async throws {
        var status = "open"
        while status == "open" {
            let asked = ContinuousClock.now
            status = try await api.persistently { () throws(ManufacturerAPIError) in
                try await api.send(.GET, path(id, "?wait=50"), within: .seconds(65), as: Status.self).status
            }
            // A replica that is about to stop holds no answer.
            if .now - asked < .seconds(1) { try await Task.sleep(for: .seconds(1)) }
        }
    }

    /// Its events, as soon as there are so many, or after ten seconds.
    func events(of id: String, count: Int) async throws -> [Event] {
        var events: [Event] = []
        for _ in 0..<20 {
            events = try await api.send(.GET, path(id, "/events"), as: List<Event>.self).data
            if events.count >= count { break }
            try await Task.sleep(for: .milliseconds(500))
        }
        return events
    }

    private func path(_ id: String, _ rest: String = "") -> String { "\(ManufacturerAPI.sessions)/\(id)\(rest)" }
}
