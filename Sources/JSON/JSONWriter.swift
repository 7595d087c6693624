/// One JSON object of an answer, member by member, in order.
package struct JSONWriter {
    private var text: [UInt8] = []
    private var isEmpty = true

    /// The finished object, in UTF-8.
    package static func object(_ write: (inout JSONWriter) -> Void) -> [UInt8] {
        var writer = JSONWriter()
        writer.text.reserveCapacity(512)
        writer.addObject(write)
        return writer.text
    }

    private init() {}

    package mutating func add(_ name: StaticString, _ value: String) {
        begin(name)
        JSONString.append(value, to: &text)
    }

    package mutating func add(_ name: StaticString, _ value: Int64) {
        begin(name)
        text += String(value).utf8
    }

    /// Writes `null` for `nil`.
    package mutating func add(_ name: StaticString, orNull value: Int64?) {
        begin(name)
        if let value { text += String(value).utf8 } else { text += "null".utf8 }
    }

    /// Writes `null` for `nil`.
    package mutating func add(_ name: StaticString, orNull value: String?) {
        begin(name)
        if let value { JSONString.append(value, to: &text) } else { text += "null".utf8 }
    }

    package mutating func add(_ name: StaticString, _ value: Bool) {
        begin(name)
        text += (value ? "true" : "false").utf8
    }

    /// An array of objects.
    package mutating func add(_ name: StaticString, array objects: [(inout JSONWriter) -> Void]) {
        begin(name)
        text.append(UInt8(ascii: "["))
        isEmpty = true
        for write in objects {
            separate()
            addObject(write)
        }
        text.append(UInt8(ascii: "]"))
        isEmpty = false
    }

    package mutating func add(_ name: StaticString, strings: [String]) {
        begin(name)
        text.append(UInt8(ascii: "["))
        for (index, string) in strings.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            JSONString.append(string, to: &text)
        }
        text.append(UInt8(ascii: "]"))
    }

    /// An object of strings, in the order that is given.
    package mutating func add(_ name: StaticString, members: [(name: String, value: String)]) {
        begin(name)
        addObject { object in
            for member in members {
                object.separate()
                JSONString.append(member.name, to: &object.text)
                object.text.append(UInt8(ascii: ":"))
                JSONString.append(member.value, to: &object.text)
            }
        }
    }

    package mutating func add(_ name: String, object write: (inout JSONWriter) -> Void) {
        separate()
        JSONString.append(name, to: &text)
        text.append(UInt8(ascii: ":"))
        addObject(write)
    }

    private mutating func addObject(_ write: (inout JSONWriter) -> Void) {
        text.append(UInt8(ascii: "{"))
        isEmpty = true
        write(&self)
        isEmpty = false
        text.append(UInt8(ascii: "}"))
    }

    private mutating func begin(_ name: StaticString) {
        separate()
        text.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { text += $0 }
        text.append(UInt8(ascii: "\""))
        text.append(UInt8(ascii: ":"))
    }

    private mutating func separate() {
        if !isEmpty { text.append(UInt8(ascii: ",")) }
        isEmpty = false
    }
}

/// Strings as they are written (RFC 8259, section 7).
package enum JSONString {
    /// Appends the text in quotation marks, with what needs an escape escaped.
    package static func append(_ value: String, to text: inout [UInt8]) {
        text.append(UInt8(ascii: "\""))
        let start = text.count
        text += value.utf8
        if text[start...].contains(where: needsEscape) {
            text.removeLast(text.count - start)
            for byte in value.utf8 {
                if needsEscape(byte) {
                    text += escape(byte).utf8
                } else {
                    text.append(byte)
                }
            }
        }
        text.append(UInt8(ascii: "\""))
    }

    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private static func escape(_ byte: UInt8) -> String {
        switch byte {
        case UInt8(ascii: "\""): "\\\""
        case UInt8(ascii: "\\"): "\\\\"
        default: "\\u00" + (byte < 0x10 ? "0" : "") + String(byte, radix: 16)
        }
    }
}
