// Where a manufacturer may send its users, once the URL itself is sound.

import LinkSessions
import Testing

@Suite struct RedirectPolicyTests {
    private static let refusal = "redirect_url is not among the manufacturer's allowed redirect URLs: "

    private func registered(_ urls: String...) throws -> RedirectPolicy {
        .registered(Set(try urls.map { try RedirectURL($0).registrationKey }))
    }

    @Test(arguments: ["https://your-app.com/callback", "http://localhost/", "com.acme.app:/linked"])
    func `an empty list allows nothing`(url: String) throws {
        let url = try RedirectURL(url)
        let refusal = #expect(throws: ValidationError.self) { try RedirectPolicy.registered([]).check(url) }
        #expect(refusal?.rule == .redirectPolicy)
        #expect(refusal?.message == Self.refusal + "none is registered")
    }

    @Test(
        arguments: [
            "https://your-app.com/callback", "https://your-app.com:443/callback?state=1",
            "HTTPS://YOUR-APP.COM/callback",
            "http://127.0.0.1:51004/done", "com.acme.app:/linked?x=1",
        ])
    func `a registered URL is allowed, with any query`(url: String) throws {
        let policy = try registered(
            "https://your-app.com/callback?registered=1", "http://127.0.0.1/done", "com.acme.app:/linked")
        try policy.check(try RedirectURL(url))
    }

    @Test(
        arguments: [
            "https://your-app.com/", "https://your-app.com/callback/", "https://your-app.com/callback/more",
            "https://your-app.com/Callback", "https://your-app.com/%63allback", "https://your-app.com:8443/callback",
            "https://www.your-app.com/callback", "https://your-app.com.evil.example/callback",
            "https://evil.example/callback?x=https://your-app.com/callback", "http://127.0.0.1/other",
            "http://localhost/done", "com.acme.app://linked", "com.acme.app2:/linked",
        ])
    func `a URL that differs from the registered ones is refused`(url: String) throws {
        let policy = try registered("https://your-app.com/callback", "http://127.0.0.1/done", "com.acme.app:/linked")
        let url = try RedirectURL(url)
        let refusal = #expect(throws: ValidationError.self) { try policy.check(url) }
        #expect(refusal?.rule == .redirectPolicy)
        #expect(refusal?.message.hasPrefix(Self.refusal) == true)
    }

    @Test(arguments: ["https://anything.example/x", "http://localhost:1/", "com.acme.app://linked"])
    func `an unrestricted manufacturer may use any sound URL`(url: String) throws {
        try RedirectPolicy.unrestricted.check(try RedirectURL(url))
    }

    @Test(
        arguments: [
            ("https://your-app.com/callback/", "path: /callback/ is not /callback"),
            ("https://your-app.com/Callback?user=zq7", "path: /Callback is not /callback"),
            ("https://your-app.com", "path: none is not /welcome"),
            ("https://www.your-app.com/callback", "host: www.your-app.com is not your-app.com"),
            ("https://your-app.com:8443/callback", "port: 8443 is not 443"),
            ("https://port.example/a", "port: 443 is not 8443"),
            ("http://127.0.0.1:5000/other", "path: /other is not /done"),
            ("http://localhost/done", "host: localhost is not 127.0.0.1"),
            ("https://127.0.0.1/done", "scheme: https is not http"),
            ("com.acme.app://linked", "host: linked is not none; path: none is not /linked"),
            ("com.acme.app2:/linked", "scheme: com.acme.app2 is not com.acme.app"),
            ("https://evil.example/x", "host: evil.example is not your-app.com; path: /x is not /welcome"),
            // The fewest components first, then the smallest difference.
            ("https://your-app.com/callbacks", "path: /callbacks is not /callback"),
            ("https://your-app.com/welcom", "path: /welcom is not /welcome"),
        ])
    func `a refusal names what differs from the nearest registered URL`(url: String, difference: String) throws {
        let policy = try registered(
            "https://your-app.com/callback", "https://your-app.com/welcome", "http://127.0.0.1/done",
            "com.acme.app:/linked", "https://port.example:8443/a")
        let url = try RedirectURL(url)
        let refusal = #expect(throws: ValidationError.self) { try policy.check(url) }
        #expect(refusal?.message == Self.refusal + difference)
    }

    @Test func `a refusal is short, shows where long paths part, and the log has nothing of what was sent`() throws {
        let long = String(repeating: "a/", count: 900)
        let policy = try registered("https://your-app.com/\(long)end")
        let refusal = #expect(throws: ValidationError.self) {
            try policy.check(try RedirectURL("https://your-app.com/\(long)zq7user"))
        }
        let message = refusal?.message ?? ""
        #expect(message.utf8.count < 500)
        #expect(message.contains("a/zq7user is not …") && message.hasSuffix("a/end"), "\(message)")
        let cause = refusal?.cause ?? ""
        #expect(!cause.contains("zq7user") && cause.contains("path is not …"), "\(cause)")
    }
}
