// A server that stands for anybody's on the internet, or for one that only our own network should reach.

import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

final class LoopbackServer: Sendable {
    let port: Int
    /// How many connections were taken.
    let connections = Mutex(0)
    /// The `Host` headers of the requests, in their order.
    let hosts = Mutex<[String]>([])

    private let parts: [String]
    private let ends: Bool

    private init(port: Int, parts: [String], ends: Bool) { (self.port, self.parts, self.ends) = (port, parts, ends) }

    /// - Parameters:
    ///   - parts: what every request is answered with, chunk by chunk.
    ///   - ends: whether an answer ever does.
    static func with(
        at address: String = "127.0.0.1", tls: NIOSSLContext? = nil, parts: [String] = ["hello"], ends: Bool = true,
        _ body: (LoopbackServer) async throws -> Void
    ) async throws {
        let running = Mutex<LoopbackServer?>(nil)
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let server = running.withLock({ $0 }) else { return }
                    server.connections.withLock { $0 += 1 }
                    let pipeline = channel.pipeline.syncOperations
                    if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
                    try pipeline.configureHTTPServerPipeline()
                    try pipeline.addHandler(Handler(server))
                }
            }
            .bind(host: address, port: 0).get()
        let server = LoopbackServer(port: channel.localAddress?.port ?? 0, parts: parts, ends: ends)
        running.withLock { $0 = server }
        do {
            try await body(server)
            try await channel.close()
        } catch {
            try await channel.close()
            throw error
        }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let server: LoopbackServer

        init(_ server: LoopbackServer) { self.server = server }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): server.hosts.withLock { $0.append(head.headers.first(name: "host") ?? "") }
            case .body: break
            case .end:
                let head = HTTPResponseHead(
                    version: .http1_1, status: .ok, headers: ["transfer-encoding": "chunked"])
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                for part in server.parts {
                    context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: part)))), promise: nil)
                }
                if server.ends { context.write(wrapOutboundOut(.end(nil)), promise: nil) }
                context.flush()
            }
        }
    }
}

/// A certificate of a name, signed by itself.
struct TestCertificate {
    let certificate: NIOSSLCertificate
    private let key: NIOSSLPrivateKey

    init(name: String) throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "certificate-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key -out certificate -days 2"
            .split(separator: " ").map(String.init)
            + ["-subj", "/CN=\(name)", "-addext", "subjectAltName=DNS:\(name)"]
        process.currentDirectoryURL = directory
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        certificate = try NIOSSLCertificate.fromPEMFile(directory.appending(path: "certificate").path)[0]
        key = try NIOSSLPrivateKey(file: directory.appending(path: "key").path, format: .pem)
    }

    func server(newest: TLSVersion? = nil) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: [.certificate(certificate)], privateKey: .privateKey(key))
        configuration.maximumTLSVersion = newest
        return try NIOSSLContext(configuration: configuration)
    }
}
