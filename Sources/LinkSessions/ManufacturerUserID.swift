/// The manufacturer's own id of its user: 1 to 256 Unicode scalars, not only blanks, without control characters, kept byte for byte.
///
/// Personal data: it appears in answers to its manufacturer and in the database, in no log and in no error.
package struct ManufacturerUserID: Sendable, Equatable, Redacted {
    package let text: String

    package init(_ text: String) throws(ValidationError) {
        var count = 0
        var isBlank = true
        for scalar in text.unicodeScalars {
            count += 1
            // General category Cc, and nothing else: two ranges that Unicode promises never to change.
            switch scalar.value {
            case 0..<0x20, 0x7F..<0xA0: throw ValidationError(.userID, "user_id must not contain control characters")
            default: isBlank = isBlank && scalar.properties.isWhitespace
            }
        }
        guard count > 0 else { throw ValidationError(.userID, "user_id must not be empty") }
        guard count <= 256 else { throw ValidationError(.userID, "user_id must be at most 256 Unicode scalars long") }
        guard !isBlank else { throw ValidationError(.userID, "user_id must not consist of blanks only") }
        self.text = text
    }

    /// Byte for byte: texts that only look equal are two users.
    package static func == (left: Self, right: Self) -> Bool { left.text.utf8.elementsEqual(right.text.utf8) }
}
