// A service as integrators reach it: its link_url leads to itself.

import NIOCore
import NIOPosix
@testable import TestSupport
import Testing

extension Service {
    /// Serves at an address that browsers can open, the same after a restart.
    static func runAtItsURL(environment: [String: String] = [:], _ body: (Service) async throws -> Void) async throws {
        try await run(environment: try await addressEnvironment().merging(environment) { $1 }, body)
    }

    static func addressEnvironment() async throws -> [String: String] {
        let port = try await freePort()
        return ["HTTP_PORT": "\(port)", "PUBLIC_BASE_URL": "http://127.0.0.1:\(port)"]
    }

    static func freePort() async throws -> Int {
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = channel.localAddress?.port ?? 0
        try await channel.close()
        return port
    }

    var url: String { "http://127.0.0.1:\(port)" }

    /// A session of Acme's that was opened and completed.
    func completedSession() async throws {
        let token = try await createdToken()
        _ = try await view(token)
        _ = try await complete(token)
    }

    /// All events of Acme's, as soon as there are so many.
    func feed(count: Int) async throws -> [JSONValue] {
        var events: [JSONValue] = []
        try await wait(until: "there are \(count) events") {
            events = try await get("\(Self.events)?limit=100", key: TestKeys.acme).json["data"]?.elements ?? []
            return events.count >= count
        }
        return events
    }
}
