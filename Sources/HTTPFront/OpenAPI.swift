// GET /openapi.json: the API's description, compiled into the program.

internal import HTTPTypes
internal import Hummingbird
internal import NIOCore

struct OpenAPI {
    private let document = ByteBuffer(bytes: PackageResources.openapi_json)

    func add(to routes: inout Routes) {
        routes.add("/openapi.json", [.get: get])
    }

    @Sendable private func get(_: Request, _: ServiceRequestContext) async throws -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/json", .cacheControl: "public, max-age=300"],
            body: ResponseBody(byteBuffer: document))
    }
}
