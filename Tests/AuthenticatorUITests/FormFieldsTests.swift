// Form fields: what a browser sends, and what it never would.

@testable import AuthenticatorUI
import LinkSessions
import Testing

@Suite struct FormFieldsTests {
    @Test func `fields are found by their names`() {
        let fields = FormFields("token=abc&language=en&supplier=green-grid")
        #expect(fields["token"] == "abc")
        #expect(fields["language"] == "en")
        #expect(fields["supplier"] == "green-grid")
        #expect(fields["other"] == nil)
        #expect(fields["Token"] == nil)
    }

    @Test func `a value may be empty, missing, or hold what parts fields elsewhere`() {
        let fields = FormFields("&&a=&b&c=d=e=f&=nameless&?q=1&")
        #expect(fields["a"] == "")
        #expect(fields["b"] == "")
        #expect(fields["c"] == "d=e=f")
        #expect(fields[""] == "nameless")
        #expect(fields["?q"] == "1")
        #expect(FormFields("")["a"] == nil)
        #expect(FormFields("&=&")[""] == "")
    }

    @Test(arguments: ["a=1&a=2", "a=1&a=1", "a=&a=1", "a&a", "a=1&b=2&a=3", "a=1&%61=2", "%61=1&a=2", "a=1&a=2&a=3"])
    func `a field that occurs twice is none`(text: String) {
        let fields = FormFields(text)
        #expect(fields["a"] == nil)
        #expect(fields["b"] == (text.contains("b=") ? "2" : nil))
    }

    @Test func `percent-encoding and plus are decoded, in names as well`() {
        let fields = FormFields("a+b=c+d&%C3%A9=%E2%82%AC&x=%2B%26%3D%25&y=%c3%a9&%2b=1")
        #expect(fields["a b"] == "c d")
        #expect(fields["\u{E9}"] == "€")
        #expect(fields["x"] == "+&=%")
        #expect(fields["y"] == "\u{E9}")
        #expect(fields["+"] == "1")
        #expect(FormFields("a=%00%0A")["a"] == "\0\n")
    }

    @Test(
        arguments: [
            "%", "%4", "x%", "x%4", "%%41", "%zz", "%4g", "%g4", "%+1", "%-1", "%1+", "% 1", "%0x", "%１１", "%u0041",
        ])
    func `a percent sign without two digits after it spoils its field and no other`(value: String) {
        let fields = FormFields("a=\(value)&b=1&\(value)=2")
        #expect(fields["a"] == nil)
        #expect(fields["b"] == "1")
        #expect(fields[value] == nil)
    }

    @Test(
        arguments: [
            "%FF", "%C3", "%C3%28", "%80", "%E2%82", "%C0%80", "%C1%81", "%ED%A0%80", "%F5%80%80%80", "%F4%90%80%80",
            "%FE%FF",
        ])
    func `what is no UTF-8 spoils its field and no other`(value: String) {
        let fields = FormFields("a=\(value)&b=1&\(value)=2")
        #expect(fields["a"] == nil)
        #expect(fields["b"] == "1")
    }

    @Test func `characters that are not encoded are taken as they are`() {
        #expect(FormFields("a=\u{E9}€")["a"] == "\u{E9}€")
    }

    @Test func `what was encoded is read as it was`() {
        let values = ["", " ", "a+b&c=d%41", "é e\u{301} 😀", "\0\r\n", "https://a.example/?x=1&y=%20#z", "\u{10FFFF}"]
        let text = FormFields.encode(values.enumerated().map { ("field\($0.offset)", $0.element) })
        let fields = FormFields(text)
        for (index, value) in values.enumerated() {
            #expect(fields["field\(index)"].map { Array($0.utf8) } == Array(value.utf8))
        }
    }
}
