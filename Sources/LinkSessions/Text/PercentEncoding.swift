/// Percent-encoding (RFC 3986, section 2.1), for URLs and forms.
package enum PercentEncoding {
    /// Everything but the unreserved characters of section 2.3 is encoded.
    package static func encode(_ text: String) -> String {
        text.utf8.map { byte in
            let isUnreserved = byte.isASCIILetterOrDigit || "-._~".utf8.contains(byte)
            return isUnreserved ? String(Unicode.Scalar(byte)) : "%\(Hexadecimal.encode([byte]).uppercased())"
        }.joined()
    }

    /// `nil` where two hexadecimal digits do not follow every `%`.
    package static func decode(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard text.contains(UInt8(ascii: "%")) else { return text }
        var decoded: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                decoded.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(Hexadecimal.value),
                let low = rest.popFirst().flatMap(Hexadecimal.value)
            else { return nil }
            decoded.append(high << 4 | low)
        }
        return decoded[...]
    }
}
