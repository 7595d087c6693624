// An answer, and how it is written to the connection.

internal import NIOCore
internal import NIOHTTP1
internal import Synchronization
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

struct Response: Sendable {
    var status: HTTPResponseStatus
    var headers: HTTPHeaders
    var body: ByteBuffer
    var requestID = ""

    init(status: HTTPResponseStatus, headers: HTTPHeaders, body: ByteBuffer) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    init(json body: ByteBuffer, status: HTTPResponseStatus = .ok) {
        self.init(status: status, headers: Self.jsonHeaders, body: body)
    }

    private static let jsonHeaders: HTTPHeaders = ["content-type": "application/json", "cache-control": "no-store"]

    /// The message of RFC 9112, in one piece. No header's value comes from a client unchecked.
    ///
    /// - Parameter withBody: false for the answer to HEAD (RFC 9110, section 9.3.2).
    func serialized(withBody: Bool, closes: Bool, allocator: ByteBufferAllocator) -> ByteBuffer {
        var buffer = allocator.buffer(capacity: 512 + (withBody ? body.readableBytes : 0))
        buffer.writeStaticString("HTTP/1.1 ")
        buffer.writeString(String(status.code))
        buffer.writeStaticString(" ")
        buffer.writeString(status.reasonPhrase)
        buffer.writeStaticString("\r\n")
        for (name, value) in headers { buffer.writeHeader(name, value) }
        buffer.writeHeader("x-request-id", requestID)
        buffer.writeHeader("date", DateHeader.now)
        buffer.writeHeader("content-length", String(body.readableBytes))
        if closes { buffer.writeStaticString("connection: close\r\n") }
        buffer.writeStaticString("\r\n")
        if withBody { buffer.writeImmutableBuffer(body) }
        return buffer
    }
}

extension ByteBuffer {
    fileprivate mutating func writeHeader(_ name: String, _ value: String) {
        writeString(name)
        writeStaticString(": ")
        writeString(value)
        writeStaticString("\r\n")
    }
}

/// The time of an answer (RFC 9110, section 5.6.7), made once a second.
private enum DateHeader {
    private static let latest = Mutex<(second: time_t, text: String)>((0, ""))

    static var now: String {
        let second = time(nil)
        return latest.withLock { latest in
            if latest.second != second { latest = (second, text(second)) }
            return latest.text
        }
    }

    private static func text(_ second: time_t) -> String {
        var second = second
        var parts = tm()
        gmtime_r(&second, &parts)
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        func padded(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let time = [parts.tm_hour, parts.tm_min, parts.tm_sec].map(padded).joined(separator: ":")
        return "\(days[Int(parts.tm_wday)]), \(padded(parts.tm_mday)) \(months[Int(parts.tm_mon)]) "
            + "\(parts.tm_year + 1900) \(time) GMT"
    }
}
