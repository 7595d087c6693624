// The origin check: which requests come from a page of ours.

@testable import AuthenticatorUI
@testable import HTTPServer
import NIOHTTP1
import Testing

@Suite struct OriginCheckTests {
    private func request(_ headers: [(String, String)]) -> Request {
        Request(
            id: "1", method: .POST, headers: HTTPHeaders(headers), query: "", body: RequestBody(), parameter: "")
    }

    private let site = "Sec-Fetch-Site"

    @Test func `Fetch Metadata decides where a browser sends it`() {
        let check = OriginCheck(publicBaseURL: "https://auth.example")
        #expect(check.isOwn(request([(site, "same-origin")])))
        // A browser that keeps its Origin to itself, or sends it as null, has still said where the request comes from.
        #expect(check.isOwn(request([(site, "same-origin"), ("Origin", "null")])))
        for value in ["cross-site", "same-site", "none", "", "SAME-ORIGIN", "same-origin, same-origin", "same-origin "]
        {
            #expect(!check.isOwn(request([(site, value)])), "\(value)")
            #expect(!check.isOwn(request([(site, value), ("Origin", "https://auth.example")])), "\(value)")
        }
        #expect(!check.isOwn(request([(site, "same-origin"), (site, "same-origin")])))
        #expect(!check.isOwn(request([(site, "same-origin"), (site, "cross-site")])))
    }

    @Test(
        arguments: [
            ("https://auth.example", "https://auth.example"), ("https://auth.example:443", "https://auth.example"),
            ("https://auth.example:8443", "https://auth.example:8443"),
            ("https://Auth.Example", "https://auth.example"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"), ("http://localhost:80", "http://localhost"),
            ("http://localhost:443", "http://localhost:443"), ("https://auth.example:80", "https://auth.example:80"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ])
    func `without it the one Origin of the public base is ours`(base: String, origin: String) {
        let check = OriginCheck(publicBaseURL: base)
        #expect(check.isOwn(request([("Origin", origin)])))
        #expect(!check.isOwn(request([])))
        for other in [
            "null", "", origin + "/", origin + ":1", origin + ".evil.example", "x" + origin, origin + " ",
            "\(origin), \(origin)", "https://evil.example", origin.replacing("http", with: "ftp"),
        ] {
            #expect(!check.isOwn(request([("Origin", other)])), "\(other)")
        }
        #expect(!check.isOwn(request([("Origin", origin), ("Origin", origin)])))
        #expect(!check.isOwn(request([("Origin", origin), ("Origin", "null")])))
        #expect(
            !check.isOwn(
                request([("Referer", base + "/ui"), ("Host", String(origin.drop { $0 != "/" }.dropFirst(2)))])))
    }
}
