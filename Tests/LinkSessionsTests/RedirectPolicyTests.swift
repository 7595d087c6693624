// Where a manufacturer may send its users, once the URL itself is sound.

import LinkSessions
import Testing

@Suite struct RedirectPolicyTests {
    private static let refusal = ValidationError(
        .redirectPolicy, "redirect_url is not among the manufacturer's allowed redirect URLs")

    private func registered(_ urls: String...) throws -> RedirectPolicy {
        .registered(Set(try urls.map { try RedirectURL($0).registrationKey }))
    }

    @Test(arguments: ["https://your-app.com/callback", "http://localhost/", "com.acme.app:/linked"])
    func `an empty list allows nothing`(url: String) throws {
        let url = try RedirectURL(url)
        let refusal = #expect(throws: ValidationError.self) { try RedirectPolicy.registered([]).check(url) }
        #expect(refusal == Self.refusal)
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
        #expect(refusal == Self.refusal)
    }

    @Test(arguments: ["https://anything.example/x", "http://localhost:1/", "com.acme.app://linked"])
    func `an unrestricted manufacturer may use any sound URL`(url: String) throws {
        try RedirectPolicy.unrestricted.check(try RedirectURL(url))
    }
}
