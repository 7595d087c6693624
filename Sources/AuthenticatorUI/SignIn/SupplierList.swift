internal import Foundation
internal import LinkSessions

/// What a session's user can choose from: all, or those whose names have every word that is sought.
struct SupplierList {
    /// From so many on there is a search field.
    static let searchThreshold = 9
    /// What a page shows at most; the others are found by their names.
    static let limit = 100

    let preferred: Supplier?
    let others: [Supplier]
    /// Whose sign-ins keep failing; last.
    let unavailable: [Supplier]
    let hasSearch: Bool
    /// Some that were found are not shown.
    let hasMore: Bool

    /// - Parameters:
    ///   - suppliers: those that can be chosen, in the order in which they are shown.
    ///   - preferred: with which the page begins, where it can be chosen and its sign-ins do not fail.
    ///   - search: as it was typed; blank: all are shown.
    init(
        _ suppliers: [Supplier], preferred: Supplier.Slug? = nil, search: String = ""
    ) {
        let words = SearchWords(search).words
        let found = suppliers.filter { supplier in
            guard !words.isEmpty else { return true }
            let name = SearchWords(supplier.name).text
            return words.allSatisfy { name.contains($0) }
        }
        hasSearch = suppliers.count >= Self.searchThreshold
        hasMore = found.count > Self.limit
        // The one that the manufacturer names is no surprise: where something is sought, it is found like the others.
        self.preferred = words.isEmpty ? found.first { $0.slug == preferred && $0.isAvailable } : nil
        let shown = found.prefix(Self.limit).filter { [first = self.preferred] in $0.slug != first?.slug }
        others = shown.filter(\.isAvailable)
        unavailable = shown.filter { !$0.isAvailable }
    }

    /// How many are shown.
    var count: Int { (preferred == nil ? 0 : 1) + others.count + unavailable.count }
}

/// Text as names are compared: its words without case, accents and marks. The script in page.js does the same.
struct SearchWords {
    let words: [String]

    init(_ text: String) {
        var folded = ""
        for scalar in text.decomposedStringWithCanonicalMapping.lowercased().unicodeScalars {
            switch scalar {
            case "ß": folded += "ss"
            case "æ": folded += "ae"
            case "œ": folded += "oe"
            case "ø": folded += "o"
            case "ł": folded += "l"
            case "đ": folded += "d"
            default:
                switch scalar.properties.generalCategory {
                case .nonspacingMark, .spacingMark, .enclosingMark: break
                case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter,
                    .decimalNumber, .letterNumber, .otherNumber:
                    folded.unicodeScalars.append(scalar)
                default: folded += " "
                }
            }
        }
        words = folded.split(separator: " ").map(String.init)
    }

    var text: String { words.joined(separator: " ") }
}
