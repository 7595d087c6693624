// The other end of a fuzzed connection.

import NIOCore
import NIOHTTP1

/// Between the connection and the client: what is written, and whether it may be.
final class Wire: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    var heads: Heads?
    var requests: Requests?
    var isRead = false
    private let readsAnswers: Bool
    private var unread: [EventLoopPromise<Void>] = []
    private var answers = 0
    private var continues = 0
    private var isLast = false
    private var outputIsClosed = false

    init(readsAnswers: Bool) { self.readsAnswers = readsAnswers }

    func read(context: ChannelHandlerContext) { isRead = true }

    func flush(context: ChannelHandlerContext) {}

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        expect(!outputIsClosed || mode != .output, "closed twice")
        outputIsClosed = true
        guard mode == .all else {
            promise?.succeed()
            return
        }
        let unread = unread
        self.unread = []
        for promise in unread { promise.fail(ChannelError.ioOnClosedChannel) }
        context.close(promise: promise)
    }

    func completeWrites() {
        let unread = unread
        self.unread = []
        for promise in unread { promise.succeed() }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        expect(!outputIsClosed, "written after the end")
        expect(!isLast, "written after the last answer")
        judge(Array(unwrapOutboundIn(data).readableBytesView))
        guard let promise else { return }
        if readsAnswers {
            promise.succeed()
        } else {
            unread.append(promise)
        }
    }

    private func judge(_ bytes: [UInt8]) {
        guard let end = bytes.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound else {
            return expect(false, "a head has an end")
        }
        let message = String(decoding: bytes[..<end], as: UTF8.self)
        let body = bytes[end...]
        expect(message.hasPrefix("HTTP/1.1 "))
        if message.hasPrefix("HTTP/1.1 100 ") {
            continues += 1
            expect(body.isEmpty && continues <= heads!.expectations)
            return
        }
        let fields = message.split(separator: "\r\n").dropFirst().map {
            let parts = $0.split(separator: ": ", maxSplits: 1, omittingEmptySubsequences: false)
            expect(parts.count == 2 && !parts[0].isEmpty, "a field is a name and a value")
            return (parts[0].lowercased(), String(parts[1]))
        }
        let lengths = fields.filter { $0.0 == "content-length" }
        expect(lengths.count == 1, "one length")
        isLast = fields.contains { $0 == ("connection", "close") }
        let status = Int(message.dropFirst(9).prefix(3))!
        expect((200..<600).contains(status))
        let isRefusal = !fields.contains { $0.0 == "x-number" } && status != 404 && status != 405
        expect(!isRefusal || isLast, "a refusal is the last answer")
        if !isRefusal {
            expect(answers < heads!.methods.count, "an answer to nothing")
            let hasNoBody = heads!.methods[answers] == .HEAD
            expect(body.count == (hasNoBody ? 0 : Int(lengths[0].1)!), "the body is as long as it says")
            answers += 1
            if let number = fields.first(where: { $0.0 == "x-number" }) {
                expect(requests!.isNext(Int(number.1)!), "in order")
            }
        } else {
            expect(body.count == Int(lengths[0].1)!)
        }
    }
}
