// Which images may stand beside a name.

@testable import LinkSessions
import Testing

@Suite struct LogoTests {
    private static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

    private static func number(_ value: Int) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
    }

    private static func chunk(_ type: String, _ data: [UInt8] = []) -> [UInt8] {
        number(data.count) + Array(type.utf8) + data + [0, 0, 0, 0]
    }

    private static func png(_ width: Int, _ height: Int, then rest: [[UInt8]] = [chunk("IDAT", [1]), chunk("IEND")])
        -> [UInt8]
    {
        signature + chunk("IHDR", number(width) + number(height) + [8, 6, 0, 0, 0]) + rest.flatMap { $0 }
    }

    private static func svg(_ content: String, root: String = "") -> [UInt8] {
        Array("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\"\(root)>\(content)</svg>".utf8)
    }

    private static func expectation(_ bytes: [UInt8]) -> String? {
        do throws(LogoError) {
            _ = try Logo(bytes)
            return nil
        } catch {
            return error.expectation
        }
    }

    @Test func `a PNG of 16 to 1024 pixels is taken`() throws {
        for (width, height) in [(16, 16), (1024, 1024), (300, 20)] {
            #expect(try Logo(Self.png(width, height)).mediaType == .png)
        }
        for (width, height) in [(15, 16), (16, 1025), (0, 0), (1 << 31, 16)] {
            #expect(Self.expectation(Self.png(width, height)) == "a PNG of 16 to 1024 pixels in width and height")
        }
    }

    @Test func `a PNG that is not whole, or has something behind it, is refused`() {
        let whole = Self.png(32, 32)
        let cases: [[UInt8]] = [
            whole.dropLast(), whole + [0], whole + Array("<script>".utf8), Self.png(32, 32, then: []),
            Self.png(32, 32, then: [Self.chunk("IEND")]), Self.png(32, 32, then: [Self.chunk("IDAT", [1])]),
            Self.png(
                32, 32,
                then: [Self.chunk("IDAT", [1]), Self.chunk("IEND"), Self.chunk("tEXt", [1]), Self.chunk("IEND")]),
            whole.dropLast(20) + Self.number(1 << 30) + [1], Self.signature,
            whole.prefix(12) + Array("IHDX".utf8) + whole.dropFirst(16),
        ].map { Array($0) }
        for (number, bytes) in cases.enumerated() { #expect(Self.expectation(bytes) != nil, "\(number)") }
    }

    @Test func `32 kB are the most`() {
        let data = [UInt8](repeating: 1, count: 32_768 - Self.png(32, 32).count + 1)
        let largest = Self.png(32, 32, then: [Self.chunk("IDAT", data), Self.chunk("IEND")])
        #expect(largest.count == 32_768)
        #expect(Self.expectation(largest) == nil)
        #expect(Self.expectation(largest + [0]) == "at most 32 kB (32768 bytes)")
    }

    @Test(arguments: [
        "", "<path d=\"M0 0h9v9z\" fill='#0b5d3f'/>", "<title>A &amp; B, größer</title><g><circle r=\"2\"/></g>",
        "<defs><linearGradient id=\"a\"><stop offset=\"0\" stop-color=\"red\"/></linearGradient></defs><rect fill=\"url(#a)\"/>",
        "<style>.a{fill:url( '#a' )}</style><path class=\"a\" style=\"fill:url(#b)\"/>",
        "<!-- a < b --><text x=\"1\">a: b</text>",
        "<linearGradient href=\"#a\"/><radialGradient xmlns:xlink=\"http://www.w3.org/1999/xlink\" xlink:href=\"#b\"/>",
        "<g\n transform = \"scale(2)\" ></g >",
    ])
    func `an SVG of shapes and text is taken`(content: String) throws {
        #expect(Self.expectation(Self.svg(content)) == nil)
        let declared =
            Array("\u{FEFF}<?xml version=\"1.0\"?>\n<!-- x -->\n".utf8) + Self.svg(content) + Array("\n".utf8)
        #expect(try Logo(declared).mediaType == .svg)
    }

    @Test(arguments: [
        ("<script>alert(1)</script>", "<script>"), ("<foreignObject/>", "<foreignObject>"),
        ("<image href=\"#a\"/>", "<image>"),
        ("<use href=\"#a\"/>", "<use>"), ("<a href=\"#a\"/>", "<a>"), ("<animate/>", "<animate>"), ("<set/>", "<set>"),
        ("<filter/>", "<filter>"), ("<SCRIPT/>", "<SCRIPT>"), ("<iframe/>", "<iframe>"),
        ("<svg:script/>", "<svg:script>"),
        ("<g onclick=\"x\"/>", "onclick"), ("<g ONLOAD='x'/>", "ONLOAD"),
        ("<g href=\"https://evil.example\"/>", "href"),
        ("<linearGradient xlink:href=' //evil.example/#a'/>", "xlink:href"),
        ("<linearGradient href=\"data:x\"/>", "href"),
        ("<g fill=\"url(https://evil.example)\"/>", "fill"), ("<g fill=\"URL( 'x' )\"/>", "fill"),
        ("<g style=\"background:u\\72l(x)\"/>", "style"), ("<style>@import 'x'</style>", "style"),
        ("<style>a{fill:url(#a) url(x)}</style>", "style"), ("<style>a{src:image-set('x')}</style>", "style"),
        ("<g fill=\"&#117;rl(x)\"/>", "character references"), ("<text>&x;</text>", "character references"),
        ("<g xml:base=\"https://evil.example/\"/>", "xml:base"),
        ("<g xmlns=\"http://www.w3.org/1999/xhtml\"/>", "xmlns"),
        ("<![CDATA[x]]>", "<>"), ("<!DOCTYPE x>", "<>"), ("<?xml-stylesheet href='x'?>", "<>"), ("<g>", "whole"),
        ("</g>", "whole"), ("<g a=\"1\" a=\"2\"/>", "whole"), ("<g a=1/>", "whole"), ("<g a/>", "whole"),
        ("<g a=\"<\"/>", "whole"),
        ("<g \u{301}onclick=\"x\"/>", "whole"), ("<g onclick=\"\u{301}x\"/>", "onclick"), ("<\u{301}script/>", "<>"),
        ("<g fill=\"url(\u{301}x)\"/>", "fill"), (String(repeating: "<g>", count: 40), "depth"),
    ])
    func `an SVG that could run or load something, or is not well-formed, is refused`(content: String, what: String)
        throws
    {
        let expectation = try #require(Self.expectation(Self.svg(content)))
        #expect(expectation.contains(what), "\(expectation)")
    }

    @Test func `what is no image is refused`() {
        for text in [
            "", " ", "<html></html>", "hello", "GIF89a", "<!DOCTYPE svg><svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            "<svg/>", "<svg xmlns=\"x\"/>", "x<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            "<svg xmlns=\"http://www.w3.org/2000/svg\"/><svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            "<svg xmlns=\"http://www.w3.org/2000/svg\"/>x", "<svg xmlns=\"http://www.w3.org/2000/svg\"", "<!-- x",
            "<?xml x",
        ] { #expect(Self.expectation(Array(text.utf8)) != nil, "\(text)") }
        #expect(Self.expectation(Self.svg("\u{301}").dropLast(7) + [0xFF]) == "a PNG, or an SVG in UTF-8")
        #expect(Self.expectation(Array(Self.svg("").prefix(1)) + [0xCC, 0x81]) != nil)
    }
}
