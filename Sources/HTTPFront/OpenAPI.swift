// GET /openapi.json: the API's description, compiled into the program.

internal import HTTPServer
internal import NIOHTTP1

struct OpenAPI {
    private let document = SharedBody(PackageResources.openapi_json)

    func add(to routes: inout Routes) {
        routes.add("/openapi.json", .get(get))
    }

    @Sendable private func get(_: Request) async -> Response {
        Response(
            headers: ["content-type": "application/json", "cache-control": "public, max-age=300"],
            body: document)
    }
}
