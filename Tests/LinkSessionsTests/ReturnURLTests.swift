// The redirect URL with a result in its query, and in the one spelling that is registered.

import LinkSessions
import Testing

@Suite struct ReturnURLTests {
    @Test(
        arguments: [
            ("https://your-app.com/callback", "https://your-app.com/callback?data=D&signature=H..S"),
            ("https://your-app.com", "https://your-app.com?data=D&signature=H..S"),
            ("https://your-app.com/", "https://your-app.com/?data=D&signature=H..S"),
            ("HTTPS://Your-App.com:443/A", "HTTPS://Your-App.com:443/A?data=D&signature=H..S"),
            ("http://localhost:51004/x", "http://localhost:51004/x?data=D&signature=H..S"),
            ("com.acme.app:/linked", "com.acme.app:/linked?data=D&signature=H..S"),
            ("com.acme.app://linked", "com.acme.app://linked?data=D&signature=H..S"),
        ])
    func `a URL without a query gets one`(text: String, expected: String) throws {
        #expect(try RedirectURL(text).with(data: "D", signature: "H..S") == expected)
    }

    @Test(
        arguments: [
            "https://your-app.com/callback?state=1", "https://your-app.com/callback?a=b&c=%26%3D",
            "https://your-app.com/callback?x=/y?z", "https://your-app.com/callback?'quoted'&a=1&a=2",
            "com.acme.app:/linked?x=1",
        ])
    func `a URL with a query keeps it as it was sent`(text: String) throws {
        #expect(
            try RedirectURL(text).with(data: "D", signature: "H..S") == "\(text)&data=D&signature=H..S")
    }

    @Test func `data and signature are the last of the query's parameters, and the only ones of their names`() throws {
        for text in ["https://a.example/", "https://a.example/?x=1", "https://a.example/?", "https://a.example?x&y"] {
            let url = try RedirectURL(text).with(data: "D", signature: "H..S")
            let query = url.drop { $0 != "?" }.dropFirst()
            let parameters = query.split(separator: "&")
            #expect(parameters.suffix(2) == ["data=D", "signature=H..S"], "\(text)")
            #expect(parameters.count { $0.hasPrefix("data=") || $0.hasPrefix("signature=") } == 2, "\(text)")
        }
    }

    @Test func `making a return URL changes neither the URL nor its canonical form`() throws {
        let url = try RedirectURL("HTTPS://Your-App.com:443/Callback?x=1")
        let before = (url.text, url.registrationKey, try url.canonical.text)
        _ = url.with(data: "D", signature: "H..S")
        #expect((url.text, url.registrationKey, try url.canonical.text) == before)
        #expect(url.text == "HTTPS://Your-App.com:443/Callback?x=1")
    }

    @Test(
        arguments: [
            ("HTTPS://Your-App.com:443/Callback?x=1", "https://your-app.com/Callback"),
            ("https://your-app.com", "https://your-app.com"),
            ("https://your-app.com:8443/", "https://your-app.com:8443/"),
            ("https://your-app.com/x:443", "https://your-app.com/x:443"),
            ("http://LOCALHOST:51004/x?y", "http://localhost/x"), ("https://localhost:443/", "https://localhost/"),
            ("https://[2001:DB8::1]:443/", "https://[2001:db8::1]/"),
            ("Com.Acme.App:/Linked?x", "com.acme.app:/Linked"),
            ("com.acme.app://HOST:1/a", "com.acme.app://host:1/a"),
        ])
    func `the canonical form has no case in scheme and host, no needless port and no query`(
        text: String, expected: String
    ) throws {
        let canonical = try RedirectURL(text).canonical
        #expect(canonical.text == expected)
        #expect(try canonical.canonical.text == expected)
        #expect(try canonical.registrationKey == RedirectURL(text).registrationKey)
    }
}
