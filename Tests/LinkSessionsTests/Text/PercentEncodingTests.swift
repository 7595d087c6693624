// Percent-encoding, there and back.

import LinkSessions
import Testing

@Suite struct PercentEncodingTests {
    @Test func `only the unreserved characters of RFC 3986 are written as they are`() {
        let unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
        #expect(PercentEncoding.encode(unreserved) == unreserved)
        #expect(PercentEncoding.encode(" +&=%/?#:@\"'") == "%20%2B%26%3D%25%2F%3F%23%3A%40%22%27")
        #expect(PercentEncoding.encode("\0\t\u{7F}") == "%00%09%7F")
        #expect(PercentEncoding.encode("é€😀") == "%C3%A9%E2%82%AC%F0%9F%98%80")
        #expect(PercentEncoding.encode("") == "")
    }

    @Test func `what was encoded is read as it was`() {
        for text in ["", " ", "a+b&c=d%41", "é e\u{301} 😀", "\0\r\n", "\u{10FFFF}"] {
            #expect(
                PercentEncoding.decode(Array(PercentEncoding.encode(text).utf8)[...]).map(Array.init)
                    == Array(text.utf8))
        }
        #expect(PercentEncoding.decode(Array("a%2fB%2F".utf8)[...]).map(Array.init) == Array("a/B/".utf8))
    }

    @Test(arguments: ["%", "a%", "%4", "%4g", "%g4", "%%41", "%+1", "% 1"])
    func `a percent sign without two digits is refused`(text: String) {
        #expect(PercentEncoding.decode(Array(text.utf8)[...]) == nil)
    }
}
