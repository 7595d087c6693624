/// The fields of a query or of a form (URL standard, section 5.1).
///
/// A field that occurs twice counts as absent, whatever its values, since the sender and we might each read another one
/// of them; so does one that is not percent-encoded UTF-8.
package struct FormFields: Sendable {
    private var fields: [String: String] = [:]
    /// The names of the fields that were sent and count as absent, as far as the names could be read.
    package private(set) var unusable: Set<String> = []

    package init(_ text: some StringProtocol) {
        for field in text.utf8.split(separator: UInt8(ascii: "&")) {
            let parts = field.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = Self.decoded(parts[0]) else { continue }
            guard let value = parts.count > 1 ? Self.decoded(parts[1]) : "", fields[name] == nil else {
                unusable.insert(name)
                continue
            }
            fields[name] = value
        }
        for name in unusable { fields[name] = nil }
    }

    package subscript(name: String) -> String? { fields[name] }

    /// A name or a value; `nil` for what is not percent-encoded UTF-8.
    private static func decoded(_ text: some Sequence<UInt8>) -> String? {
        let withBlanks = text.map { $0 == UInt8(ascii: "+") ? UInt8(ascii: " ") : $0 }
        return PercentEncoding.decode(withBlanks[...]).flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// Names and values as a query or a form. The names are written as they are.
    package static func encode(_ fields: [(String, String)]) -> String {
        fields.map { "\($0)=\(PercentEncoding.encode($1))" }.joined(separator: "&")
    }
}
