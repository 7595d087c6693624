internal import Foundation
package import NIOCore
package import NIOHTTP1
internal import NIOPosix
package import NIOSSL
internal import Synchronization

package struct OutboundHTTPRequest: Sendable {
    /// `https` or `http`.
    package let url: String
    package var method = HTTPMethod.GET
    /// `Host`, `Content-Length` and what every request says of us are added.
    package var headers = HTTPHeaders()
    package var body = ByteBuffer()

    package init(url: String) { self.url = url }
}

package struct OutboundHTTPResponse: Sendable {
    package let status: HTTPResponseStatus
    package let headers: HTTPHeaders
    package let body: ByteBuffer
}

package enum OutboundHTTPError: Error {
    case invalidURL
    case nameUnknown
    case addressNotPublic
    case timedOut
    /// As many requests as the process has descriptors for are under way.
    case tooManyRequests
    /// The connection ended before the answer did.
    case closed
}

/// Asks servers that others name: HTTP/1.1 over TLS 1.2 or later, without a proxy, and without following redirects.
///
/// Each request has a connection of its own, whose address is judged (``PublicAddresses``) before it is connected to.
package struct OutboundHTTPClient: Sendable {
    private static let connectTimeout = TimeAmount.seconds(2)

    private let addresses: PublicAddresses
    private let tls: NIOSSLContext
    private let places: Places

    /// - Parameters:
    ///   - trustRoots: whose certificates are believed; by default those of the system's authorities.
    ///   - places: how many requests can be under way.
    package init(to addresses: PublicAddresses, trustRoots: NIOSSLTrustRoots = .default, places: Int = 512) throws {
        self.addresses = addresses
        self.places = Places(free: places)
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.trustRoots = trustRoots
        configuration.applicationProtocols = ["http/1.1"]
        tls = try NIOSSLContext(configuration: configuration)
    }

    /// - Parameters:
    ///   - timeout: from the name's look-up to the end of the body.
    ///   - maximumSize: of the body, in bytes; it is taken as it comes, never decompressed.
    ///   - cutsBody: of a larger body the beginning is enough; else it is an error.
    package func send(
        _ request: OutboundHTTPRequest, within timeout: TimeAmount, maximumSize: Int, cutsBody: Bool = false
    ) async throws -> OutboundHTTPResponse {
        let target = try Target(request.url)
        try places.take()
        defer { places.giveBack() }
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let answer = loop.makePromise(of: OutboundHTTPResponse.self)
        // What comes first decides: a later success or failure of the same promise changes nothing.
        let deadline = loop.scheduleTask(in: timeout) { answer.fail(OutboundHTTPError.timedOut) }
        defer { deadline.cancel() }
        addresses.connect(target.host, port: target.port, timeout: Self.connectTimeout, on: loop)
            .flatMapThrowing { [tls] channel in
                answer.futureResult.whenComplete { _ in channel.close(promise: nil) }
                let pipeline = channel.pipeline.syncOperations
                if target.isEncrypted {
                    // Of an address none is sent (RFC 6066, section 3); the certificate has to name the address then.
                    let handler = try NIOSSLClientHandler(context: tls, serverHostname: target.serverName)
                    try pipeline.addHandler(handler)
                }
                try pipeline.addHTTPClientHandlers(leftOverBytesStrategy: .dropBytes)
                if cutsBody {
                    try pipeline.addHandler(CuttingResponseHandler(answer: answer, maximumSize: maximumSize))
                } else {
                    try pipeline.addHandler(NIOHTTPClientResponseAggregator(maxContentLength: maximumSize))
                    try pipeline.addHandler(ResponseHandler(answer: answer))
                }
                request.write(to: channel, target).cascadeFailure(to: answer)
            }
            .cascadeFailure(to: answer)
        return try await withTaskCancellationHandler {
            try await answer.futureResult.get()
        } onCancel: {
            answer.fail(CancellationError())
        }
    }
}

private final class Places: Sendable {
    private let free: Mutex<Int>

    init(free: Int) { self.free = Mutex(free) }

    func take() throws(OutboundHTTPError) {
        let isFree = free.withLock { free in
            guard free > 0 else { return false }
            free -= 1
            return true
        }
        guard isFree else { throw .tooManyRequests }
    }

    func giveBack() { free.withLock { $0 += 1 } }
}

/// What a URL says about where a request goes.
private struct Target {
    let isEncrypted: Bool
    let host: String
    let port: Int
    let serverName: String?
    /// The `Host` header.
    let authority: String
    let path: String

    init(_ url: String) throws(OutboundHTTPError) {
        guard let parts = URLComponents(string: url), let scheme = parts.scheme?.lowercased(),
            scheme == "https" || scheme == "http", let host = parts.host, !host.isEmpty
        else { throw .invalidURL }
        isEncrypted = scheme == "https"
        self.host = host.hasPrefix("[") ? String(host.dropFirst().dropLast()) : host
        port = parts.port ?? (isEncrypted ? 443 : 80)
        serverName = (try? SocketAddress(ipAddress: self.host, port: port)) == nil ? host : nil
        let name = self.host.contains(":") ? "[\(self.host)]" : host
        authority = parts.port.map { "\(name):\($0)" } ?? name
        let path = parts.percentEncodedPath.isEmpty ? "/" : parts.percentEncodedPath
        self.path = path + (parts.percentEncodedQuery.map { "?\($0)" } ?? "")
    }
}

extension OutboundHTTPRequest {
    fileprivate func write(to channel: any Channel, _ target: Target) -> EventLoopFuture<Void> {
        var head = HTTPRequestHead(version: .http1_1, method: method, uri: target.path, headers: headers)
        head.headers.replaceOrAdd(name: "host", value: target.authority)
        head.headers.replaceOrAdd(name: "connection", value: "close")
        // Firewalls refuse requests that do not say who asks.
        head.headers.replaceOrAdd(name: "user-agent", value: "nox-link-sessions")
        head.headers.replaceOrAdd(name: "accept-encoding", value: "identity")
        if body.readableBytes > 0 {
            head.headers.replaceOrAdd(name: "content-length", value: String(body.readableBytes))
        }
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        if body.readableBytes > 0 { channel.write(HTTPClientRequestPart.body(.byteBuffer(body)), promise: nil) }
        return channel.writeAndFlush(HTTPClientRequestPart.end(nil))
    }
}

private final class ResponseHandler: ChannelInboundHandler {
    typealias InboundIn = NIOHTTPClientResponseFull

    private let answer: EventLoopPromise<OutboundHTTPResponse>

    init(answer: EventLoopPromise<OutboundHTTPResponse>) { self.answer = answer }

    func channelRead(context _: ChannelHandlerContext, data: NIOAny) {
        let response = unwrapInboundIn(data)
        answer.succeed(
            OutboundHTTPResponse(
                status: response.head.status, headers: response.head.headers, body: response.body ?? ByteBuffer()))
    }

    func errorCaught(context _: ChannelHandlerContext, error: any Error) { answer.fail(error) }

    func channelInactive(context _: ChannelHandlerContext) { answer.fail(OutboundHTTPError.closed) }
}

/// Answers with as much of the body as is wanted, as soon as that is there.
private final class CuttingResponseHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart

    private let answer: EventLoopPromise<OutboundHTTPResponse>
    private let maximumSize: Int
    private var head: HTTPResponseHead?
    private var body = ByteBuffer()

    init(answer: EventLoopPromise<OutboundHTTPResponse>, maximumSize: Int) {
        self.answer = answer
        self.maximumSize = maximumSize
    }

    func channelRead(context _: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): self.head = head
        case .body(var part):
            if let piece = part.readSlice(length: min(part.readableBytes, maximumSize - body.readableBytes)) {
                body.writeImmutableBuffer(piece)
            }
            if body.readableBytes >= maximumSize { succeed() }
        case .end: succeed()
        }
    }

    private func succeed() {
        guard let head else { return }
        answer.succeed(OutboundHTTPResponse(status: head.status, headers: head.headers, body: body))
    }

    func errorCaught(context _: ChannelHandlerContext, error: any Error) { answer.fail(error) }

    func channelInactive(context _: ChannelHandlerContext) { answer.fail(OutboundHTTPError.closed) }
}
