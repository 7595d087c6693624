internal import APIKeyAuth
internal import HTTPServer
internal import JSON
internal import LinkSessions

/// The suppliers that a manufacturer's users can choose.
struct ManufacturerSuppliers {
    let apiKeys: APIKeyAuthenticator
    /// Those that can be chosen on our pages.
    let suppliers: @Sendable () throws -> [Supplier]

    func add(to routes: inout Routes) {
        routes.add("/v2/manufacturer/suppliers", .keyed, .get(answeringErrors(list)))
    }

    @Sendable private func list(_ request: Request) async throws -> Response {
        _ = try await apiKeys.manufacturer(of: request)
        let suppliers = try suppliers()
        return Response(
            json: JSONWriter.object { object in
                object.add(
                    "data",
                    array: suppliers.map { supplier in
                        { object in
                            object.add("slug", supplier.slug.text)
                            object.add("name", supplier.name)
                            object.add("available", supplier.isAvailable)
                        }
                    })
            })
    }
}
