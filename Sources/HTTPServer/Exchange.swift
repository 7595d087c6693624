internal import NIOHTTP1

/// A request between its arrival and its answer.
struct Exchange {
    let head: HTTPRequestHead
    let body = RequestBody()
    /// The connection ends with its answer.
    let isLast: Bool
    /// What it takes of memory, in bytes that were received.
    let size: Int
}

/// What a head says of its message and its connection, found in one pass over its fields.
struct Framing {
    /// Whether what the decoder let pass is a request that everybody on its way understands in the same way.
    let isUnambiguous: Bool
    /// The connection ends with the answer. Of what follows an upgrade the decoder parses nothing more, and nobody here
    /// speaks another protocol (RFC 9110, section 7.8).
    let isLast: Bool
    /// Whether the client sends its body only when it is told to. HTTP/1.0 knows no such thing (RFC 9110,
    /// section 10.1.1).
    let awaitsContinue: Bool

    init(of head: HTTPRequestHead) {
        var (hosts, codings) = (0, 0)
        var (namesHost, isChunked, upgrades, expects) = (true, true, false, false)
        for (name, value) in head.headers {
            switch name.utf8.count {
            case 4 where name.lowercased() == "host":
                hosts += 1
                namesHost = Self.isHost(value)
            case 6 where name.lowercased() == "expect":
                expects = expects || value.lowercased() == "100-continue"
            case 7 where name.lowercased() == "upgrade":
                upgrades = true
            case 17 where name.lowercased() == "transfer-encoding":
                // The decoder takes `gzip, chunked` for `chunked`, and an empty coding for none (RFC 9112, section 6.1).
                codings += 1
                isChunked = value.lowercased() == "chunked"
            default:
                break
            }
        }
        let isHTTP10 = head.version == .http1_0
        isUnambiguous = (isHTTP10 || hosts == 1 && namesHost) && codings <= 1 && isChunked
        isLast = isHTTP10 || upgrades || head.method == .CONNECT || !head.isKeepAlive
        awaitsContinue = expects && !isHTTP10 && head.headers.announceBody
    }

    /// Whether a field `Host` can name a host (RFC 9112, section 3.2).
    private static func isHost(_ value: String) -> Bool {
        for byte in value.utf8 {
            switch byte {
            case 0...UInt8(ascii: " "), UInt8(ascii: ","), UInt8(ascii: "@"), UInt8(ascii: "/"), UInt8(ascii: "\\"),
                UInt8(ascii: "?"), UInt8(ascii: "#"), 0x7F...0xFF:
                return false
            default:
                break
            }
        }
        return !value.isEmpty
    }
}

extension HTTPHeaders {
    /// Whether a body comes with the request (RFC 9112, section 6).
    var announceBody: Bool {
        contains(name: "transfer-encoding") || (first(name: "content-length") ?? "0") != "0"
    }
}
