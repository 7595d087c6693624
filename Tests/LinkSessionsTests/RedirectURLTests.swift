// The rule of redirect_url, clause by clause, and what makes two of them the same.

import LinkSessions
import Testing

@Suite struct RedirectURLTests {
    private static let base = "https://your-app.com"

    // MARK: Accepted

    @Test(
        arguments: [
            "https://your-app.com/callback", "https://your-app.com", "https://your-app.com/",
            "https://your-app.com?x=1",
            "https://your-app.com/?", "HTTPS://Your-App.COM/Callback", "hTTps://your-app.com/",
            // Labels of letters, digits and inner hyphens; the last one need not be a top-level domain.
            "https://intranet/callback", "https://localhost/callback", "https://a/", "https://a.b.c.d.e.f/",
            "https://xn--bcher-kva.example/", "https://3com.example/", "https://a--b.example/",
            "https://1.2.3.4.example/",
            // Not one of these is a number to a browser.
            "https://1.2.3.4a/", "https://a1/", "https://0x7f.example/", "https://a.0xg/", "https://x0/",
            "https://1-2/",
            "https://1e3/", "https://beef/",
        ])
    func `https with a host is accepted and kept as it was sent`(text: String) throws {
        #expect(try RedirectURL(text).text == text)
    }

    @Test(
        arguments: [
            "https://192.0.2.1/callback", "https://0.0.0.0/", "https://255.255.255.255", "https://10.0.0.1:8443?x",
            "https://[2001:db8::1]/callback", "https://[2001:DB8:0:0:0:0:0:1]:8443/", "https://[::]/", "https://[::1]",
            "https://[::ffff:192.0.2.1]/", "https://[1:2:3:4:5:6:7:8]?x=1",
        ])
    func `strict IPv4 and bracketed IPv6 are accepted`(text: String) throws {
        #expect(try RedirectURL(text).text == text)
    }

    @Test(
        arguments: [
            "http://localhost", "http://localhost/", "http://localhost:8080/callback?x=1", "http://127.0.0.1/callback",
            "http://127.0.0.1:1", "http://[::1]/callback", "http://[::1]:65535/", "HTTP://LOCALHOST/",
        ])
    func `http is accepted to the user's own machine`(text: String) throws {
        #expect(try RedirectURL(text).text == text)
    }

    @Test(
        arguments: [
            "com.acme.app://linked", "com.acme.app:/linked", "com.acme.app:/", "com.acme.app://linked/further?x=1",
            "COM.Acme.App://Linked", "com.acme-2.app+beta:/linked", "a.b:/", "com.acme.app://linked:8080/",
            "com.acme.app:/linked?next=/../x", "com.acme.1:/x",
            // Only their namesakes without a dot are dangerous.
            "com.javascript:/x", "data.acme:/x",
        ])
    func `an app's own scheme is accepted with and without authority`(text: String) throws {
        #expect(try RedirectURL(text).text == text)
    }

    @Test(arguments: [1, 80, 443, 8443, 65535])
    func `a port from 1 to 65535 is accepted`(port: Int) throws {
        let text = "https://your-app.com:\(port)/callback"
        #expect(try RedirectURL(text).text == text)
    }

    @Test(
        arguments: [
            // Every character that RFC 3986 has for a path or a query.
            "/-._~!$&'()*+,;=:@/azAZ09", "?-._~!$&'()*+,;=:@/?azAZ09", "/%41%c3%A9%ff%00%0d%0A%20%23%5c", "/@user",
            "//x", "/a//b/",
            // No dot segments, though they look like it.
            "/...", "/.well-known/linked", "/..a", "/a..", "/a.", "/a/.b/", "/%2e%2ea", "/a%2fb", "/.-", "/%2e%2d",
            // Decoded once (RFC 3986, section 2.4).
            "/%252e%252e/", "/%252f..x",
            "?x=/../y", "?x=..", "?../",
        ])
    func `paths and queries of the standard's characters are accepted`(rest: String) throws {
        #expect(try RedirectURL(Self.base + rest).text == Self.base + rest)
    }

    @Test(
        arguments: [
            "?x", "?x=1&y=2", "?x=data", "?x=1&y=signature", "?datax=1", "?xdata=1", "?dat=1", "?DATA=1",
            "?Signature=1",
            "?=data", "?&&", "?signatures", "?%2564ata=1", "?data.x=1", "?_data", "?x=a%26data=1", "?x?data=1",
        ])
    func `a query that is the caller's own is accepted`(query: String) throws {
        #expect(try RedirectURL(Self.base + query).text == Self.base + query)
    }

    @Test func `2048 bytes are accepted and 2049 are refused`() throws {
        let start = "https://your-app.com/"
        let longest = start + String(repeating: "a", count: 2048 - start.utf8.count)
        #expect(try RedirectURL(longest).text.utf8.count == 2048)
        expectRefused(longest + "a", "2048")
        expectRefused(start + String(repeating: "a", count: 16_000), "2048")
    }

    @Test func `a label has up to 63 characters, a host up to 253`() throws {
        let label = String(repeating: "a", count: 63)
        _ = try RedirectURL("https://\(label).example/")
        expectRefused("https://a\(label).example/", "labels")
        let host = [label, label, label, String(repeating: "b", count: 61)].joined(separator: ".")
        #expect(host.utf8.count == 253)
        _ = try RedirectURL("https://\(host)/")
        expectRefused("https://\(host)b/", "253")
    }

    // MARK: Refused: no absolute URL, or a scheme that is not allowed

    @Test(
        arguments: [
            "callback", "/callback", "//your-app.com/callback", "your-app.com/callback", "https", ":",
            "://your-app.com/",
            "?https://your-app.com/", "//your-app.com:443/", "1com.acme:/linked", "-com.acme:/linked",
            ".com.acme:/linked",
            "+com.acme:/linked", "com_acme.app:/linked", "https%3A//your-app.com/", "com.acme~app:/x",
            "@https://your-app.com/",
        ])
    func `what is no absolute URL is refused`(text: String) {
        expectRefused(text, "absolute URL")
    }

    @Test func `an empty URL is refused`() {
        expectRefused("", "empty")
    }

    @Test(
        arguments: [
            "javascript:alert(1)", "JavaScript:alert(1)", "javascript:/x", "javascript://your-app.com/%0Aalert(1)",
            "data:text/html,x", "data://your-app.com/x", "DATA:/x", "vbscript:x", "vbscript:/x", "file:/etc/passwd",
            "file://localhost/etc/passwd", "blob:https://your-app.com/x", "blob:/x", "about:blank", "about:/blank",
            "ftp://your-app.com/", "ws://your-app.com/", "wss://your-app.com/", "acme://linked", "acme:/linked",
            "intent://linked/", "mailto:/a", "view-source:https://your-app.com/", "httpss://your-app.com/",
            "https+x://your-app.com/", "localhost:8080/callback",
            // A dot that parts nothing.
            "acme.://linked", "com..acme:/linked", "javascript.:/x", "https.://your-app.com/",
        ])
    func `other schemes are refused`(text: String) {
        expectRefused(text, "reverse-domain")
    }

    @Test(
        arguments: [
            "http://your-app.com/callback", "HTTP://your-app.com/", "http://127.0.0.2/", "http://0.0.0.0/",
            "http://localhost.your-app.com/", "http://your-app.com.localhost/", "http://127.0.0.1.your-app.com/",
            "http://localhost4/", "http://[::2]/", "http://[::]/", "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:127.0.0.1]/", "http:/localhost/", "http:localhost/", "http:", "http://intranet/",
        ])
    func `http to anywhere else is refused`(text: String) {
        expectRefused(text, "must use https")
    }

    @Test(arguments: ["com.acme.app:", "com.acme.app:linked", "com.acme.app:?x=1", "your-app.com:443/callback"])
    func `an app's own scheme without a slash is refused`(text: String) {
        expectRefused(text, "/ after the scheme")
    }

    // MARK: Refused: authorities

    @Test(
        arguments: [
            "https:", "https:/", "https:/your-app.com/", "https:your-app.com", "https:?x=1", "https://", "https:///",
            "https:///callback", "https:////your-app.com/", "https://?x=1", "https://:443/", "https:///your-app.com",
            "com.acme.app://", "com.acme.app:///linked", "com.acme.app://?x", "file:///etc/passwd",
            "http:///localhost/",
        ])
    func `a missing host is refused`(text: String) {
        expectRefused(text, "a host after")
    }

    @Test(
        arguments: [
            "https://user@your-app.com/", "https://user:password@your-app.com/", "https://@your-app.com/",
            "https://your-app.com@evil.example/", "https://your-app.com:443@evil.example/", "https://a@b@c/",
            "https://your-app.com%40@evil.example", "https://[::1]@evil.example/", "https://your-app.com@",
            "http://localhost@evil.example/", "com.acme.app://user@linked",
        ])
    func `an at sign in the authority is refused`(text: String) {
        expectRefused(text, "@")
    }

    @Test(
        arguments: [
            "your-app.com.", "your-app..com", ".your-app.com", ".", "..", "localhost.", "-your-app.com",
            "your-app-.com",
            "your-app.-com", "your-app.com-", "your_app.com", "your~app.com", "your-app.com,evil.example",
            "your%2dapp.com",
            "%65vil.example", "your-app.com%2f.evil.example", "your-app.com%00.evil.example", "*.your-app.com", "a!b",
            "a=b", "a&b", "(a)", "a;b", "a+b", "a$b", "'a'", "192.0.2.1.",
        ])
    func `a host of other than letter-digit-hyphen labels is refused`(host: String) {
        expectRefused("https://\(host)/", "labels")
        expectRefused("com.acme.app://\(host)", "labels")
    }

    @Test(
        arguments: [
            "0x7f.1", "127.1", "127.0.1", "1.2.3.4.5", "01.2.3.4", "1.2.3.04", "1.2.3.00", "256.2.3.4", "1.2.3.256",
            "1.2.3.0004",
            "0", "1", "2130706433", "017700000001", "0x7f000001", "0X7F000001", "0x", "0X", "0x7f.0.0.0x1", "1.2.3.0x4",
            "your-app.1", "your-app.0x1f", "your-app.0x", "1.2.3", "999999999999999999999", "0177.0.0.1", "a.b.c.4",
        ])
    func `a host that only looks like a number is refused`(host: String) {
        expectRefused("https://\(host)/", "IPv4")
        expectRefused("http://\(host)", "IPv4")
        expectRefused("com.acme.app://\(host)/x", "IPv4")
    }

    @Test(
        arguments: [
            "[fe80::1%25eth0]", "[::1%25]", "[]", "[:]", "[:::]", "[::1::]", "[1:2:3:4:5:6:7]", "[1:2:3:4:5:6:7:8:9]",
            "[12345::]", "[::g]", "[127.0.0.1]", "[localhost]", "[v1.a]", "[::ffff:1.2.3]", "[::ffff:01.2.3.4]",
            "[::ffff:256.2.3.4]", "[[::1]]", "[+1::]",
        ])
    func `an IPv6 address that is none, or has a zone, is refused`(host: String) {
        expectRefused("https://\(host)/", "IPv6")
        expectRefused("http://\(host)/", "IPv6")
    }

    @Test func `a zone with a bare percent sign is refused as well`() {
        expectRefused("https://[fe80::1%eth0]/", "%")
    }

    @Test(
        arguments: [
            "https://[::1", "https://[::1/", "https://[::1/]", "https://[", "https://[::1?]",
            "https://[2001:db8::1:443/",
        ])
    func `an unclosed bracket is refused`(text: String) {
        expectRefused(text, "close the [")
    }

    @Test(arguments: [
        "https://::1]/", "https://your-app.com]/", "https://]", "https://a[::1]/", "https://::1/",
        "https://2001:db8::1/",
    ])
    func `an IPv6 address without its brackets is refused`(text: String) {
        expectRefused(text)
    }

    @Test(
        arguments: [
            "", "0", "00", "01", "0443", "65536", "99999", "18446744073709551617", "-1", "+443", "443a", "4%343",
            "0x1bb", "a",
            "443:443", ":443", "1.5",
        ])
    func `an empty, zero-led or other port that is none is refused`(port: String) {
        expectRefused("https://your-app.com:\(port)/callback", "port")
        expectRefused("https://your-app.com:\(port)", "port")
        expectRefused("http://localhost:\(port)?x=1", "port")
        expectRefused("https://[::1]:\(port)/", "port")
        expectRefused("com.acme.app://linked:\(port)", "port")
    }

    @Test(arguments: [
        "https://[::1]443/", "https://[::1]evil.example/", "https://[::1].evil.example/", "https://[::1]]/",
    ])
    func `anything but a port after the bracket is refused`(text: String) {
        expectRefused(text)
    }

    // MARK: Refused: characters

    @Test(arguments: ["/callback#", "/callback#top", "#", "?x=1#y", "/#/callback", "#@evil.example"])
    func `a fragment is refused`(rest: String) {
        expectRefused(Self.base + rest, "fragment")
        expectRefused("com.acme.app://linked" + rest, "fragment")
    }

    @Test(
        arguments: [
            "https:/\\evil.example", "https:\\\\evil.example", "https://your-app.com\\@evil.example/",
            "https://your-app.com\\.evil.example/", "https://evil.example\\", "https://your-app.com/\\..\\",
            "\\\\evil.example",
            "https://your-app.com/?x=\\", "https://\\your-app.com/", "com.acme.app:\\linked",
            "com.acme.app:/\\evil.example",
        ])
    func `a backslash is refused wherever it stands`(text: String) {
        expectRefused(text, "backslash")
    }

    @Test(arguments: Array(0x00...0x20) + [0x7F])
    func `a blank or control character is refused wherever it stands`(byte: UInt8) {
        let character = String(Unicode.Scalar(byte))
        for text in [
            "\(character)https://your-app.com/", "https://your-app.com/\(character)",
            "ht\(character)tps://your-app.com/",
            "https:\(character)//your-app.com/", "https:/\(character)/your-app.com/",
            "https://your\(character)-app.com/",
            "https://your-app.com/a\(character)b", "https://your-app.com/?x=\(character)",
            "java\(character)script:alert(1)",
        ] {
            expectRefused(text, "blanks or control characters")
        }
    }

    @Test func `a line break hides in no character`() {
        expectRefused("https://your-app.com/\r\nSet-Cookie:x=1", "blanks or control characters")
    }

    @Test(
        arguments: [
            "https://bücher.example/", "https://your-app.com/é", "https://your-app.com/?x=é", "https://your-app。com/",
            "https://your-app.com\u{FF0F}evil.example/", "https://ｙour-app.com/", "https://your-app.com/\u{301}",
            "https://your-app.com/\u{A0}", "\u{FEFF}https://your-app.com/", "https://your-app.com/\u{202E}",
            "ｈttps://your-app.com/",
            "https://your-app.com:４４３/", "https://your-app.com/\u{85}", "https://\u{212A}.example/", "com.acme.äpp:/x",
        ])
    func `other than ASCII is refused`(text: String) {
        expectRefused(text, "ASCII")
    }

    @Test(
        arguments: [
            "/%", "/%4", "/%G1", "/%1G", "/%%41", "/%4%41", "/a%zz", "?x=%", "?x=%2", "?%", "?%u0041", "/%-1", "/%+1",
            "/% 1",
            "/%é1", "/%0x", "/100%", "/%2&",
        ])
    func `a percent sign without two hexadecimal digits is refused`(rest: String) {
        expectRefused(Self.base + rest, "%")
        expectRefused("com.acme.app://linked" + rest, "%")
    }

    @Test(arguments: ["\"", "<", ">", "^", "`", "{", "|", "}", "[", "]"])
    func `characters that the standard wants percent-encoded are refused`(character: String) {
        expectRefused("https://your-app.com/\(character)", "percent-encoded")
        expectRefused("https://your-app.com/?x=\(character)", "percent-encoded")
        expectRefused("com.acme.app:/linked\(character)", "percent-encoded")
    }

    // MARK: Refused: paths and queries

    @Test(
        arguments: [
            "/.", "/..", "/./", "/../", "/a/.", "/a/..", "/a/./b", "/a/../b", "/../callback", "/./callback", "//..",
            "/a//../b",
            "/%2e%2e", "/%2e", "/%2E", "/%2E.", "/.%2e", "/.%2e/", "/.%2E/a", "/%2E%2e/a", "/a/%2e%2E", "/%2e/callback",
            "/%2f..%2f", "/%2F..", "/..%2f", "/a%2f..", "/a%2f%2e%2e%2fb", "/..%5c", "/a%5C..%5Cb", "/%5c%2e",
            "/a/..?x=1",
            "/callback/%2e%2e?x=1",
        ])
    func `a dot segment is refused, plain or percent-encoded`(rest: String) {
        expectRefused(Self.base + rest, "path segment")
        expectRefused("https://your-app.com:8443" + rest, "path segment")
        expectRefused("com.acme.app://linked" + rest, "path segment")
    }

    @Test(arguments: ["com.acme.app:/..", "com.acme.app:/.//evil.example", "com.acme.app:/%2e", "com.acme.app:/a/../b"])
    func `a dot segment is refused without an authority too`(text: String) {
        expectRefused(text, "path segment")
    }

    @Test(
        arguments: [
            "?data=", "?data=1", "?data", "?signature", "?signature=1", "?%64ata=1", "?d%61t%61", "?%64%61%74%61=1",
            "?x=1&signature", "?x=1&data=2", "?x&&data", "?&data", "?data&x", "?%73ignature=", "?signatur%65=1",
            "?data==",
            "?data=1&data=2", "?x=1&%73%69%67%6E%61%74%75%72%65=1", "/callback?data=1", "/?x=?&data=1",
        ])
    func `a parameter named data or signature is refused, plain or percent-encoded`(rest: String) {
        expectRefused(Self.base + rest, "data or signature")
        expectRefused("http://localhost:8080" + rest, "data or signature")
        expectRefused("com.acme.app://linked" + rest, "data or signature")
    }

    @Test func `no refusal repeats the URL`() {
        for text in [
            "sesame", "sesame:/x", "http://sesame/", "https://sesame@x/", "https://sesame./", "https://sesame:0/",
            "https://x/sesame/..", "https://x/?sesame=1&data", "https://x/sesame#", "https://[sesame]/",
            "https://sesame.1/",
        ] {
            let refusal = #expect(throws: ValidationError.self) { try RedirectURL(text) }
            #expect(refusal?.message.contains("sesame") == false)
        }
    }

    // MARK: Registration

    @Test(
        arguments: [
            // The scheme's own port is filled in.
            ("https://your-app.com/callback", "https://your-app.com:443/callback"),
            ("https://your-app.com", "https://your-app.com:443"),
            ("https://[2001:db8::1]/", "https://[2001:db8::1]:443/"),
            // Loopback ports are free.
            ("http://localhost/callback", "http://localhost:51004/callback"),
            ("http://localhost:80/callback", "http://localhost:8080/callback"),
            ("http://127.0.0.1:1/", "http://127.0.0.1:65535/"),
            ("http://[::1]/", "http://[::1]:3000/"),
            ("https://localhost/", "https://localhost:8443/"),
            // Scheme and host have no case.
            ("https://your-app.com/callback", "HTTPS://YOUR-APP.com/callback"),
            ("https://[2001:db8::a]/", "https://[2001:DB8::A]/"),
            ("http://localhost/", "HTTP://LocalHost:99/"),
            ("com.acme.app://linked/x", "COM.ACME.APP://LINKED/x"),
            ("com.acme.app:/linked", "Com.Acme.App:/linked"),
            // The query is the caller's own.
            ("https://your-app.com/callback", "https://your-app.com/callback?state=1&x=/other"),
            ("https://your-app.com/callback?registered=1", "https://your-app.com/callback?"),
            ("https://your-app.com", "https://your-app.com?x=1"),
            ("com.acme.app:/linked", "com.acme.app:/linked?x=1"),
            ("com.acme.app://linked", "com.acme.app://linked?x=1"),
        ])
    func `these count as the same URL`(one: String, other: String) throws {
        #expect(try RedirectURL(one).registrationKey == RedirectURL(other).registrationKey)
    }

    @Test(
        arguments: [
            ("https://your-app.com/callback", "https://your-app.com/callback/"),
            ("https://your-app.com/callback", "https://your-app.com/callback2"),
            ("https://your-app.com/callback", "https://your-app.com/Callback"),
            ("https://your-app.com/callback", "https://your-app.com/%63allback"),
            ("https://your-app.com/callback", "https://your-app.com//callback"),
            ("https://your-app.com/%c3%a9", "https://your-app.com/%C3%A9"),
            ("https://your-app.com", "https://your-app.com/"),
            ("https://your-app.com/a%2fb", "https://your-app.com/a/b"),
            ("https://your-app.com/", "https://www.your-app.com/"),
            ("https://your-app.com/", "https://your-app.com.example/"),
            ("https://your-app.com/", "https://your-app.com:8443/"),
            ("https://your-app.com/", "https://your-app.com:80/"),
            ("https://your-app.com:8443/", "https://your-app.com:8444/"),
            ("http://localhost/", "https://localhost/"),
            ("http://localhost/", "http://127.0.0.1/"),
            ("http://127.0.0.1/", "http://[::1]/"),
            ("http://localhost:8080/a", "http://localhost:8080/b"),
            ("https://127.0.0.2:1/", "https://127.0.0.2:2/"),
            ("com.acme.app://linked", "com.acme.app:/linked"),
            ("com.acme.app://linked", "com.acme.app://linked/"),
            ("com.acme.app://linked", "com.acme.app://linked:443"),
            ("com.acme.app:/linked", "com.acme.app2:/linked"),
            ("com.acme.app:/linked", "com.acme.app:/Linked"),
        ])
    func `these count as different URLs`(one: String, other: String) throws {
        #expect(try RedirectURL(one).registrationKey != RedirectURL(other).registrationKey)
    }

    private func expectRefused(
        _ text: String, _ reason: String = "", sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let refusal = #expect(throws: ValidationError.self, "\(text.prefix(100))", sourceLocation: sourceLocation) {
            try RedirectURL(text)
        }
        guard let refusal else { return }
        #expect(refusal.rule == .redirectURL, sourceLocation: sourceLocation)
        #expect(refusal.message.hasPrefix("redirect_url "), sourceLocation: sourceLocation)
        if !reason.isEmpty {
            #expect(refusal.message.contains(reason), "\(text.prefix(100))", sourceLocation: sourceLocation)
        }
    }
}
