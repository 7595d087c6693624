// A request between its arrival and its answer.

internal import NIOHTTP1

/// One request and what is known of its connection's further use.
struct Exchange {
    let head: HTTPRequestHead
    let body: RequestBody
    /// The connection ends with its answer.
    let isLast: Bool
    /// What it takes of memory, in bytes that were received.
    let size: Int

    init(head: HTTPRequestHead, size: Int) {
        self.head = head
        self.size = size
        body = RequestBody()
        // Of what follows an upgrade the decoder parses nothing more, and nobody here speaks another protocol
        // (RFC 9110, section 7.8).
        isLast =
            head.version == .http1_0 || !head.isKeepAlive || head.method == .CONNECT
            || head.headers.contains(name: "upgrade")
    }
}

extension HTTPRequestHead {
    /// Whether what the decoder let pass is a request that everybody on its way understands in the same way.
    var isUnambiguous: Bool { (version == .http1_0 || namesOneHost) && hasKnownCoding }

    /// As a head of HTTP/1.1 has to (RFC 9112, section 3.2).
    private var namesOneHost: Bool {
        let hosts = headers["host"]
        return hosts.count == 1 && !hosts[0].isEmpty && !hosts[0].utf8.contains(where: Self.isNoneOfHost)
    }

    private static func isNoneOfHost(_ byte: UInt8) -> Bool {
        switch byte {
        case 0...UInt8(ascii: " "), UInt8(ascii: ","), UInt8(ascii: "@"), UInt8(ascii: "/"), UInt8(ascii: "\\"),
            UInt8(ascii: "?"), UInt8(ascii: "#"), 0x7F...0xFF:
            true
        default: false
        }
    }

    /// The decoder takes `gzip, chunked` for `chunked`, and an empty coding for none (RFC 9112, section 6.1).
    private var hasKnownCoding: Bool {
        let codings = headers["transfer-encoding"]
        return codings.isEmpty || (codings.count == 1 && codings[0].lowercased() == "chunked")
    }

    /// Whether the client sends its body only when it is told to. HTTP/1.0 knows no such thing (RFC 9110, section 10.1.1).
    var awaitsContinue: Bool {
        version != .http1_0 && headers.first(name: "expect")?.lowercased() == "100-continue"
            && (headers.contains(name: "transfer-encoding") || (headers.first(name: "content-length") ?? "0") != "0")
    }
}
