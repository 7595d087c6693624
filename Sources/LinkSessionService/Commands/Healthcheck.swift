// link-session-service healthcheck

internal import ArgumentParser
internal import NIOCore
internal import NIOPosix

struct Healthcheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask the running service whether it is ready: exit 0 for yes, 1 for no.",
        discussion: "For the HEALTHCHECK of a container. Asks GET /health/ready on HTTP_HOST and HTTP_PORT.")

    @OptionGroup var options: ServiceOptions

    func run() async throws {
        let host: String
        let port: Int
        do {
            let settings = try await Settings(options.values)
            port = try settings.read(\.httpPort)
            host = try settings.read(\.httpHost)
        } catch {
            throw failure(error.line)
        }
        let reachable = ["0.0.0.0": "127.0.0.1", "::": "::1"][host] ?? host
        let answer = await Self.ask(host: reachable, port: port)
        guard let answer else { throw failure("no answer from \(reachable):\(port) within 3 seconds") }
        let body = answer.split(separator: "\r\n\r\n", maxSplits: 1).last.map(String.init) ?? answer
        printToStandardOutput(body)
        guard answer.hasPrefix("HTTP/1.1 200 ") else { throw ExitCode(1) }
    }

    /// The whole answer, as far as it came in one piece.
    private static func ask(host: String, port: Int) async -> String? {
        await withTaskGroup(of: String?.self) { group in
            group.addTask {
                guard
                    let channel = try? await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
                        .connectTimeout(.seconds(2))
                        .connect(
                            host: host, port: port,
                            channelInitializer: { channel in
                                channel.eventLoop.makeCompletedFuture {
                                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                                }
                            })
                else { return nil }
                return try? await channel.executeThenClose { inbound, outbound in
                    let request = "GET /health/ready HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n"
                    try await outbound.write(ByteBuffer(string: request))
                    var answer = ""
                    for try await bytes in inbound { answer += String(buffer: bytes) }
                    return answer
                }
            }
            group.addTask {
                try? await Task.sleep(for: .seconds(3))
                return nil
            }
            defer { group.cancelAll() }
            return await group.next() ?? nil
        }
    }
}
