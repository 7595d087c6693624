// GET /.well-known/jwks.json: the keys that return links are verified with (RFC 7517, section 5).

internal import HTTPServer
internal import NIOHTTP1
internal import ReturnLinks

struct JSONWebKeySet {
    let returnLinks: ReturnLinks

    func add(to routes: inout Routes) {
        let body = returnLinks.keySet
        routes.add(
            "/.well-known/jwks.json",
            .get { _ in
                // A new key is published before it signs, for longer than this.
                Response(
                    status: .ok, headers: ["content-type": "application/json", "cache-control": "public, max-age=300"],
                    body: body)
            })
    }
}
