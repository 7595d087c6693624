// Markup stays text whatever stands beside it: a browser reads Unicode scalars, and Swift's characters are more than one.

@testable import AuthenticatorUI
@testable import HTTPServer
import LinkSessions
import NIOHTTP1
import Testing

@Suite struct EscapeTests {
    private func page(brand: String, back: String = "/x") throws -> String {
        var page = Page(notice: .tooMany, status: .ok)
        page.values["brand"] = brand
        page.back = back
        return String(decoding: try Pages(isSecure: true).response(page, in: .en).body, as: UTF8.self)
    }

    /// As a browser would look for it.
    private func has(_ text: String, _ part: String) -> Bool { text.utf8.firstRange(of: part.utf8) != nil }

    @Test(arguments: ["\u{600}", "\u{70F}", "\u{D4E}", "\u{110BD}"])
    func `markup after a mark that is prepended to it is escaped`(mark: String) throws {
        #expect("\(mark)<".count == 1, "one character for Swift")
        let text = try page(brand: "Acme\(mark)<form action=x>\(mark)&lt;\(mark)'\(mark)\"")
        #expect(!has(text, "<form"))
        #expect(has(text, "Acme\(mark)&lt;form action=x&gt;\(mark)&amp;lt;\(mark)&#39;\(mark)&quot;"))
    }

    @Test(arguments: ["\u{301}", "\u{200D}", "\u{FE0F}", "\u{20E3}"])
    func `markup before a mark that belongs to it is escaped`(mark: String) throws {
        #expect("\"\(mark)".count == 1, "one character for Swift")
        let text = try page(brand: "Acme<\(mark)&\(mark)", back: "/x\"\(mark)onclick=y")
        #expect(has(text, "Acme&lt;\(mark)&amp;\(mark)"))
        #expect(has(text, "href=\"/x&quot;\(mark)onclick=y\""))
    }
}
