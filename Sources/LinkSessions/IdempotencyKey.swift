/// What a manufacturer calls a create, so that it can be sent again and still makes one session: 1 to 255 visible ASCII
/// characters. A manufacturer may put personal data into it.
package struct IdempotencyKey: Sendable, Hashable, Redacted {
    /// The characters, without quotes and escapes.
    package let bytes: [UInt8]

    /// Parses a field's value: the characters as they are, or as a string of RFC 8941 (section 3.3.3). Both forms of the
    /// same characters are the same key. Blanks around a value are no part of it (RFC 9110, section 5.5).
    package init(_ value: some StringProtocol) throws(ValidationError) {
        func isBlank(_ byte: UInt8?) -> Bool { byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        var value = Array(value.utf8)
        while isBlank(value.last) { value.removeLast() }
        if isBlank(value.first) { value = Array(value.drop(while: isBlank)) }
        guard let bytes = Self.characters(of: value), (1...255).contains(bytes.count),
            bytes.allSatisfy(\.isVisibleASCII)
        else { throw Self.validationError }
        self.bytes = bytes
    }

    package static let validationError = ValidationError(
        .idempotencyKey,
        "Idempotency-Key must be sent once, with 1 to 255 visible ASCII characters, bare or in double quotes")

    /// `nil` for what begins as a string and is none.
    private static func characters(of value: [UInt8]) -> [UInt8]? {
        let (quote, backslash) = (UInt8(ascii: "\""), UInt8(ascii: "\\"))
        guard value.first == quote else { return value }
        guard value.count >= 2, value.last == quote else { return nil }
        var characters: [UInt8] = []
        var isEscaped = false
        for byte in value.dropFirst().dropLast() {
            if isEscaped {
                guard byte == quote || byte == backslash else { return nil }
            } else if byte == backslash {
                isEscaped = true
                continue
            } else if byte == quote {
                return nil
            }
            isEscaped = false
            characters.append(byte)
        }
        return isEscaped ? nil : characters
    }
}
