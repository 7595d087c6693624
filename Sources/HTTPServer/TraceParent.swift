internal import NIOHTTP1

/// The trace that a request belongs to, as its caller says (W3C Trace Context, section 3.2).
enum TraceParent {
    /// The trace's id where there is one field, of version 00 and well-formed; it is 32 hexadecimal digits, and so no
    /// secret of ours.
    static func traceID(in headers: HTTPHeaders) -> String? {
        let fields = headers["traceparent"]
        guard fields.count == 1, let field = fields.first, field.utf8.count == 55 else { return nil }
        let parts = field.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard parts.map(\.count) == [2, 32, 16, 2], parts.allSatisfy({ $0.allSatisfy(isHexadecimal) }),
            parts[0].elementsEqual("00".utf8), parts[1].contains(where: { $0 != UInt8(ascii: "0") }),
            parts[2].contains(where: { $0 != UInt8(ascii: "0") })
        else { return nil }
        return String(Substring(parts[1]))
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
        default: false
        }
    }
}
