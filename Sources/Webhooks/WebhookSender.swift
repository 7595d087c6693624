internal import Foundation
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOCore
internal import NIOHTTP1
internal import OutboundHTTP

/// What came of sending an event once.
struct WebhookAnswer: Sendable {
    /// As metrics name it.
    enum Outcome: String, Sendable, CaseIterable {
        case taken, failed
        /// Nothing is to be sent there any more.
        case gone
        /// It was not sent, by no fault of the receiver's.
        case notSent = "not_sent"
    }

    let outcome: Outcome
    let status: Int?
    /// The first characters of the answer, or why there was none.
    let text: String
}

/// Sends an event to an endpoint, once.
struct WebhookSender: Sendable {
    private static let timeout = TimeAmount.seconds(10)
    private static let mostOfAnswer = 16 * 1024

    let http: OutboundHTTPClient
    let signer: WebhookSigner

    func send(_ body: [UInt8], of event: FeedEvent, to endpoint: WebhookEndpoint) async -> WebhookAnswer {
        let (id, now) = (event.position.eventID, UnixSeconds(Date().timeIntervalSince1970))
        guard ProviderURL(endpoint.url) != nil else {
            return Self.answer(to: OutboundHTTPError.invalidURL)
        }
        guard let signatures = try? signer.signatures(id: id, timestamp: now, body: body, salts: endpoint.salts) else {
            return WebhookAnswer(outcome: .notSent, status: nil, text: "OpenSSL could not sign")
        }
        var request = OutboundHTTPRequest(url: endpoint.url)
        request.method = .POST
        request.headers = [
            "content-type": "application/json", "user-agent": "link-session-service", "webhook-id": id,
            "webhook-timestamp": String(now), "webhook-signature": signatures,
        ]
        request.body = ByteBuffer(bytes: body)
        do {
            let response = try await http.send(
                request, within: Self.timeout, maximumSize: Self.mostOfAnswer, cutsBody: true)
            let outcome: WebhookAnswer.Outcome =
                switch response.status.code {
                case 200..<300: .taken
                case 410: .gone
                default: .failed
                }
            return WebhookAnswer(
                outcome: outcome, status: Int(response.status.code),
                text: Self.harmless(Array(response.body.readableBytesView.prefix(1600))))
        } catch {
            return Self.answer(to: error)
        }
    }

    private static func answer(to error: any Error) -> WebhookAnswer {
        let isOurs = error is CancellationError || error as? OutboundHTTPError == .tooManyRequests
        return WebhookAnswer(outcome: isOurs ? .notSent : .failed, status: nil, text: OutboundHTTPError.text(of: error))
    }

    /// 200 characters that a terminal can show: a receiver can answer anything.
    static func harmless(_ bytes: [UInt8]) -> String {
        var text = String.UnicodeScalarView()
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            guard text.count < 200 else { break }
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate, .unassigned:
                text.append(" ")
            default: text.append(scalar)
            }
        }
        return String(text)
    }
}
