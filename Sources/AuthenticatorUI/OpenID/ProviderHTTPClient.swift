// Requests to providers, each with a limit of size and of time.

internal import AsyncHTTPClient
internal import Foundation
internal import NIOCore
internal import NIOHTTP1

enum ProviderHTTPClient {
    /// From the connection's start to the body's end.
    private static let deadline = Duration.seconds(4)
    /// Of a body, in bytes.
    private static let maximumSize = 256 * 1024

    /// One for the whole process, so that connections are used again; it is never shut down. It follows no redirect:
    /// what a provider publishes says where its endpoints are.
    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout = .init(connect: .seconds(2), read: .seconds(3), write: .seconds(3))
        // A small body must not become a large one here.
        configuration.decompression = .disabled
        configuration.connectionPool = .init(
            idleTimeout: .seconds(30), concurrentHTTP1ConnectionsPerHostSoftLimit: 256)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    /// What is published at a URL, read as JSON.
    static func get<Value: Decodable & Sendable>(_ url: String, as _: Value.Type) async throws -> Value {
        var request = HTTPClientRequest(url: url)
        request.headers.add(name: "accept", value: "application/json")
        let (status, body) = try await send(request)
        guard status == .ok else { throw ProviderError.unavailable("status \(status.code)") }
        do {
            return try JSONDecoder().decode(Value.self, from: body)
        } catch {
            throw ProviderError.unavailable("what it publishes cannot be read")
        }
    }

    /// Status and body of the answer.
    static func send(_ request: HTTPClientRequest) async throws -> (HTTPResponseStatus, Data) {
        try await withThrowingTaskGroup(of: (HTTPResponseStatus, Data).self) { group in
            group.addTask {
                let response = try await http.execute(request, timeout: .seconds(4))
                let body = try await response.body.collect(upTo: maximumSize)
                return (response.status, Data(body.readableBytesView))
            }
            // The client's read timeout begins anew with every byte: alone it would let a body come slowly for long.
            group.addTask {
                try await Task.sleep(for: deadline)
                throw ProviderError.unavailable("no answer in time")
            }
            defer { group.cancelAll() }
            guard let result = try await group.next() else { throw CancellationError() }
            return result
        }
    }
}
