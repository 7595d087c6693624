// Accept: who gets a page, and who JSON.

@testable import HTTPServer
import NIOHTTP1
import Testing

@Suite struct AcceptHeaderTests {
    @Test(arguments: [
        "text/html", "TEXT/HTML", "text/html;q=0.1", "text/*", "text/html;level=1;q=0.5",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
        "application/json, text/html", "application/json;q=0.5, text/html ; q=0.6",
        "application/*;q=0.2,text/html;q=0.3",
        "text/html;q=0.9,*/*;q=0.9", "image/png, text/html",
    ])
    func `a page is for whom HTML is as good as JSON`(accept: String) {
        #expect(AcceptHeader.prefersPage(["accept": accept]))
    }

    @Test(arguments: [
        "", "*/*", "application/json", "application/json, text/plain, */*", "text/html;q=0", "text/html;q=x",
        "application/json, text/html;q=0.9", "text/html;q=0.5, */*", "text/html;q=0.2, application/*;q=0.3",
        "text/plain", "text/htmlx", "texthtml", "xtext/html", ";q=1", ",,", "*", "text/html;q=0, */*",
    ])
    func `JSON is for everybody else`(accept: String) {
        #expect(!AcceptHeader.prefersPage(["accept": accept]))
    }

    @Test func `several fields are one list, and none is no wish`() {
        #expect(AcceptHeader.prefersPage(HTTPHeaders([("accept", "image/png"), ("accept", "text/html")])))
        #expect(
            !AcceptHeader.prefersPage(HTTPHeaders([("accept", "application/json"), ("accept", "text/html;q=0.5")])))
        #expect(!AcceptHeader.prefersPage([:]))
    }

    @Test(arguments: [
        ("/v2", true), ("/v2/", true), ("/v2/x?y", true), ("/v2?x", true), ("http://host/v2/x", true),
        ("https://host:1/v2", true), ("/", false), ("/ui", false), ("/v20", false), ("/x/v2", false),
        ("http://v2/ui", false),
        ("", false), ("*", false), ("http://host", false), ("//v2", false),
    ])
    func `what lies below v2 is the API's, in either form of a target`(target: String, isInAPI: Bool) {
        #expect(Routes.isInAPI(target) == isInAPI)
    }
}
