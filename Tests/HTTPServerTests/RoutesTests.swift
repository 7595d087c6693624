// Which resource a request's target names.

import Testing

@testable import HTTPServer

@Suite struct RoutesTests {
    private let routes: Routes

    init() {
        let nothing: Handler = { _ in Response(json: []) }
        var routes = Routes()
        for path in ["/items", "/items/{id}", "/items/{id}/expire", "/other/{id}", "/other/fixed"] {
            routes.add(path, .get(nothing))
        }
        self.routes = routes
    }

    @Test(arguments: [
        ("/items", "/items", ""), ("/items?id=1", "/items", ""), ("/items/1", "/items/{id}", "1"),
        ("/items/a.b~c%2F?x/y", "/items/{id}", "a.b~c%2F"),
        ("/items/1/expire", "/items/{id}/expire", "1"), ("/items/expire/expire", "/items/{id}/expire", "expire"),
        ("/items/é\u{301}", "/items/{id}", "é\u{301}"), ("http://host:80/items/1?x", "/items/{id}", "1"),
        ("/items/{id}", "/items/{id}", "{id}"), ("/items/{id}/expire", "/items/{id}/expire", "{id}"),
        ("HTTPS://host/items", "/items", ""), ("/other/fixed", "/other/fixed", ""),
    ])
    func `a target names the resource whose path it has`(target: String, path: String, parameter: String) {
        let match = routes.match(target)
        #expect(match?.resource.path == path)
        #expect(match.map { String($0.parameter) } == parameter)
    }

    @Test(arguments: [
        "", "/", "/item", "/itemsx", "/items/1/2", "/items/1/expired", "/items/1/expire/2", "/items/1/x/expire",
        "/Items", "/other", "/other/", "*", "http://host", "host:443", "/?/items", "/items%2F1", "/\u{301}items",
        "/items/", "//items", "//items/1", "/items//expire", "/items//expire/", "/items/1/", "/items/1/expire/",
        "//items//1///expire/", "items",
        "x://host/items", "ftp://host/items", "://host/items", "http:/items", "httpx://host/items",
        "/http://host/items",
    ])
    func `whatever else is no resource`(target: String) {
        #expect(routes.match(target) == nil)
    }
}
