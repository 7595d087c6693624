/// An image that stands beside the name of a supplier or a manufacturer: a PNG, or an SVG that loads and runs nothing.
package struct Logo: Sendable {
    package enum MediaType: String, Sendable, CaseIterable {
        case png = "image/png"
        case svg = "image/svg+xml"
    }

    package static let maximumSize = 32_768

    package let mediaType: MediaType
    package let bytes: [UInt8]

    /// What was checked when it was stored.
    package init(stored bytes: [UInt8], _ mediaType: MediaType) {
        self.mediaType = mediaType
        self.bytes = bytes
    }

    package init(_ bytes: [UInt8]) throws(LogoError) {
        guard bytes.count <= Self.maximumSize else { throw LogoError(expectation: "at most 32 kB (32768 bytes)") }
        self.bytes = bytes
        if bytes.starts(with: PNGFile.signature) {
            try PNGFile.check(bytes)
            mediaType = .png
        } else {
            try SVGDocument.check(bytes)
            mediaType = .svg
        }
    }
}

package struct LogoError: Error, Equatable {
    /// What would have been right.
    package let expectation: String
}

/// PNG (ISO/IEC 15948), as far as it tells how large an image is and that nothing else comes with it.
enum PNGFile {
    static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    private static let sides = 16...1024

    static func check(_ bytes: [UInt8]) throws(LogoError) {
        var rest = bytes.dropFirst(signature.count)
        var types: [String] = []
        while let (type, data) = takeChunk(&rest) {
            if types.isEmpty {
                guard type == "IHDR", data.count == 13, sides.contains(number(data.prefix(4))),
                    sides.contains(number(data.dropFirst(4).prefix(4)))
                else { throw LogoError(expectation: "a PNG of 16 to 1024 pixels in width and height") }
            }
            types.append(type)
        }
        guard rest.isEmpty, types.last == "IEND", types.contains("IDAT"), types.count(where: { $0 == "IEND" }) == 1
        else { throw LogoError(expectation: "a whole PNG with nothing behind its end") }
    }

    private static func takeChunk(_ rest: inout ArraySlice<UInt8>) -> (type: String, data: ArraySlice<UInt8>)? {
        guard rest.count >= 12 else { return nil }
        let length = number(rest.prefix(4))
        guard rest.count - 12 >= length else { return nil }
        let type = String(decoding: rest.dropFirst(4).prefix(4), as: UTF8.self)
        let data = rest.dropFirst(8).prefix(length)
        rest = rest.dropFirst(length + 12)
        return (type, data)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }
}
