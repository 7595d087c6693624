/// The members of one JSON object that a caller sends (RFC 8259).
///
/// Stricter than a general decoder where callers would otherwise be misunderstood: a name that occurs twice is
/// refused (RFC 8259, section 4, leaves it open), and so are unpaired surrogates and invalid UTF-8.
package struct JSONObject {
    package enum Value: Equatable {
        case string(String)
        case null
        /// A number, a boolean, an array or an object: checked, but not kept. See ``JSONObject/strings(_:)`` and
        /// ``JSONObject/members(_:)``.
        case other
    }

    private let members: [ArraySlice<UInt8>: Value]
    private let bytes: [UInt8]
    /// Where each ``Value/other`` begins.
    private let nested: [ArraySlice<UInt8>: Int]

    /// `nil` where the object has no such member.
    package subscript(name: String) -> Value? { members[Array(name.utf8)[...]] }

    package init(_ bytes: [UInt8]) throws(JSONError) {
        var reader = Reader(bytes: bytes)
        members = try reader.readDocument()
        nested = reader.nested
        self.bytes = bytes
    }

    /// The member's strings; `nil` unless it is an array of strings and nothing else.
    package func strings(_ name: String) -> [String]? {
        guard let start = nested[Array(name.utf8)[...]] else { return nil }
        var reader = Reader(bytes: bytes, at: start)
        return try? reader.readStrings()
    }

    /// The member's elements, each as it is written; `nil` unless it is an array.
    package func elements(_ name: String) -> [ArraySlice<UInt8>]? {
        guard let start = nested[Array(name.utf8)[...]] else { return nil }
        var reader = Reader(bytes: bytes, at: start)
        return try? reader.readElements()
    }

    /// The member's own members, in the order in which they are written; `nil` unless it is an object of strings and
    /// nothing else. A name may occur twice.
    package func members(_ name: String) -> [(name: String, value: String)]? {
        guard let start = nested[Array(name.utf8)[...]] else { return nil }
        var reader = Reader(bytes: bytes, at: start)
        return try? reader.readStringMembers()
    }
}

/// Why bytes are no JSON object.
package struct JSONError: Error, Equatable {
    /// What is wrong, without the caller's values.
    package let message: String
}

private struct Reader {
    private static let maximumDepth = 32

    let bytes: [UInt8]
    private(set) var nested: [ArraySlice<UInt8>: Int] = [:]
    private var position = 0

    init(bytes: [UInt8], at position: Int = 0) {
        self.bytes = bytes
        self.position = position
    }

    mutating func readDocument() throws(JSONError) -> [ArraySlice<UInt8>: JSONObject.Value] {
        skipWhitespace()
        guard peek == UInt8(ascii: "{") else { throw malformed("must be a JSON object") }
        var members = [ArraySlice<UInt8>: JSONObject.Value](minimumCapacity: 8)
        try readMembers { (reader, name) throws(JSONError) in
            reader.skipWhitespace()
            let start = reader.position
            let value = try reader.readValue(depth: 1)
            if value == .other { reader.nested[name] = start }
            guard members.updateValue(value, forKey: name) == nil else {
                throw reader.malformed("has a name that occurs twice")
            }
        }
        skipWhitespace()
        guard position == bytes.count else { throw malformedHere() }
        return members
    }

    mutating func readStrings() throws(JSONError) -> [String] {
        guard take(UInt8(ascii: "[")) else { throw malformedHere() }
        skipWhitespace()
        var strings: [String] = []
        if take(UInt8(ascii: "]")) { return strings }
        repeat {
            strings.append(try readString())
            skipWhitespace()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw malformedHere() }
        return strings
    }

    mutating func readElements() throws(JSONError) -> [ArraySlice<UInt8>] {
        guard take(UInt8(ascii: "[")) else { throw malformedHere() }
        skipWhitespace()
        var elements: [ArraySlice<UInt8>] = []
        if take(UInt8(ascii: "]")) { return elements }
        repeat {
            skipWhitespace()
            let start = position
            _ = try readValue(depth: 1)
            elements.append(bytes[start..<position])
            skipWhitespace()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw malformedHere() }
        return elements
    }

    mutating func readStringMembers() throws(JSONError) -> [(name: String, value: String)] {
        guard peek == UInt8(ascii: "{") else { throw malformedHere() }
        var members: [(name: String, value: String)] = []
        try readMembers { (reader, name) throws(JSONError) in
            members.append((String(decoding: name, as: UTF8.self), try reader.readString()))
        }
        return members
    }

    private mutating func readString() throws(JSONError) -> String {
        skipWhitespace()
        guard peek == UInt8(ascii: "\"") else { throw malformedHere() }
        return String(decoding: try readText(), as: UTF8.self)
    }

    private mutating func readMembers(
        _ readMember: (inout Reader, ArraySlice<UInt8>) throws(JSONError) -> Void
    ) throws(JSONError) {
        position += 1
        skipWhitespace()
        if take(UInt8(ascii: "}")) { return }
        repeat {
            skipWhitespace()
            guard peek == UInt8(ascii: "\"") else { throw malformedHere() }
            let name = try readText()
            skipWhitespace()
            guard take(UInt8(ascii: ":")) else { throw malformedHere() }
            try readMember(&self, name)
            skipWhitespace()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw malformedHere() }
    }

    private mutating func readValue(depth: Int) throws(JSONError) -> JSONObject.Value {
        guard depth <= Self.maximumDepth else { throw malformed("is nested too deeply") }
        skipWhitespace()
        switch peek {
        case UInt8(ascii: "\""):
            return .string(String(decoding: try readText(), as: UTF8.self))
        case UInt8(ascii: "{"):
            try readMembers { (reader, _) throws(JSONError) in
                _ = try reader.readValue(depth: depth + 1)
            }
        case UInt8(ascii: "["):
            position += 1
            skipWhitespace()
            if take(UInt8(ascii: "]")) { return .other }
            repeat {
                _ = try readValue(depth: depth + 1)
                skipWhitespace()
            } while take(UInt8(ascii: ","))
            guard take(UInt8(ascii: "]")) else { throw malformedHere() }
        case UInt8(ascii: "n"):
            try readWord("null")
            return .null
        case UInt8(ascii: "t"):
            try readWord("true")
        case UInt8(ascii: "f"):
            try readWord("false")
        default:
            try readNumber()
        }
        return .other
    }

    /// A string's text, in valid UTF-8.
    private mutating func readText() throws(JSONError) -> ArraySlice<UInt8> {
        position += 1
        let start = position
        while let byte = peek, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
        var text = bytes[start..<position]
        while let byte = peek {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                // Most strings are ASCII, for which the check is many times faster.
                guard text.allSatisfy({ $0 < 0x80 }) || String(validating: text, as: UTF8.self) != nil else {
                    throw malformed("must be UTF-8")
                }
                return text
            case UInt8(ascii: "\\"):
                text.append(contentsOf: String(try readEscape()).utf8)
            case 0..<0x20:
                throw malformed("has a control character in a string that is not escaped")
            default:
                text.append(byte)
            }
        }
        throw malformedHere()
    }

    private mutating func readEscape() throws(JSONError) -> Unicode.Scalar {
        guard let byte = peek else { throw malformedHere() }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{08}"
        case UInt8(ascii: "f"): return "\u{0C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            let unit = try readCodeUnit()
            if let scalar = Unicode.Scalar(unit) { return scalar }
            // RFC 8259, section 7: other planes are written as a pair of surrogates.
            guard UTF16.isLeadSurrogate(unit), take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else {
                throw malformed("has an unpaired surrogate in a string")
            }
            let trail = try readCodeUnit()
            guard UTF16.isTrailSurrogate(trail) else { throw malformed("has an unpaired surrogate in a string") }
            return UTF16.decode(UTF16.EncodedScalar([unit, trail]))
        default:
            throw malformedHere()
        }
    }

    private mutating func readCodeUnit() throws(JSONError) -> UInt16 {
        let digits = bytes[position...].prefix(4)
        guard digits.count == 4, !digits.contains(UInt8(ascii: "+")), !digits.contains(UInt8(ascii: "-")),
            let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw malformedHere() }
        position += 4
        return unit
    }

    /// RFC 8259, section 6.
    private mutating func readNumber() throws(JSONError) {
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { try readDigits() }
        if take(UInt8(ascii: ".")) { try readDigits() }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try readDigits()
        }
    }

    private mutating func readDigits() throws(JSONError) {
        let start = position
        while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        guard position > start else { throw malformedHere() }
    }

    private mutating func readWord(_ word: StaticString) throws(JSONError) {
        for byte in word.description.utf8 {
            guard take(byte) else { throw malformedHere() }
        }
    }

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        position += 1
        return true
    }

    private mutating func skipWhitespace() {
        while let byte = peek, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { position += 1 }
    }

    private func malformed(_ what: String) -> JSONError { .init(message: "the body " + what) }

    private func malformedHere() -> JSONError {
        let why = position < bytes.count ? "unexpected character at byte \(position)" : "it ends too early"
        return malformed("is not valid JSON: \(why)")
    }
}
