// An answer, and how it is written to the connection.

package import NIOHTTP1
internal import Synchronization
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

package struct Response: Sendable {
    package var status: HTTPResponseStatus
    /// No value comes from a client unchecked.
    package var headers: HTTPHeaders
    var body: [UInt8]
    var requestID = ""

    package init(status: HTTPResponseStatus, headers: HTTPHeaders, body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    init(json body: [UInt8], status: HTTPResponseStatus = .ok) {
        self.init(status: status, headers: Self.jsonHeaders, body: body)
    }

    private static let jsonHeaders: HTTPHeaders = ["content-type": "application/json", "cache-control": "no-store"]

    /// The message of RFC 9112, in one piece.
    ///
    /// - Parameter withBody: false for the answer to HEAD (RFC 9110, section 9.3.2).
    func serialized(withBody: Bool, closes: Bool) -> [UInt8] {
        var message: [UInt8] = []
        message.reserveCapacity(320 + (withBody ? body.count : 0))
        func add(_ name: String, _ value: String) {
            message += name.utf8
            message += ": ".utf8
            message += value.utf8
            message += "\r\n".utf8
        }
        message += "HTTP/1.1 ".utf8
        message += String(status.code).utf8
        message += " ".utf8
        message += status.reasonPhrase.utf8
        message += "\r\n".utf8
        for (name, value) in headers { add(name, value) }
        add("x-request-id", requestID)
        add("date", DateHeader.now)
        add("content-length", String(body.count))
        if closes { add("connection", "close") }
        message += "\r\n".utf8
        if withBody { message += body }
        return message
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
