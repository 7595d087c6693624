// A request on its connection.

internal import NIOHTTP1

/// One request and what is known of its connection's further use.
struct Exchange {
    let head: HTTPRequestHead
    let body: RequestBody
    /// The connection ends with its answer.
    let isLast: Bool

    init(head: HTTPRequestHead) {
        self.head = head
        body = RequestBody()
        // Of what follows an upgrade the decoder parses nothing more, and nobody here speaks another protocol
        // (RFC 9110, section 7.8).
        isLast =
            head.version == .http1_0 || !head.isKeepAlive || head.method == .CONNECT
            || head.headers.contains(name: "upgrade")
    }
}

extension HTTPRequestHead {
    /// As a head of HTTP/1.1 has to (RFC 9112, section 3.2).
    var namesOneHost: Bool {
        let hosts = headers["host"]
        return hosts.count == 1 && !hosts[0].isEmpty && !hosts[0].utf8.contains(UInt8(ascii: ","))
    }
}
