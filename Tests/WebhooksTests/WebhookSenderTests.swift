// Where webhooks are not sent to, however their URL is written.

import IPAddresses
@testable import LinkSessionRepository
import LinkSessions
import NIOCore
import NIOPosix
@testable import OutboundHTTP
import Synchronization
import Testing
import TokenGenerator
@testable import Webhooks

@Suite struct WebhookSenderTests {
    private func send(to url: String, at addresses: PublicAddresses) async throws -> WebhookAnswer {
        let key = try #require(SigningKey(seed: Array(repeating: 1, count: 32)))
        let sender = WebhookSender(
            http: try OutboundHTTPClient(to: addresses), signer: WebhookSigner(key: key, secrets: []))
        let session = LinkSession(
            id: LinkSessionID.first(at: 1), manufacturer: .init(1), userID: try ManufacturerUserID("u"),
            redirectURL: try RedirectURL("https://your-app.com/callback"), language: .nl, createdAt: 0, expiresAt: 600,
            isPastExpiry: false)
        let event = FeedEvent(
            position: FeedPosition(stored: 1), kind: .opened, reason: nil, occurredAt: 0, session: session)
        let endpoint = WebhookEndpoint(id: .init(1), manufacturer: .init(1), url: url, kinds: nil, salts: [])
        return await sender.send([], of: event, to: endpoint)
    }

    @Test(arguments: [
        "127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "[fd00::1]",
    ])
    func `an address that is not public is refused`(host: String) async throws {
        let answer = try await send(to: "https://\(host)/hooks", at: .only)
        #expect(answer.outcome == .failed && answer.text == "the address is not public")
    }

    @Test(arguments: ["127.0.0.1", "10.0.0.1", "::ffff:10.0.0.1"])
    func `a name with an address that is not public is refused, each time anew`(address: String) async throws {
        let lookUps = Mutex(0)
        // The first answer is public, and nobody is there.
        let rebinding = PublicAddresses(isAllowed: { "\($0)" == "192.0.2.1" || "\($0)" == "127.0.0.9" }) { _, port in
            let isFirst = lookUps.withLock { count in
                count += 1
                return count == 1
            }
            return [try SocketAddress(ipAddress: isFirst ? "127.0.0.9" : address, port: port)]
        }
        let first = try await send(to: "https://hooks.invalid:1/", at: rebinding)
        #expect(first.outcome == .failed && first.text != "the address is not public")
        let second = try await send(to: "https://hooks.invalid:1/", at: rebinding)
        #expect(second.outcome == .failed && second.text == "the address is not public")
        #expect(lookUps.withLock { $0 } == 2)
    }

    @Test(arguments: ["", "http://example.com/", "ftp://example.com/", "https://user@example.com/"])
    func `what is no URL of a webhook is asked nothing`(url: String) async throws {
        let answer = try await send(to: url, at: .orAny)
        #expect(answer.outcome == .failed && answer.text == "the URL is invalid")
    }

    @Test func `of an answer that does not end 16 KiB are waited for, and not a byte more`() async throws {
        let receiver = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Endless(beginning: 16 * 1024))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let answer = try await send(to: "http://127.0.0.1:\(receiver.localAddress?.port ?? 0)/", at: .orAny)
        try await receiver.close()
        #expect(answer.outcome == .taken && answer.text == String(repeating: "x", count: 200))
    }
}

/// Answers with the first bytes of a body, and says nothing more.
private final class Endless: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let beginning: Int
    private var hasAnswered = false

    init(beginning: Int) { self.beginning = beginning }

    func channelRead(context: ChannelHandlerContext, data _: NIOAny) {
        guard !hasAnswered else { return }
        hasAnswered = true
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n" + String(repeating: "x", count: beginning)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
    }
}
