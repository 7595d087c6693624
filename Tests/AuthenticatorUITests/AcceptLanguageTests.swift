// Accept-Language: which of our languages a browser's user gets.

@testable import AuthenticatorUI
import LinkSessions
import Testing

@Suite struct AcceptLanguageTests {
    @Test(arguments: [
        ("fr", "fr"), ("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5", "fr"), ("de, es;q=0.5", "es"),
        ("en;q=0.1,nl;q=0.2", "nl"), ("EN-gb", "en"), ("es;q=1.0,nl;q=1.0", "es"), ("en ; q=0.5 , fr ; q=0.6", "fr"),
    ])
    func `the language that a browser likes best is chosen`(header: String, language: String) {
        #expect(Language(acceptLanguage: header)?.rawValue == language)
    }

    @Test(arguments: ["", "de", "*", "nl;q=0", "nl;q=x", ",,;", "-nl", "q=1"])
    func `a header that names none of ours chooses none`(header: String) {
        #expect(Language(acceptLanguage: header) == nil)
    }
}
