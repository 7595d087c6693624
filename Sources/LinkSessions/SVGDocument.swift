/// SVG 2, as far as a logo needs it: shapes, colours and text. What is not known to be harmless is refused.
///
/// A browser runs nothing of an image, and the answer's policy forbids it besides: this keeps what could do harm from
/// being stored. All that markup is made of is ASCII, so this reads bytes: no letter hides a mark beside it.
struct SVGDocument {
    /// Without `use`, whose copies of copies can be more than a browser draws.
    private static let elements: Set<String> = [
        "svg", "g", "defs", "title", "desc", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "text",
        "tspan", "linearGradient", "radialGradient", "stop", "clipPath", "mask", "pattern", "style",
    ]
    private static let namespace = "http://www.w3.org/2000/svg"
    private static let maximumDepth = 32

    private var rest: ArraySlice<UInt8>
    private var open: [String] = []

    static func check(_ bytes: [UInt8]) throws(LogoError) {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw LogoError(expectation: "a PNG, or an SVG in UTF-8")
        }
        var document = SVGDocument(rest: bytes[...])
        try document.read()
    }

    private mutating func read() throws(LogoError) {
        if rest.starts(with: "\u{FEFF}".utf8) { rest = rest.dropFirst(3) }
        if rest.starts(with: "<?xml ".utf8) { try skip(past: "?>") }
        var isBegun = false
        while !rest.isEmpty {
            let text = rest.prefix { $0 != UInt8(ascii: "<") }
            rest = rest[text.endIndex...]
            guard !open.isEmpty || text.allSatisfy(\.isXMLSpace) else {
                throw isBegun ? Self.notWhole : Self.noSVG
            }
            try Self.check(text, of: open.last == "style" ? "style" : nil)
            guard !rest.isEmpty else { break }
            if rest.starts(with: "<!--".utf8) {
                try skip(past: "-->")
            } else if rest.starts(with: "</".utf8) {
                rest = rest.dropFirst(2)
                guard let last = open.popLast(), takeName() == last else { throw Self.notWhole }
                try skip(past: ">")
            } else {
                guard !isBegun || !open.isEmpty else { throw Self.notWhole }
                try openElement(isRoot: !isBegun)
                isBegun = true
            }
        }
        guard isBegun else { throw Self.noSVG }
        guard open.isEmpty else { throw Self.notWhole }
    }

    private static let noSVG = LogoError(expectation: "a PNG, or an SVG that begins with <svg")
    private static let notWhole = LogoError(expectation: "a whole, well-formed SVG")
    private static let noNamespace = LogoError(expectation: "an SVG whose root has xmlns=\"\(namespace)\"")

    private mutating func skip(past end: String) throws(LogoError) {
        guard let range = rest.firstRange(of: Array(end.utf8)) else { throw Self.notWhole }
        rest = rest[range.upperBound...]
    }

    private mutating func openElement(isRoot: Bool) throws(LogoError) {
        rest = rest.dropFirst()
        let name = takeName()
        guard !isRoot || name == "svg" else { throw Self.noSVG }
        guard Self.elements.contains(name) else {
            throw LogoError(
                expectation: "an SVG of shapes, gradients and text alone, without <\(name.prefix(40))>")
        }
        var names: Set<String> = []
        while true {
            rest = rest.drop(while: \.isXMLSpace)
            if rest.starts(with: "/>".utf8) {
                rest = rest.dropFirst(2)
                break
            }
            if rest.starts(with: ">".utf8) {
                rest = rest.dropFirst()
                open.append(name)
                guard open.count <= Self.maximumDepth else { throw LogoError(expectation: "an SVG of less depth") }
                break
            }
            let (attribute, value) = try takeAttribute()
            guard names.insert(attribute).inserted else { throw Self.notWhole }
            try Self.check(value, of: attribute)
            if attribute == "xmlns", !value.elementsEqual(Self.namespace.utf8) { throw Self.noNamespace }
        }
        if isRoot, !names.contains("xmlns") { throw Self.noNamespace }
    }

    private mutating func takeName() -> String {
        let name = rest.prefix {
            $0.isASCIILowercase || $0.isASCIIUppercase || $0.isASCIIDigit || "-_:.".utf8.contains($0)
        }
        rest = rest[name.endIndex...]
        return String(decoding: name, as: UTF8.self)
    }

    private mutating func takeAttribute() throws(LogoError) -> (name: String, value: ArraySlice<UInt8>) {
        let name = takeName()
        rest = rest.drop(while: \.isXMLSpace)
        guard !name.isEmpty, rest.first == UInt8(ascii: "=") else { throw Self.notWhole }
        rest = rest.dropFirst().drop(while: \.isXMLSpace)
        guard let quote = rest.first, "\"'".utf8.contains(quote), let end = rest.dropFirst().firstIndex(of: quote)
        else {
            throw Self.notWhole
        }
        let value = rest[(rest.startIndex + 1)..<end]
        rest = rest[(end + 1)...]
        return (name, value)
    }

    /// Nothing runs, and nothing refers to anything outside of the document.
    ///
    /// - Parameter attribute: `nil` for text that is shown.
    private static func check(_ value: ArraySlice<UInt8>, of attribute: String?) throws(LogoError) {
        guard !value.contains(UInt8(ascii: "<")) else { throw notWhole }
        // A character reference could hide what is looked for here.
        for part in value.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false).dropFirst() {
            guard ["amp;", "lt;", "gt;", "quot;", "apos;"].contains(where: { part.starts(with: $0.utf8) }) else {
                throw LogoError(expectation: "an SVG without character references")
            }
        }
        guard let attribute else { return }
        let name = attribute.lowercased()
        guard !name.hasPrefix("on") else {
            throw LogoError(expectation: "an SVG without scripts, so without \(attribute)")
        }
        let lowercased = value.map { $0.isASCIIUppercase ? $0 + 32 : $0 }
        let refersOutside =
            switch name {
            case "href", "xlink:href": lowercased.first { !$0.isXMLSpace } != UInt8(ascii: "#")
            case "xmlns", "xmlns:xlink", "xmlns:svg", "xml:space": false
            default: name.contains(":") || isReference(lowercased)
            }
        guard !refersOutside else {
            throw LogoError(expectation: "an SVG that refers to nothing outside of itself, as \(attribute) does")
        }
    }

    /// Of a style or a presentation attribute: `url(#id)` alone is within the document.
    private static func isReference(_ value: [UInt8]) -> Bool {
        ["\\", "@", "javascript:", "://", "image(", "image-set(", "src(", "expression("].contains {
            value.firstRange(of: Array($0.utf8)) != nil
        }
            || value.ranges(of: Array("url(".utf8)).contains { range in
                value[range.upperBound...].drop { $0.isXMLSpace || "\"'".utf8.contains($0) }.first != UInt8(ascii: "#")
            }
    }
}

extension UInt8 {
    /// XML 1.0, section 2.3.
    fileprivate var isXMLSpace: Bool { self == 0x20 || self == 0x09 || self == 0x0A || self == 0x0D }
}
