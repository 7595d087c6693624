// The four languages, and no other spelling of them.

import LinkSessions
import Testing

@Suite struct LanguageTests {
    @Test func `the languages are the four of the API, and Dutch is the default`() {
        #expect(Language.allCases.map(\.rawValue) == ["nl", "en", "fr", "es"])
        #expect(Language.default == .nl)
    }

    @Test(arguments: Language.allCases)
    func `a language is read as it is written`(language: Language) throws {
        #expect(try Language(language.rawValue) == language)
    }

    @Test(arguments: [
        "", " ", "NL", "Nl", "nl ", " nl", "nl\0", "nl-NL", "de", "n", "ｎｌ", "n\u{200B}l", "nl\u{301}", "null",
    ])
    func `anything else is refused with the list`(text: String) {
        let refusal = #expect(throws: ValidationError.self) { try Language(text) }
        #expect(refusal == ValidationError(.language, "language must be one of: nl, en, fr, es"))
    }
}
