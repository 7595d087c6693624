/// What a manufacturer may say of a session and need not: `nil` where it did not.
package struct LinkSessionOptions: Sendable, Equatable {
    /// How many suppliers a manufacturer may name.
    package static let offeredSuppliersLimit = 50

    /// The page begins with it; the user may still choose another one.
    package let preferredSupplier: Supplier.Slug?
    /// Only these are offered; each is named once.
    package let offeredSuppliers: [Supplier.Slug]?
    package let metadata: SessionMetadata?

    package init(
        preferredSupplier: Supplier.Slug? = nil, offeredSuppliers: [Supplier.Slug]? = nil,
        metadata: SessionMetadata? = nil
    ) {
        self.preferredSupplier = preferredSupplier
        self.offeredSuppliers = offeredSuppliers
        self.metadata = metadata
    }

    package var isEmpty: Bool { preferredSupplier == nil && offeredSuppliers == nil && metadata == nil }

    /// Whether the session's user may sign in there.
    package func offers(_ supplier: Supplier.Slug) -> Bool { offeredSuppliers?.contains(supplier) ?? true }
}

/// What a manufacturer keeps with a session for itself: it is given back, and never shown to the user.
///
/// It may hold personal data although it should not: it appears in answers to its manufacturer and in the database, in
/// no log and in no error.
package struct SessionMetadata: Sendable, Equatable, Redacted {
    private static let mostMembers = 20
    private static let longestName = 40
    private static let longestValue = 500
    /// UTF-8 of all names and values together.
    private static let mostBytes = 4096

    package struct Member: Sendable, Equatable {
        package let name: String
        package let value: String

        /// Byte for byte.
        package static func == (left: Self, right: Self) -> Bool {
            left.name.utf8.elementsEqual(right.name.utf8) && left.value.utf8.elementsEqual(right.value.utf8)
        }
    }

    /// By name.
    package let members: [Member]

    package init(_ members: [(name: String, value: String)]) throws(ValidationError) {
        guard members.count <= Self.mostMembers else {
            throw Self.invalid("must have at most \(Self.mostMembers) members")
        }
        for (name, value) in members {
            guard (1...Self.longestName).contains(name.unicodeScalars.count) else {
                throw Self.invalid("must have names of 1 to \(Self.longestName) characters")
            }
            guard value.unicodeScalars.count <= Self.longestValue else {
                throw Self.invalid("must have values of at most \(Self.longestValue) characters")
            }
            // General category Cc. PostgreSQL stores no NUL, and the others make a mess of whoever prints them.
            for scalar in [name.unicodeScalars, value.unicodeScalars].joined() {
                switch scalar.value {
                case 0..<0x20, 0x7F..<0xA0: throw Self.invalid("must not contain control characters")
                default: continue
                }
            }
        }
        guard members.reduce(0, { $0 + $1.name.utf8.count + $1.value.utf8.count }) <= Self.mostBytes else {
            throw Self.invalid("must be at most \(Self.mostBytes) bytes of names and values")
        }
        let sorted = members.map(Member.init).sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        for (member, next) in zip(sorted, sorted.dropFirst()) where member.name.utf8.elementsEqual(next.name.utf8) {
            throw Self.invalid("has a name that occurs twice")
        }
        self.members = sorted
    }

    package static func invalid(_ what: String) -> ValidationError { ValidationError(.metadata, "metadata " + what) }
}
