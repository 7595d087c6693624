// Brands in title case.

import LinkSessions
import Testing

@Suite struct BrandTests {
    @Test(
        arguments: [
            ("acme manufacturing", "Acme Manufacturing"),
            ("alpha-innotec", "Alpha Innotec"),
            ("Acme Manufacturing", "Acme Manufacturing"),
            ("acme", "Acme"),
            ("a", "A"),
            ("acme_heat_pumps", "Acme Heat Pumps"),
            // What is written large on purpose stays large.
            ("NIBE", "NIBE"), ("eBUS devices", "EBUS Devices"), ("LG electronics", "LG Electronics"),
            ("1komma5 grad", "1komma5 Grad"), ("o'neill & sons", "O'neill & Sons"),
            // Words are parted by one space, whatever parted them.
            ("  acme   manufacturing ", "Acme Manufacturing"), ("acme\u{A0}manufacturing", "Acme Manufacturing"),
            ("acme\tmanufacturing\n", "Acme Manufacturing"), ("-acme--heat_-pumps-", "Acme Heat Pumps"),
            ("österreichische wärme", "Österreichische Wärme"), ("émile", "Émile"), ("ijssel", "Ijssel"),
            // One letter whose capital and title case differ: LATIN SMALL LETTER DZ WITH CARON.
            ("\u{1C6}ul", "\u{1C5}ul"), ("日本 電気", "日本 電気"),
        ])
    func `each word begins with a capital`(stored: String, expected: String) {
        #expect(Array(Brand(stored: stored).titleCased.utf8) == Array(expected.utf8))
    }

    @Test func `an accent stays on its letter`() {
        #expect(Array(Brand(stored: "e\u{301}lan").titleCased.unicodeScalars) == ["E", "\u{301}", "l", "a", "n"])
    }
}
