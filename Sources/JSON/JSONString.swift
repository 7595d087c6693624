// Strings of JSON, as they are written.

/// RFC 8259, section 7.
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
