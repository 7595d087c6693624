internal import Foundation
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOCore
internal import NIOHTTP1
internal import OutboundHTTP
internal import TokenGenerator
internal import Webhooks

/// An event as the feed has it.
struct ReadEvent: Sendable {
    private struct Members: Decodable {
        struct Details: Decodable {
            struct Session: Decodable {
                let id: String
            }

            let link_session: Session
        }

        let id: String
        let type: String
        let timestamp: Int64
        let data: Details
    }

    let position: FeedPosition
    let type: String
    let timestamp: Int64
    let sessionID: String
    /// Byte for byte.
    let json: [UInt8]

    init?(_ json: some Sequence<UInt8>) {
        self.json = Array(json)
        guard let members = try? JSONDecoder().decode(Members.self, from: Data(self.json)),
            let position = FeedPosition(eventID: members.id)
        else { return nil }
        self.position = position
        type = DisplayText.escaped(members.type)
        timestamp = members.timestamp
        sessionID = DisplayText.escaped(members.data.link_session.id)
    }
}

/// An integrator's own receiver of webhooks, to which events are forwarded.
struct EventReceiver: Sendable {
    enum Answer: Equatable {
        case status(UInt)
        case none(String)

        var isTaken: Bool { if case .status(200..<300) = self { true } else { false } }

        var text: String {
            switch self {
            case .status(let code): String(code)
            case .none(let why): why
            }
        }
    }

    private static let timeout = TimeAmount.seconds(10)

    let url: String
    let secret: WebhookSecret
    private let http: OutboundHTTPClient

    /// - Parameter key: what the secret is derived from: the same key gives the same secret.
    init(url: String, key: String) throws(CommandError) {
        guard let parts = URLComponents(string: url), parts.scheme == "http" || parts.scheme == "https",
            parts.host?.isEmpty == false, parts.user == nil, parts.password == nil, parts.fragment == nil
        else { throw .argument("--forward-to", expects: "an http or https URL, such as http://localhost:3000/hook") }
        guard let hmac = HMACSHA256(secret: Array(key.utf8)),
            let secret = try? WebhookSecret(from: hmac, salt: Array("listen".utf8))
        else { throw CommandError("OpenSSL could not derive the receiver's secret") }
        self.url = url
        self.secret = secret
        http = try .forIntegrators
    }

    /// Sends an event once.
    func send(_ event: ReadEvent) async throws -> Answer {
        let (id, now) = (event.position.eventID, UnixSeconds(Date().timeIntervalSince1970))
        var request = OutboundHTTPRequest(url: url)
        request.method = .POST
        request.headers = [
            "content-type": "application/json", "webhook-id": id, "webhook-timestamp": String(now),
            "webhook-signature": try secret.signature(id: id, timestamp: now, body: event.json),
        ]
        request.body = ByteBuffer(bytes: event.json)
        do {
            return .status(
                try await http.send(request, within: Self.timeout, maximumSize: 1024, cutsBody: true).status.code)
        } catch {
            return .none(OutboundHTTPError.text(of: error))
        }
    }
}
