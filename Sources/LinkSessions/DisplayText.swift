/// A name or a label: text that an operator writes and people read.
///
/// 1 to 200 Unicode scalars, no blanks at the ends, no control characters, nothing that breaks a line or turns the
/// direction of writing: what people read is what is stored.
package struct DisplayText: Sendable, Hashable {
    package let text: String

    package init(_ text: String) throws(DisplayTextError) {
        let scalars = text.unicodeScalars
        guard (1...200).contains(scalars.count) else { throw DisplayTextError(expectation: "1 to 200 characters") }
        guard scalars.first?.properties.isWhitespace == false, scalars.last?.properties.isWhitespace == false else {
            throw DisplayTextError(expectation: "text without blanks at its ends")
        }
        for scalar in scalars where Self.isMisleading(scalar) {
            throw DisplayTextError(expectation: "text without control, bidirectional or invisible characters")
        }
        self.text = text
    }

    /// A brand has something besides the marks that part its words.
    package init(brand text: String) throws(DisplayTextError) {
        try self.init(text)
        guard !text.unicodeScalars.allSatisfy({ $0.properties.isWhitespace || $0 == "-" || $0 == "_" }) else {
            throw DisplayTextError(expectation: "a letter or a digit at least")
        }
    }

    /// The text with every scalar that could mislead a terminal's reader written as `\u{…}`: for text that was not
    /// checked by this type, such as a manufacturer's user ids.
    package static func escaped(_ text: String) -> String {
        text.unicodeScalars.map { scalar in
            isMisleading(scalar) ? "\\u{\(String(scalar.value, radix: 16, uppercase: true))}" : String(scalar)
        }.joined()
    }

    /// Control characters, line and paragraph separators, Unicode's Bidi_Control (UAX #9), and what takes no space.
    private static func isMisleading(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069: true
        case 0x00AD, 0x200B, 0x2060...0x2064, 0xFEFF: true
        default: false
        }
    }
}

package struct DisplayTextError: Error, Sendable, Equatable {
    /// What would have been right, without the text itself.
    package let expectation: String
}
