internal import NIOHTTP1

/// What a client would rather have (RFC 9110, section 12.5.1).
enum AcceptHeader {
    /// Whether a page is wanted, and JSON is not preferred to it.
    static func prefersPage(_ headers: HTTPHeaders) -> Bool {
        prefers("text/html", to: "application/json", headers)
    }

    /// Whether a type is named, and the other is not preferred to it. What is named by `*/*` alone does not count: so
    /// API clients ask.
    static func prefers(_ type: String, to other: String, _ headers: HTTPHeaders) -> Bool {
        let ranges = headers["accept"].flatMap { $0.split(separator: ",") }.compactMap(MediaRange.init)
        guard let range = best(type, of: ranges), range.specificity > 0 else { return false }
        return range.weight > 0 && range.weight >= best(other, of: ranges)?.weight ?? 0
    }

    /// The most specific range that has the type: its weight counts.
    private static func best(_ type: String, of ranges: [MediaRange]) -> MediaRange? {
        ranges.filter { $0.contains(type) }.max { $0.specificity < $1.specificity }
    }

    private struct MediaRange {
        private let type: String
        /// A weight that is none weighs nothing.
        let weight: Double

        init?(_ text: Substring) {
            let parts = text.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
            guard let type = parts.first else { return nil }
            self.type = type
            weight = parts.dropFirst().first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 } ?? 1
        }

        var specificity: Int { type == "*/*" ? 0 : type.hasSuffix("/*") ? 1 : 2 }

        func contains(_ other: String) -> Bool {
            type == "*/*" || type == other || type.hasSuffix("/*") && other.hasPrefix(type.dropLast())
        }
    }
}
