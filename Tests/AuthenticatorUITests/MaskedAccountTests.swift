// An account as its user is shown it: enough to know it again, too little for anybody else.

@testable import AuthenticatorUI
import Testing

@Suite struct MaskedAccountTests {
    private func masked(email: String? = nil, name: String? = nil, subject: String = "1") -> String {
        MaskedAccount.text(email: email, name: name, subject: subject)
    }

    @Test(
        arguments: [
            ("jan.jansen@example.com", "j•••@example.com"), ("j@example.com", "j•••@example.com"),
            ("Élise@example.fr", "É•••@example.fr"), ("\"a@b\"@example.com", "\"•••@example.com"),
            ("用户@例え.jp", "用•••@例え.jp"), ("a@", "a•••@"), ("a@@b", "a•••@b"),
        ])
    func `of an address its first letter and its domain are shown`(email: String, expected: String) {
        #expect(masked(email: email, name: "Jan Jansen", subject: "subject-of-many-letters") == expected)
    }

    @Test(arguments: ["@example.com", "jan.jansen", "", "@"])
    func `what is no address is not shown, and the name's first letter is`(email: String) {
        #expect(masked(email: email, name: "Jan Jansen") == "Jan J•••")
    }

    @Test func `of a name its first word and the last one's first letter are shown, of one word the first letter`() {
        #expect(masked(name: "Jan Jansen") == "Jan J•••")
        #expect(masked(name: "  Jan van den  Berg ") == "Jan B•••")
        #expect(masked(name: "jan.jansen") == "j•••")
        #expect(masked(name: "J") == "J•••")
        #expect(masked(name: "éa") == "é•••")
    }

    @Test func `without address and name the end of the subject is shown, no more than half of it`() {
        #expect(masked(subject: "abcdefghijkl") == "•••ijkl")
        #expect(masked(name: "", subject: "248289761001") == "•••1001")
        #expect(masked(name: " ", subject: "12345678") == "•••5678")
        #expect(masked(subject: "1234567") == "•••67")
        for subject in ["1", "1234"] { #expect(masked(subject: subject) == "•••") }
    }

    @Test func `what is shown is an account, the end of a number, or that there is nothing to tell it by`() {
        #expect(MaskedAccount.Shown("j•••@example.com") == .text("j•••@example.com"))
        #expect(MaskedAccount.Shown("Jan J•••") == .text("Jan J•••"))
        #expect(MaskedAccount.Shown("•••4321") == .numberEnding("4321"))
        #expect(MaskedAccount.Shown("•••") == .unnamed)
    }

    @Test(arguments: ["\u{202E}", "\u{200F}", "\u{2066}", "\u{202A}", "\u{061C}", "\0", "\n", "\u{1B}", "\u{200B}"])
    func `what would turn the direction of writing, or hide, is shown as what it is`(mark: String) throws {
        let scalar = try #require(mark.unicodeScalars.first)
        let shown = "\\u{\(String(scalar.value, radix: 16, uppercase: true))}"
        // A mark may be one character with the letter before it.
        for text in [
            masked(email: "\(mark)jan@example.com"), masked(email: "jan@\(mark)moc.elpmaxe"),
            masked(name: "\(mark)Jan"),
            masked(subject: "abcdefghij\(mark)xy"),
        ] {
            #expect(!text.unicodeScalars.contains(scalar), "\(text.debugDescription)")
            #expect(text.contains(shown), "\(text.debugDescription)")
        }
    }

    @Test func `of a long domain no more is shown than the database takes`() {
        let text = masked(email: "jan@" + String(repeating: "x", count: 300) + ".example")
        #expect(text.hasPrefix("j•••@" + String(repeating: "x", count: 50)))
        #expect(text.unicodeScalars.count <= 255)
    }
}
