internal import ArgumentParser
internal import NIOCore
internal import NIOHTTP1
internal import OutboundHTTP

struct Healthcheck: Command {
    static let configuration = CommandConfiguration(
        abstract: "Ask the running service whether it is ready: exit 0 for yes, 1 for no.",
        discussion: "For the HEALTHCHECK of a container. Asks GET /health/ready on HTTP_HOST and HTTP_PORT.")

    @OptionGroup var options: ServiceOptions

    func perform() async throws {
        let settings = try await Settings(options)
        let (port, listensOn) = (try settings.httpPort, try settings.httpHost)
        let host = ["0.0.0.0": "127.0.0.1", "::": "::1"][listensOn] ?? listensOn
        let url = "http://\(host.contains(":") ? "[\(host)]" : host):\(port)/health/ready"
        let response: OutboundHTTPResponse
        do {
            response = try await OutboundHTTPClient(to: .orAny).send(
                OutboundHTTPRequest(url: url), within: .seconds(3), maximumSize: 65_536)
        } catch {
            throw CommandError("no answer from \(host):\(port) within 3 seconds")
        }
        print(String(buffer: response.body))
        guard response.status == .ok else { throw ExitCode(1) }
    }
}
