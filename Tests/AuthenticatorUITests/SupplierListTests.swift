// Which suppliers a page shows, and which of them a search finds.

@testable import AuthenticatorUI
import LinkSessions
import Testing

@Suite struct SupplierListTests {
    private static func suppliers(_ names: [String]) throws -> [Supplier] {
        try names.enumerated().map { number, name in
            Supplier(slug: try #require(Supplier.Slug("s-\(number)")), name: name, signIn: .sandbox)
        }
    }

    @Test(arguments: [
        ("électricité", ["Électricité de Strasbourg"]), ("ELECTRICITE", ["Électricité de Strasbourg"]),
        ("strasbourg elec", ["Électricité de Strasbourg"]), ("  de   ", ["Électricité de Strasbourg"]),
        ("e\u{301}lectricite\u{301}", ["Électricité de Strasbourg"]), ("orsted", ["Ørsted & Søn"]),
        ("ørsted son", ["Ørsted & Søn"]), ("strom", ["Stromgroß AG"]), ("gross", ["Stromgroß AG"]),
        ("groß", ["Stromgroß AG"]),
        ("&", ["Électricité de Strasbourg", "Ørsted & Søn", "Stromgroß AG", "كهرباء", "1-2-3 Power"]),
        ("كهر", ["كهرباء"]), ("1 2", ["1-2-3 Power"]), ("123", []), ("nothing", []), ("strom ag x", []),
    ])
    func `letters are found without their accents and case, and every word must be there`(
        search: String, found: [String]
    ) throws {
        let list = SupplierList(
            try Self.suppliers(["Électricité de Strasbourg", "Ørsted & Søn", "Stromgroß AG", "كهرباء", "1-2-3 Power"]),
            search: search)
        #expect(list.others.map(\.name) == found)
    }

    @Test func `from nine suppliers on there is a search, and a hundred are shown at most`() throws {
        #expect(try !SupplierList(Self.suppliers((1...8).map { "S \($0)" })).hasSearch)
        #expect(try SupplierList(Self.suppliers((1...9).map { "S \($0)" })).hasSearch)
        // Whatever is found.
        #expect(try SupplierList(Self.suppliers((1...9).map { "S \($0)" }), search: "7").hasSearch)
        let all = try Self.suppliers((1...100).map { "S \($0)" })
        #expect(!SupplierList(all).hasMore && SupplierList(all).count == 100)
        let more = SupplierList(try Self.suppliers((1...101).map { "S \($0)" }))
        #expect(more.hasMore && more.count == 100)
    }

    @Test func `the preferred one is first, and those that fail are last`() throws {
        var suppliers = try Self.suppliers(["A", "B", "C", "D"])
        let (a, c) = (suppliers[0].slug, suppliers[2].slug)
        suppliers[0].isAvailable = false
        let list = SupplierList(suppliers, preferred: c)
        #expect(list.preferred?.name == "C")
        #expect(list.others.map(\.name) == ["B", "D"])
        #expect(list.unavailable.map(\.name) == ["A"])
        // One that fails is no main action, and neither is one that is not there.
        let failing = SupplierList(suppliers, preferred: a)
        #expect(failing.preferred == nil && failing.others.count == 3 && failing.unavailable.count == 1)
        #expect(SupplierList(suppliers, preferred: Supplier.Slug("gone")).preferred == nil)
        // Where something is sought it is one of those that are found.
        let sought = SupplierList(suppliers, preferred: c, search: "c")
        #expect(sought.preferred == nil && sought.others.map(\.name) == ["C"])
    }

    @Test func `a name from right to left is isolated, and no other`() {
        #expect(Bidirectional.isolated("شركة") == "\u{2068}شركة\u{2069}")
        #expect(Bidirectional.isolated("A שלום") == "\u{2068}A שלום\u{2069}")
        for name in ["Acme", "Électricité", "Ελ", "エネルギー", "🔥", ""] { #expect(Bidirectional.isolated(name) == name) }
    }
}
