/// A manufacturer as a caller of the API meets it.
package struct Manufacturer: Sendable {
    /// Given by the database, never used again for another manufacturer.
    package struct ID: Sendable, Hashable {
        package let number: Int64
        package init(_ number: Int64) { self.number = number }

        /// The audience of the manufacturer's return links (RFC 7519, section 4.1.3).
        package var audience: String { String(number) }

        /// Of the manufacturer's sessions that are made under an Idempotency-Key, so that they lie with their keys.
        package var shard: UInt8 { UInt8(truncatingIfNeeded: number) }
    }

    package let id: ID
    package let name: String
    package let brand: Brand?
    /// Of the image beside its name.
    package var logo: SHA256Digest?

    package init(id: ID, name: String, brand: Brand?) {
        self.id = id
        self.name = name
        self.brand = brand
    }
}

/// A manufacturer's brand name.
package struct Brand: Sendable {
    /// Each word with its first letter in title case, words parted by one space:
    /// `acme manufacturing` → `Acme Manufacturing`, `alpha-innotec` → `Alpha Innotec`, `NIBE` → `NIBE`.
    package let titleCased: String

    /// - Parameter stored: words parted by blanks, hyphens or underscores.
    package init(stored: String) {
        let words = stored.unicodeScalars.split { $0.properties.isWhitespace || $0 == "-" || $0 == "_" }
        titleCased = words.map { word in
            var text = word.first?.properties.titlecaseMapping ?? ""
            text.unicodeScalars.append(contentsOf: word.dropFirst())
            return text
        }.joined(separator: " ")
    }
}
