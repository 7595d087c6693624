// An HTTP/1.1 client for tests: exact about what it sends, and about what came back.

import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix

package struct TestResponse: Sendable {
    package let status: Int
    package let headers: [(name: String, value: String)]
    package let body: [UInt8]

    package var text: String { String(decoding: body, as: UTF8.self) }

    package func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    /// The body as a JSON object; empty where it is none.
    package var json: [String: JSONValue] {
        guard case .object(let members)? = try? JSONDecoder().decode(JSONValue.self, from: Data(body)) else {
            return [:]
        }
        return members
    }
}

package enum JSONValue: Sendable, Equatable, Decodable {
    case string(String)
    case number(Int)
    case bool(Bool)
    case null
    case object([String: JSONValue])
    case array([JSONValue])

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([String: JSONValue].self) {
            self = .object(value)
        } else {
            self = .array(try container.decode([JSONValue].self))
        }
    }

    package var string: String? { if case .string(let value) = self { value } else { nil } }
    package var number: Int? { if case .number(let value) = self { value } else { nil } }
    package subscript(name: String) -> JSONValue? { if case .object(let members) = self { members[name] } else { nil } }
}

package enum HTTPClientError: Error {
    /// The connection ended before the answer was whole.
    case brokenOff
    case timedOut
}

/// One keep-alive connection: a request at a time.
package final class TestConnection: Sendable {
    private typealias Inbound = NIOAsyncChannelInboundStream<HTTPClientResponsePart>
    private let channel: NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>

    private init(channel: NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>) { self.channel = channel }

    /// A sender to one server, good until `body` returns.
    package struct Session {
        fileprivate var inbound: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator
        fileprivate let outbound: NIOAsyncChannelOutboundWriter<HTTPClientRequestPart>

        /// - Parameter headers: sent as they are; Host and Content-Length are added where they are missing.
        package mutating func send(
            _ method: String, _ path: String, headers: [(String, String)] = [], body: [UInt8] = []
        ) async throws -> TestResponse {
            var fields = HTTPHeaders(headers)
            if !fields.contains(name: "Host") { fields.add(name: "Host", value: "test") }
            if !body.isEmpty, !fields.contains(name: "Content-Length"), !fields.contains(name: "Transfer-Encoding") {
                fields.add(name: "Content-Length", value: "\(body.count)")
            }
            let head = HTTPRequestHead(version: .http1_1, method: .RAW(value: method), uri: path, headers: fields)
            do {
                try await outbound.write(contentsOf: [
                    .head(head), .body(.byteBuffer(ByteBuffer(bytes: body))), .end(nil),
                ])
            } catch {
                // The answer may have come before the body was sent.
            }
            var status = 0
            var answered: [(String, String)] = []
            var bytes: [UInt8] = []
            while let part = try await inbound.next(isolation: #isolation) {
                switch part {
                case .head(let head):
                    status = Int(head.status.code)
                    answered = head.headers.map { ($0.name, $0.value) }
                case .body(let buffer): bytes += Array(buffer.readableBytesView)
                case .end: return TestResponse(status: status, headers: answered, body: bytes)
                }
            }
            throw HTTPClientError.brokenOff
        }
    }

    package static func with<Value: Sendable>(
        port: Int, _ body: (inout Session) async throws -> Value
    ) async throws -> Value {
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connectTimeout(.seconds(5))
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(
                        wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            var session = Session(inbound: inbound.makeAsyncIterator(), outbound: outbound)
            return try await body(&session)
        }
    }
}

extension ServiceProcess {
    /// One request on a connection of its own.
    package func request(
        _ method: String, _ path: String, headers: [(String, String)] = [], body: [UInt8] = []
    ) async throws -> TestResponse {
        try await TestConnection.with(port: port) { try await $0.send(method, path, headers: headers, body: body) }
    }

    /// `POST` of a create with Acme's key.
    package func create(
        _ json: String =
            #"{"user_id":"manufacturer_user_id_123","redirect_url":"https://your-app.com/callback","language":"nl"}"#,
        key: String = TestKeys.acme
    ) async throws -> TestResponse {
        try await request(
            "POST", "/v2/manufacturer/link-sessions",
            headers: [("Content-Type", "application/json"), ("x-api-key", key)],
            body: Array(json.utf8))
    }

    /// A fresh session's token.
    package func createdToken() async throws -> String {
        let response = try await create()
        guard response.status == 201, let token = response.json["link_token"]?.string else {
            throw Died(description: "create answered \(response.status): \(response.text)")
        }
        return token
    }

    package func find(_ token: String, key: String = TestKeys.acme) async throws -> TestResponse {
        try await request("GET", "/v2/manufacturer/link-sessions/\(token)", headers: [("x-api-key", key)])
    }

    package func expire(_ token: String, key: String = TestKeys.acme) async throws -> TestResponse {
        try await request("POST", "/v2/manufacturer/link-sessions/\(token)/expire", headers: [("x-api-key", key)])
    }

    package func complete(_ token: String, key: String = TestKeys.authenticator) async throws -> TestResponse {
        try await request("POST", "/v2/authenticator/link-sessions/\(token)/complete", headers: [("x-api-key", key)])
    }

    /// Bytes as they are, then whatever comes back until the server closes or the time is up.
    package func raw(
        _ chunks: [[UInt8]], pause: Duration = .zero, within time: Duration = .seconds(20)
    ) async throws -> (text: String, closed: Bool) {
        let channel = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            try await withThrowingTaskGroup(of: (text: String, closed: Bool)?.self) { group in
                group.addTask {
                    var text = ""
                    do { for try await bytes in inbound { text += String(buffer: bytes) } } catch {}
                    return Task.isCancelled ? (text, false) : (text, true)
                }
                group.addTask {
                    for chunk in chunks {
                        do { try await outbound.write(ByteBuffer(bytes: chunk)) } catch { break }
                        if pause > .zero { try? await Task.sleep(for: pause) }
                    }
                    return nil
                }
                group.addTask {
                    try? await Task.sleep(for: time)
                    return ("", false)
                }
                defer { group.cancelAll() }
                while let result = try await group.next() { if let result { return result } }
                return ("", false)
            }
        }
    }
}
