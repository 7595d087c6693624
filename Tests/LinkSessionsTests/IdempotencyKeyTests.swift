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
        func new(
            _ user: String, _ url: String, _ language: Language, _ preferred: String? = nil,
            _ offered: [String]? = nil, _ metadata: [(name: String, value: String)]? = nil
        ) throws -> [UInt8] {
            NewLinkSession(
                manufacturer: .init(1), userID: try ManufacturerUserID(user), redirectURL: try RedirectURL(url),
                language: language,
                options: LinkSessionOptions(
                    preferredSupplier: preferred.flatMap { Supplier.Slug($0) },
                    offeredSuppliers: offered?.compactMap { Supplier.Slug($0) },
                    metadata: try metadata.map { try SessionMetadata($0) })
            ).canonicalForm
        }
        let url = "https://a.example/"
        let forms = [
            try new("u", url, .nl), try new("u", url, .en), try new("U", url, .nl), try new("u ", url, .nl),
            try new("u", url + "?x", .nl),
            // One field does not run into the next.
            try new("u redirect_url 18 \(url)", url, .nl), try new("é", url, .nl), try new("e\u{301}", url, .nl),
            try new("u", url, .nl, "a"), try new("u", url, .nl, "b"), try new("u", url, .nl, nil, ["a"]),
            try new("u", url, .nl, nil, ["a", "b"]), try new("u", url, .nl, nil, ["b", "a"]),
            try new("u", url, .nl, "a", ["a", "b"]), try new("u", url, .nl, nil, nil, []),
            try new("u", url, .nl, nil, nil, [("a", "b")]), try new("u", url, .nl, nil, nil, [("a", "")]),
            try new("u", url, .nl, nil, nil, [("a", "b value 1 c ")]),
            try new("u", url, .nl, nil, nil, [("a", "b"), ("c", "d")]),
            try new("u", url, .nl, nil, nil, [("é", "")]), try new("u", url, .nl, nil, nil, [("e\u{301}", "")]),
        ]
        #expect(Set(forms).count == forms.count)
        #expect(try new("u", url, .nl) == forms[0])
        // The order of an object's members has no meaning.
        #expect(
            try new("u", url, .nl, nil, nil, [("a", "1"), ("b", "2")])
                == new("u", url, .nl, nil, nil, [("b", "2"), ("a", "1")]))
    }
}
