// The Idempotency-Key of a create, and what makes two creates the same.

import LinkSessions
import Testing

@Suite struct IdempotencyKeyTests {
    @Test(arguments: [
        "k", "8e03978e-40d5-43e8-bc93-6894a57f9324", "a,b;c=d", #"it"s"#, #"end""#,
        #"back\slash"#, "!~", String(repeating: "x", count: 255),
    ])
    func `visible characters are a key as they are`(text: String) throws {
        #expect(try IdempotencyKey(text).bytes == Array(text.utf8))
    }

    @Test(arguments: [
        (#""abc""#, "abc"), (#""a\"b""#, #"a"b"#), (#""a\\b""#, #"a\b"#), (#""\\""#, #"\"#), (#""\"""#, "\""),
        ("\"" + String(repeating: "x", count: 255) + "\"", String(repeating: "x", count: 255)),
        ("\"" + String(repeating: #"\""#, count: 255) + "\"", String(repeating: "\"", count: 255)),
    ])
    func `a string of RFC 8941 is the key of its characters`(value: String, characters: String) throws {
        let key = try IdempotencyKey(value)
        #expect(key.bytes == Array(characters.utf8))
        if characters.first != "\"" { #expect(try IdempotencyKey(characters) == key) }
    }

    @Test func `blanks around a value are no part of it`() throws {
        #expect(try IdempotencyKey(" \tabc\t ") == IdempotencyKey("abc"))
        #expect(try IdempotencyKey(" \"abc\" ") == IdempotencyKey("abc"))
    }

    @Test(arguments: [
        "", " ", #""""#, "\"", #""abc"#, #""a"b""#, #""a\b""#, #""a\""#, #""abc";p=1"#, #""a","b""#, "two words",
        #""two words""#, "a\tb", "a\u{7F}", "a\u{0}b", "é", #""é""#, String(repeating: "x", count: 256),
        "\"" + String(repeating: "x", count: 256) + "\"",
    ])
    func `anything else is refused, and the refusal does not repeat it`(value: String) {
        let error = #expect(throws: ValidationError.self) { try IdempotencyKey(value) }
        #expect(error == IdempotencyKey.validationError)
        #expect(error?.message.hasPrefix("Idempotency-Key must ") == true)
    }

    @Test func `a key does not print itself`() throws {
        let key = try IdempotencyKey("zq7key")
        #expect(!"\(key) \(String(reflecting: key))".contains("zq7key"))
    }

    @Test func `two requests have one form only where every field is the same`() throws {
        func new(_ user: String, _ url: String, _ language: Language) throws -> [UInt8] {
            NewLinkSession(
                manufacturer: .init(1), userID: try ManufacturerUserID(user), redirectURL: try RedirectURL(url),
                language: language
            ).canonicalForm
        }
        let url = "https://a.example/"
        let forms = [
            try new("u", url, .nl), try new("u", url, .en), try new("U", url, .nl), try new("u ", url, .nl),
            try new("u", url + "?x", .nl),
            // One field does not run into the next.
            try new("u redirect_url 18 \(url)", url, .nl), try new("é", url, .nl), try new("e\u{301}", url, .nl),
        ]
        #expect(Set(forms).count == forms.count)
        #expect(try new("u", url, .nl) == forms[0])
    }
}
