// What a fuzzed connection is asked, and what answers it.

import NIOCore
import NIOHTTP1
import Synchronization

@testable import HTTPServer

/// Counts what the decoder makes of the bytes.
final class Heads: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart

    var methods: [HTTPMethod] = []
    var expectations = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head(let head) = unwrapInboundIn(data) {
            methods.append(head.method)
            if head.headers.contains(name: "expect") { expectations += 1 }
        }
        context.fireChannelRead(data)
    }
}

/// Answers at once, after the body, or when it is told to.
final class Requests: Sendable {
    private struct State {
        var begun = 0
        var ended = 0
        var answers = 0
        var lastAnswer = 0
        var waiting: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    var answers: Int { state.withLock { $0.answers } }
    var underWay: Int { state.withLock { $0.begun - $0.ended } }
    var isWaiting: Bool { state.withLock { $0.waiting != nil } }

    func answered() { state.withLock { $0.answers += 1 } }

    func isNext(_ number: Int) -> Bool {
        state.withLock { state in
            defer { state.lastAnswer = number }
            return number > state.lastAnswer
        }
    }

    func answerNext() {
        let waiting = state.withLock { state in
            defer { state.waiting = nil }
            return state.waiting
        }
        waiting?.resume()
    }

    private func wait() async {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                expect(state.waiting == nil, "one request at a time")
                state.waiting = continuation
            }
        }
    }

    private func respond(_ work: () async -> [UInt8]) async -> Response {
        let number = state.withLock { state in
            state.begun += 1
            return state.begun
        }
        let body = await work()
        state.withLock { $0.ended += 1 }
        var response = Response(json: body)
        response.headers.add(name: "x-number", value: "\(number)")
        return response
    }

    private static func body(of request: Request) async -> [UInt8] {
        do {
            let body = try await request.body.collect()
            expect(body.readableBytes <= RequestBody.maximumSize)
            return Array(body.readableBytesView)
        } catch {
            return Array("\(error)".utf8)
        }
    }

    var routes: Routes {
        var routes = Routes()
        routes.add(
            "/", .get { _ in await self.respond { [1] } },
            .post { request in await self.respond { await Self.body(of: request) } })
        routes.add(
            "/later",
            .get { _ in
                await self.respond {
                    await self.wait()
                    return [2]
                }
            },
            .post { request in
                await self.respond {
                    let body = await Self.body(of: request)
                    await self.wait()
                    return body
                }
            })
        routes.add("/early", .post { _ in await self.respond { [3] } })
        return routes
    }
}
