internal import ArgumentParser
internal import AsyncHTTPClient
internal import NIOCore
internal import NIOHTTP1

struct Healthcheck: Command {
    static let configuration = CommandConfiguration(
        abstract: "Ask the running service whether it is ready: exit 0 for yes, 1 for no.",
        discussion: "For the HEALTHCHECK of a container. Asks GET /health/ready on HTTP_HOST and HTTP_PORT.")

    @OptionGroup var options: ServiceOptions

    func perform() async throws {
        let settings = try await Settings(options)
        let (port, listensOn) = (try settings.httpPort, try settings.httpHost)
        let host = ["0.0.0.0": "127.0.0.1", "::": "::1"][listensOn] ?? listensOn
        let request = HTTPClientRequest(
            url: "http://\(host.contains(":") ? "[\(host)]" : host):\(port)/health/ready")
        let limits = HTTPClient.Configuration(timeout: .init(read: .seconds(3)))
        let (status, body): (HTTPResponseStatus, ByteBuffer)
        do {
            (status, body) = try await HTTPClient.withHTTPClient(configuration: limits) { client in
                let response = try await client.execute(request, timeout: .seconds(3))
                return (response.status, try await response.body.collect(upTo: 65_536))
            }
        } catch {
            throw CommandError("no answer from \(host):\(port) within 3 seconds")
        }
        print(String(buffer: body))
        guard status == .ok else { throw ExitCode(1) }
    }
}
