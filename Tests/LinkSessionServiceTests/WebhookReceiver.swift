// A manufacturer's server that gets webhooks, and answers as a test wants it to.

import Crypto
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
@testable import TestSupport

final class WebhookReceiver: Sendable {
    struct Delivery: Sendable {
        let id: String
        let timestamp: String
        let signature: String
        let body: String
        let at: ContinuousClock.Instant

        var event: JSONValue? { try? JSONDecoder().decode(JSONValue.self, from: Data(body.utf8)) }

        /// Verified as Standard Webhooks has it: with a public key (RFC 8032), and with a secret.
        func isSigned(by key: [UInt8]) -> Bool {
            guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: key) else { return false }
            return signatures("v1a").contains { key.isValidSignature($0, for: message) }
        }

        func isSigned(with secret: String) -> Bool {
            guard secret.hasPrefix("whsec_"), let bytes = Data(base64Encoded: String(secret.dropFirst(6))) else {
                return false
            }
            return signatures("v1").contains {
                HMAC<Crypto.SHA256>.isValidAuthenticationCode($0, authenticating: message, using: .init(data: bytes))
            }
        }

        private var message: Data { Data("\(id).\(timestamp).\(body)".utf8) }

        private func signatures(_ version: String) -> [Data] {
            signature.split(separator: " ").compactMap { part in
                part.hasPrefix(version + ",") ? Data(base64Encoded: String(part.dropFirst(version.count + 1))) : nil
            }
        }
    }

    enum Answer: Sendable {
        case status(Int, headers: [(String, String)] = [], body: String = "")
        case late(Duration)
        case never
        /// A body without end.
        case endless
    }

    let port: Int
    private let script = Mutex<@Sendable (Delivery) -> Answer>({ _ in .status(204) })
    private let received = Mutex<[Delivery]>([])

    private init(port: Int) { self.port = port }

    var url: String { "http://127.0.0.1:\(port)/hooks" }
    var deliveries: [Delivery] { received.withLock { $0 } }
    var ids: [String] { deliveries.map(\.id) }

    func answers(_ answer: @escaping @Sendable (Delivery) -> Answer) { script.withLock { $0 = answer } }

    static func with(port: Int = 0, _ body: (WebhookReceiver) async throws -> Void) async throws {
        let running = Mutex<WebhookReceiver?>(nil)
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let receiver = running.withLock({ $0 }) else { return }
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(receiver))
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        let receiver = WebhookReceiver(port: channel.localAddress?.port ?? 0)
        running.withLock { $0 = receiver }
        do {
            try await body(receiver)
            try await channel.close()
        } catch {
            try await channel.close()
            throw error
        }
    }

    fileprivate func take(_ head: HTTPRequestHead, _ body: String) -> Answer {
        func header(_ name: String) -> String { head.headers.first(name: name) ?? "" }
        let delivery = Delivery(
            id: header("webhook-id"), timestamp: header("webhook-timestamp"), signature: header("webhook-signature"),
            body: body, at: .now)
        received.withLock { $0.append(delivery) }
        return script.withLock { $0 }(delivery)
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let receiver: WebhookReceiver
        private var head: HTTPRequestHead?
        private var body = ""

        init(_ receiver: WebhookReceiver) { self.receiver = receiver }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): (self.head, body) = (head, "")
            case .body(let buffer): body += String(buffer: buffer)
            case .end:
                guard let head else { return }
                Self.answer(receiver.take(head, body), to: context.channel)
            }
        }

        private static func answer(_ answer: Answer, to channel: any Channel) {
            switch answer {
            case .status(let status, let headers, let body):
                let headers = HTTPHeaders(headers + [("content-length", "\(body.utf8.count)")])
                write(status, headers, to: channel)
                channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: body))), promise: nil)
                channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
            case .late(let delay):
                Task {
                    try? await Task.sleep(for: delay)
                    self.answer(.status(200), to: channel)
                }
            case .never: break
            case .endless:
                write(200, ["transfer-encoding": "chunked"], to: channel)
                Task {
                    let piece = ByteBuffer(repeating: 0x61, count: 4096)
                    while channel.isActive {
                        try? await channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(piece)))
                    }
                }
            }
        }

        private static func write(_ status: Int, _ headers: HTTPHeaders, to channel: any Channel) {
            let status = HTTPResponseStatus(statusCode: status)
            channel.write(
                HTTPServerResponsePart.head(.init(version: .http1_1, status: status, headers: headers)), promise: nil)
        }

        func errorCaught(context: ChannelHandlerContext, error _: any Error) { context.close(promise: nil) }
    }
}
