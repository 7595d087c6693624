internal import NIOHTTP1
internal import Synchronization

/// The name under which a request is found in the logs.
enum RequestID {
    private static let start = UInt64.random(in: .min ... .max)
    private static let count = Atomic<UInt64>(0)

    /// 16 hexadecimal digits, no two alike in a process: to be found, not to be secret.
    static func make() -> String {
        // A bijection of the count that looks random (the finalizer of SplitMix64).
        var id = start &+ count.add(1, ordering: .relaxed).newValue &* 0x9E37_79B9_7F4A_7C15
        id = (id ^ (id >> 30)) &* 0xBF58_476D_1CE4_E5B9
        id = (id ^ (id >> 27)) &* 0x94D0_49BB_1331_11EB
        id ^= id >> 31
        return String(unsafeUninitializedCapacity: 16) { digits in
            for index in 0..<16 { digits[index] = hexadecimal[Int(id >> UInt64(60 - 4 * index) & 0xF)] }
            return 16
        }
    }

    private static let hexadecimal = Array("0123456789abcdef".utf8)

    /// The caller's own, where it is 1 to 128 of `A-Za-z0-9._:=/+-` and no secret by mistake: it is logged and repeated.
    static func accepted(from headers: HTTPHeaders, isSecret: (String) -> Bool) -> String? {
        let fields = headers["x-request-id"]
        guard fields.count == 1, let id = fields.first, (1...128).contains(id.utf8.count),
            id.utf8.allSatisfy({ isOfTokens($0) || isSeparator($0) }), !containsTokenLikeRun(id), !isSecret(id),
            !headers["x-api-key"].contains(where: { !$0.isEmpty && id.contains($0) })
        else { return nil }
        return id
    }

    /// The characters of base64url (RFC 4648, section 5).
    private static func isOfTokens(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static func isSeparator(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "="), UInt8(ascii: "/"), UInt8(ascii: "+"): true
        default: false
        }
    }

    /// Whether 43 or more base64url characters stand together, capitals and small letters among them, as in every
    /// token and key, and in no UUID or trace id.
    private static func containsTokenLikeRun(_ id: String) -> Bool {
        id.utf8.split(whereSeparator: isSeparator).contains { run in
            run.count >= 43 && run.contains { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) }
                && run.contains { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
        }
    }
}
