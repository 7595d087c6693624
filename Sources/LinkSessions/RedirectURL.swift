#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// Where the user's browser goes after the flow: the one value of a caller that ends up in a Location header.
///
/// An absolute URL (RFC 3986, section 4.3) that is safe to send a browser to.
/// `https` with a host; `http` to the user's own machine only (RFC 8252, section 7.3); or an app's own scheme in
/// reverse-domain form (RFC 8252, section 7.1). Checked byte by byte, and kept as it was sent.
package struct RedirectURL: Sendable {
    package static let maximumLength = 2048

    package let text: String
    /// In lower case.
    private let scheme: String
    private let authority: Authority?
    /// Where in the UTF-8 of the text.
    private let path: Range<Int>

    /// What has to be equal for a URL to count as registered: scheme and host in lower case, the port (the scheme's
    /// own where none is given, none at all for loopback hosts, where an app listens on any: RFC 8252, section 7.3)
    /// and the path byte for byte. The query is the caller's own.
    package var registrationKey: String { spelling(port: authority?.port ?? defaultPort) }

    /// The one spelling of all URLs with the same registration key: scheme and host in lower case, no port that is free
    /// or the scheme's own, and no query.
    package var canonical: RedirectURL {
        get throws(ValidationError) {
            try RedirectURL(spelling(port: authority?.port == defaultPort ? nil : authority?.port))
        }
    }

    /// Scheme, host and path; between them the port, where the host is not a loopback host.
    private func spelling(port: UInt16?) -> String {
        var spelling = scheme + ":"
        if let authority {
            spelling += "//" + authority.host
            if let port, !authority.isLoopback { spelling += ":\(port)" }
        }
        let start = text.utf8.index(text.startIndex, offsetBy: path.lowerBound)
        return spelling + text[start..<text.utf8.index(start, offsetBy: path.count)]
    }

    /// That of `http` makes no difference: only loopback hosts have it.
    private var defaultPort: UInt16? { scheme == "https" ? 443 : nil }

    package init(_ text: String) throws(ValidationError) {
        let utf8 = Array(text.utf8)
        try Self.checkCharacters(utf8)

        guard let colon = utf8.firstIndex(of: UInt8(ascii: ":")), Self.isScheme(utf8[..<colon]) else {
            throw Self.invalid("must be an absolute URL, such as https://your-app.com/callback")
        }
        scheme = String(decoding: utf8[..<colon], as: UTF8.self).lowercased()
        let rest = utf8[(colon + 1)...]
        let queryStart = rest.firstIndex(of: UInt8(ascii: "?")) ?? rest.endIndex
        let hierarchy = rest[..<queryStart]
        var authority: Authority?
        var pathStart = hierarchy.startIndex
        if hierarchy.starts(with: [UInt8(ascii: "/"), UInt8(ascii: "/")]) {
            let start = hierarchy.startIndex + 2
            pathStart = hierarchy[start...].firstIndex(of: UInt8(ascii: "/")) ?? hierarchy.endIndex
            authority = try Authority(hierarchy[start..<pathStart])
        }
        try Self.checkScheme(scheme, authority: authority)
        guard authority != nil || hierarchy.first == UInt8(ascii: "/") else {
            throw Self.invalid("must have a / after the scheme, such as com.acme.app:/linked")
        }
        self.authority = authority
        path = pathStart..<queryStart
        try Self.checkPath(utf8[path])
        if queryStart < rest.endIndex {
            try Self.checkQuery(rest[(queryStart + 1)...])
        }
        self.text = text
    }

    /// Scheme, host, port and path, as ``registrationKey`` has them; empty where there is none.
    var comparedComponents: [(name: String, text: String)] {
        let port = authority?.isLoopback == true ? nil : authority?.port ?? defaultPort
        return [
            ("scheme", scheme), ("host", authority?.host ?? ""), ("port", port.map(String.init) ?? ""),
            ("path", String(decoding: Array(text.utf8)[path], as: UTF8.self)),
        ]
    }

    /// Of the schemes that browsers speak themselves.
    var isWeb: Bool { scheme == "https" || scheme == "http" }

    /// The URL with the result added to its query. Both are of base64url's characters and dots.
    package func with(data: String, signature: String) -> String {
        text + (text.contains("?") ? "&" : "?") + "data=\(data)&signature=\(signature)"
    }

    static func invalid(_ what: String) -> ValidationError { ValidationError(.redirectURL, "redirect_url " + what) }
}

extension RedirectURL {
    /// The characters of RFC 3986, section 2, without `#`, which starts a fragment.
    private static func checkCharacters(_ bytes: [UInt8]) throws(ValidationError) {
        guard !bytes.isEmpty else { throw invalid("must not be empty") }
        guard bytes.count <= maximumLength else { throw invalid("must be at most \(maximumLength) bytes long") }
        for (index, byte) in bytes.enumerated() {
            switch byte {
            case UInt8(ascii: "%"):
                guard index + 2 < bytes.count, Hexadecimal.value(of: bytes[index + 1]) != nil,
                    Hexadecimal.value(of: bytes[index + 2]) != nil
                else { throw invalid("must have two hexadecimal digits after every %") }
            case UInt8(ascii: "#"):
                throw invalid("must not have a fragment")
            case UInt8(ascii: "\\"):
                throw invalid("must not contain a backslash")
            case 0x80...:
                throw invalid("must be ASCII: percent-encode other characters, and write hosts in punycode")
            case 0...0x20, 0x7F:
                throw invalid("must not contain blanks or control characters")
            case UInt8(ascii: "\""), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "^"), UInt8(ascii: "`"),
                UInt8(ascii: "{"), UInt8(ascii: "|"), UInt8(ascii: "}"):
                throw invalid("must have the characters \" < > ^ ` { | } percent-encoded")
            default:
                continue
            }
        }
    }

    /// RFC 3986, section 3.1.
    private static func isScheme(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.first?.isASCIILetter == true else { return false }
        return bytes.allSatisfy {
            $0.isASCIILetterOrDigit || $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".")
        }
    }

    private static func checkScheme(_ scheme: String, authority: Authority?) throws(ValidationError) {
        switch scheme {
        case "https":
            guard authority != nil else { throw invalid("must have // and a host after https:") }
        case "http":
            guard let authority, authority.isLoopback else {
                throw invalid("must use https; http is for localhost, 127.0.0.1 and [::1] only")
            }
        default:
            let labels = scheme.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
            guard labels.count >= 2, labels.allSatisfy({ !$0.isEmpty }) else {
                throw invalid(
                    "must use https, or an app's own scheme in reverse-domain form such as com.acme.app:/linked")
            }
        }
    }

    /// Dot segments change a path after it was compared (RFC 3986, section 5.2.4). Many servers decode a segment
    /// first, so encoded dots and slashes count too.
    private static func checkPath(_ path: ArraySlice<UInt8>) throws(ValidationError) {
        guard !path.contains(where: { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "]") }) else {
            throw invalid("must have [ and ] percent-encoded outside the host")
        }
        // `checkCharacters` saw to it that two digits follow every `%`.
        let decoded = PercentEncoding.decode(path) ?? path
        guard decoded.contains(UInt8(ascii: ".")) else { return }
        let segments = decoded.split { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "\\") }
        for segment in segments where segment.count <= 2 && segment.allSatisfy({ $0 == UInt8(ascii: ".") }) {
            throw invalid("must not have . or .. as a path segment")
        }
    }

    /// `data` and `signature` are added on the way back; a caller's own would be mistaken for them.
    private static func checkQuery(_ query: ArraySlice<UInt8>) throws(ValidationError) {
        guard !query.contains(where: { $0 == UInt8(ascii: "[") || $0 == UInt8(ascii: "]") }) else {
            throw invalid("must have [ and ] percent-encoded outside the host")
        }
        for parameter in query.split(separator: UInt8(ascii: "&")) {
            let encoded = parameter.prefix { $0 != UInt8(ascii: "=") }
            let name = PercentEncoding.decode(encoded) ?? encoded
            guard !name.elementsEqual("data".utf8), !name.elementsEqual("signature".utf8) else {
                throw invalid("must not have a query parameter named data or signature: they are added on the way back")
            }
        }
    }
}

/// Host and port (RFC 3986, section 3.2), without user information.
private struct Authority: Sendable {
    /// In lower case; an IPv6 address in its brackets.
    let host: String
    let port: UInt16?

    var isLoopback: Bool { host == "localhost" || host == "127.0.0.1" || host == "[::1]" }

    init(_ bytes: ArraySlice<UInt8>) throws(ValidationError) {
        guard !bytes.contains(UInt8(ascii: "@")) else {
            throw RedirectURL.invalid("must not have a user name or an @ before the host")
        }
        let hostEnd: Int
        if bytes.first == UInt8(ascii: "[") {
            guard let bracket = bytes.firstIndex(of: UInt8(ascii: "]")) else {
                throw RedirectURL.invalid("must close the [ of an IPv6 address")
            }
            hostEnd = bracket + 1
            let address = String(decoding: bytes[(bytes.startIndex + 1)..<bracket], as: UTF8.self)
            var parsed = in6_addr()
            guard inet_pton(AF_INET6, address, &parsed) == 1 else {
                throw RedirectURL.invalid("must have an IPv6 address without zone between [ and ]")
            }
        } else {
            hostEnd = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.endIndex
            try Self.checkName(bytes[..<hostEnd])
        }
        host = String(decoding: bytes[..<hostEnd], as: UTF8.self).lowercased()
        port = try Self.parsePort(bytes[hostEnd...])
    }

    /// Letter-digit-hyphen labels (RFC 1123, section 2.1) or a dotted IPv4 address in its one strict spelling.
    private static func checkName(_ host: ArraySlice<UInt8>) throws(ValidationError) {
        guard !host.isEmpty else { throw RedirectURL.invalid("must have a host after //") }
        guard host.count <= 253 else { throw RedirectURL.invalid("must have a host of at most 253 characters") }
        var rest = host
        var label: ArraySlice<UInt8>
        repeat {
            label = rest.prefix { $0 != UInt8(ascii: ".") }
            rest = rest[label.endIndex...]
            guard (1...63).contains(label.count), label.first != UInt8(ascii: "-"), label.last != UInt8(ascii: "-"),
                label.allSatisfy({ $0.isASCIILetterOrDigit || $0 == UInt8(ascii: "-") })
            else {
                throw RedirectURL.invalid(
                    "must have a host of labels of letters, digits and inner hyphens, parted by single dots")
            }
        } while rest.popFirst() != nil
        // Browsers read such a host as an IPv4 address, also when it is written 0x7f.1 (WHATWG URL, section 3.5).
        guard looksLikeNumber(label) else { return }
        var parsed = in_addr()
        guard inet_pton(AF_INET, String(decoding: host, as: UTF8.self), &parsed) == 1 else {
            throw RedirectURL.invalid("must have an IPv4 address written as four decimal numbers from 0 to 255")
        }
    }

    private static func looksLikeNumber(_ label: ArraySlice<UInt8>) -> Bool {
        if label.allSatisfy(\.isASCIIDigit) { return true }
        return label.count >= 2 && label.first == UInt8(ascii: "0")
            && label[label.startIndex + 1] | 0x20 == UInt8(ascii: "x")
            && label.dropFirst(2).allSatisfy { Hexadecimal.value(of: $0) != nil }
    }

    private static func parsePort(_ bytes: ArraySlice<UInt8>) throws(ValidationError) -> UInt16? {
        guard !bytes.isEmpty else { return nil }
        let digits = bytes.dropFirst()
        guard bytes.first == UInt8(ascii: ":"), let first = digits.first, first != UInt8(ascii: "0"),
            digits.allSatisfy(\.isASCIIDigit), let port = UInt16(String(decoding: digits, as: UTF8.self))
        else {
            throw RedirectURL.invalid(
                "must have a port from 1 to 65535, without leading zeros, where there is a : after the host")
        }
        return port
    }
}
