internal import NIOCore
package import NIOHTTP1

/// A large body that many answers have: clients that do not read theirs all wait for the same bytes.
package struct SharedBody: Sendable {
    let bytes: ByteBuffer

    package init(_ bytes: [UInt8]) { self.bytes = ByteBuffer(bytes: bytes) }
}

/// An answer, and how it is written to the connection.
package struct Response: Sendable {
    package var status: HTTPResponseStatus
    /// No value comes from a client unchecked.
    package var headers: HTTPHeaders
    var body: [UInt8]
    /// Written after ``body``, which is empty then.
    private(set) var sharedBody: SharedBody?
    var requestID = ""
    /// Of an answer that is no success.
    var error: ErrorAnswer?
    /// There is no answer yet.
    private(set) var hold: Hold?

    /// A request that waits for something to happen. It has no task meanwhile, so that thousands can wait.
    package struct Hold: Sendable {
        /// Takes what is to be called, on any thread, when the handler is to go on.
        let onWake: @Sendable (@escaping @Sendable () -> Void) -> Void
        let handler: Handler
    }

    /// - Parameters:
    ///   - wake: takes what is to be called, once and on any thread, when the handler is to go on.
    ///   - handler: may hold the request again.
    package init(
        heldUntil wake: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void, handler: @escaping Handler
    ) {
        self.init(status: .ok, headers: [:], body: [])
        hold = Hold(onWake: wake, handler: handler)
    }

    package init(status: HTTPResponseStatus, headers: HTTPHeaders, body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    package init(headers: HTTPHeaders, body: SharedBody) {
        self.init(status: .ok, headers: headers, body: [])
        sharedBody = body
    }

    package init(json body: [UInt8], status: HTTPResponseStatus = .ok) {
        self.init(status: status, headers: Self.jsonHeaders, body: body)
    }

    private static let jsonHeaders: HTTPHeaders = ["content-type": "application/json", "cache-control": "no-store"]

    /// The message of RFC 9112, in one piece but for a shared body.
    ///
    /// - Parameter withBody: false for the answer to HEAD (RFC 9110, section 9.3.2).
    func serialized(withBody: Bool, closes: Bool) -> [UInt8] {
        var message: [UInt8] = []
        message.reserveCapacity(384 + (withBody ? body.count : 0))
        message += "HTTP/1.1 ".utf8
        message += String(status.code).utf8
        message += " ".utf8
        message += status.reasonPhrase.utf8
        for (name, value) in headers {
            message += "\r\n".utf8
            message += name.utf8
            message += ": ".utf8
            message += value.utf8
        }
        message += "\r\nx-content-type-options: nosniff\r\nx-request-id: ".utf8
        message += requestID.utf8
        message += "\r\ndate: ".utf8
        message += DateHeader.now.utf8
        message += "\r\ncontent-length: ".utf8
        message += String(sharedBody?.bytes.readableBytes ?? body.count).utf8
        message += (closes ? "\r\nconnection: close\r\n\r\n" : "\r\n\r\n").utf8
        if withBody { message += body }
        return message
    }
}
