// What a supplier is called, what we are at its provider, and who a user is there.

import LinkSessions
import Testing

@Suite struct SupplierTests {
    // MARK: Slugs

    @Test(arguments: ["a", "7", "green-grid", "a-b-c", "0-0", "sandbox", String(repeating: "a", count: 40)])
    func `a slug is kept as it is`(text: String) throws {
        #expect(try #require(Supplier.Slug(text)).text == text)
        #expect(Supplier.Slug("/\(text)/".dropFirst().dropLast())?.text == text)
    }

    @Test(
        arguments: [
            "", "-", "-a", "a-", "a--b", "--", "A", "greenGrid", "a_b", "a b", " a", "a ", "a.b", "a/b", "a%2Db", "a\0",
            "a\n", "é", "e\u{301}", "\u{430}", "\u{FF41}", "a\u{2010}b", "1\u{FE0F}\u{20E3}",
            String(repeating: "a", count: 41), String(repeating: "a-", count: 20),
        ])
    func `what is no slug is refused`(text: String) {
        #expect(Supplier.Slug(text) == nil)
    }

    @Test func `a slug has 26 letters, ten digits and the inner hyphen, and no other ASCII character`() throws {
        let accepted = try (UInt8(0)..<0x80).filter { byte in
            Supplier.Slug(try #require(String(validating: [0x61, byte, 0x61], as: UTF8.self))) != nil
        }
        #expect(String(decoding: accepted, as: UTF8.self) == "-0123456789abcdefghijklmnopqrstuvwxyz")
    }

    @Test func `the sandbox is the supplier with the slug sandbox`() {
        #expect(Supplier.sandbox.slug == Supplier.Slug("sandbox"))
        #expect(Supplier.sandbox.slug == .sandbox)
        #expect(Supplier.sandbox.name == "Sandbox Energy")
    }

    // MARK: What we are at a provider

    @Test func `a client id is 1 to 255 visible ASCII characters`() {
        let visible = String(decoding: UInt8(0x21)...0x7E, as: UTF8.self)
        for text in ["x", visible, String(repeating: "x", count: 255)] { #expect(OpenIDClient.isClientID(text)) }
        for text in ["", String(repeating: "x", count: 256), " ", "a b", "a\u{7F}", "a\n", "\0", "é", "e\u{301}"] {
            #expect(!OpenIDClient.isClientID(text), "\(text.debugDescription)")
        }
    }

    @Test func `only a name that is meant for a supplier's secret may name one`() {
        for text in [
            "SUPPLIER_A", "SUPPLIER__", "SUPPLIER_9", "SUPPLIER_GREEN_GRID_SECRET",
            "SUPPLIER_" + String(repeating: "X", count: 100),
        ] {
            #expect(OpenIDClient.isSecretName(text), "\(text)")
        }
        for text in [
            "", "SUPPLIER", "SUPPLIER_", "SUPPLIER_a", "supplier_a", "SUPPLIER-A", "SUPPLIER_A B", "SUPPLIER_A.B",
            "SUPPLIER_A=", "SUPPLIER_\0", "SUPPLIER_É", "SUPPLIER_E\u{301}", "SUPPLIER_\u{301}A", " SUPPLIER_A",
            "XSUPPLIER_A", "DATABASE_URL", "RETURN_SIGNING_KEYS", "RETURN_CODE_SECRETS", "PATH",
            "SUPPLIER_" + String(repeating: "X", count: 101),
        ] {
            #expect(!OpenIDClient.isSecretName(text), "\(text.debugDescription)")
        }
    }

    @Test func `a scope has the characters of RFC 6749 and no others`() {
        for value in UInt8(0)..<0x80 {
            // Section 3.3: %x21, %x23 to %x5B, %x5D to %x7E.
            let isAllowed = value == 0x21 || (0x23...0x5B).contains(value) || (0x5D...0x7E).contains(value)
            for text in [String(Unicode.Scalar(value)), "a\(Unicode.Scalar(value))b"] {
                #expect(OpenIDClient.isScope(text) == isAllowed, "\(text.debugDescription)")
            }
        }
        for text in ["", "é", "a\u{301}"] { #expect(!OpenIDClient.isScope(text), "\(text.debugDescription)") }
    }

    // MARK: A provider's URLs

    @Test(
        arguments: [
            ("https://login.example.com", false, false), ("https://login.example.com/", false, false),
            ("https://login.example.com:8443/realms/Energy%20Users", false, false),
            ("HTTPS://Login.Example.com/A", false, false), ("https://[2001:db8::1]/", false, false),
            ("https://localhost:8443", false, false), ("https://login.example.com/token?tenant=1", false, true),
            ("https://login.example.com?", false, true), ("http://127.0.0.1:4000", true, false),
            ("http://localhost/realm", true, false), ("http://[::1]:4000/", true, false),
            ("HTTP://LocalHost:4000/x", true, false),
        ])
    func `a provider's URL is https, or http on this machine, and kept byte for byte`(
        text: String, isLoopback: Bool, hasQuery: Bool
    ) throws {
        let url = try #require(ProviderURL(text))
        #expect(Array(url.text.utf8) == Array(text.utf8))
        #expect(url.isLoopback == isLoopback)
        #expect(url.hasQuery == hasQuery)
    }

    @Test(
        arguments: [
            "", "login.example.com", "//login.example.com", "https:", "https://", "http://login.example.com",
            "http://127.0.0.2/", "http://localhost.example.com/", "http://0.0.0.0/", "https://user@login.example.com/",
            "https://login.example.com/#", "https://login.example.com/#x", "https://login.example.com/a b",
            "https://login.example.com/é", "https://login.example.com/..", "https://login.example.com\\x",
            "com.acme.app:/linked", "com.acme.app://linked", "javascript:alert(1)", "data:text/html,x", "file:///etc",
            "ftp://login.example.com/", "ws://localhost/",
            "https://login.example.com/" + String(repeating: "x", count: 2048),
        ])
    func `no other URL is a provider's`(text: String) {
        #expect(ProviderURL(text) == nil)
    }

    @Test func `URLs that differ in a byte are different issuers`() {
        #expect(ProviderURL("https://login.example.com") != ProviderURL("https://login.example.com/"))
        #expect(ProviderURL("https://login.example.com/a") != ProviderURL("https://LOGIN.example.com/a"))
        #expect(ProviderURL("https://login.example.com/a") == ProviderURL("https://login.example.com/a"))
    }
}

@Suite struct SupplierIdentityTests {
    @Test(
        arguments: [
            "subject-1", "0", " ", "a b", "ü", "用户", "👩🏽‍🚒", "\u{200F}a", "<script>", "%00", "\u{A0}", "\u{10FFFF}",
            "e\u{301}", "\u{E9}",
        ])
    func `a user id is kept byte for byte`(text: String) throws {
        let identity = try #require(SupplierIdentity(supplier: .sandbox, userID: text))
        #expect(Array(identity.userID.utf8) == Array(text.utf8))
    }

    @Test(arguments: ["a", "é", "😀", "\u{301}"])
    func `255 Unicode scalars are accepted and 256 are refused, however many bytes they are`(scalar: String) {
        let longest = String(repeating: scalar, count: 255)
        #expect(SupplierIdentity(supplier: .sandbox, userID: longest) != nil)
        #expect(SupplierIdentity(supplier: .sandbox, userID: longest + scalar) == nil)
        #expect(SupplierIdentity(supplier: .sandbox, userID: "") == nil)
    }

    @Test(arguments: Array(0x00...0x1F) + Array(0x7F...0x9F))
    func `a control character is refused wherever it stands`(value: UInt32) throws {
        let control = String(try #require(Unicode.Scalar(value)))
        for text in [control, control + "a", "a" + control, "a" + control + "b", control + "\u{301}"] {
            #expect(SupplierIdentity(supplier: .sandbox, userID: text) == nil)
        }
        #expect(SupplierIdentity(supplier: .sandbox, userID: "a\r\nb") == nil)
    }

    @Test func `identities are equal byte for byte, at the same supplier`() throws {
        func identity(_ slug: String, _ userID: String) throws -> SupplierIdentity {
            let slug = try #require(Supplier.Slug(slug))
            return try #require(SupplierIdentity(supplier: slug, userID: userID))
        }
        #expect("e\u{301}" == "\u{E9}", "Swift calls these texts equal")
        #expect(try identity("a", "e\u{301}") != identity("a", "\u{E9}"))
        #expect(try identity("a", "\u{212B}") != identity("a", "\u{C5}"))
        #expect(try identity("a", "\u{E9}") == identity("a", "\u{E9}"))
        #expect(try identity("a", "x") != identity("b", "x"))
        #expect(try identity("a", "x") != identity("a", "X"))
        #expect(try identity("a", "x") != identity("a", "x "))
    }

    @Test func `an identity neither prints, dumps nor mirrors itself`() throws {
        let identity = try #require(SupplierIdentity(supplier: .sandbox, userID: "sesame"))
        var dumped = ""
        dump(["key": [identity]], to: &dumped)
        for text in [
            "\(identity)", String(reflecting: identity), "\([identity])", "\(Optional(identity) as Any)", dumped,
        ] {
            #expect(!text.contains("sesame"))
        }
        #expect(Mirror(reflecting: identity).children.isEmpty)
    }
}
