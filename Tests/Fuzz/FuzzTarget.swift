// A request's target and id: which resource it names, what its query is, whether the id is taken.

import NIOHTTP1

@testable import HTTPServer

private let routes: Routes = {
    var routes = Routes()
    for path in ["/items", "/items/{id}", "/items/{id}/expire", "/other/fixed"] {
        routes.add(path, .get { _ in Response(json: []) })
    }
    return routes
}()

func fuzzTarget(_ input: [UInt8]) {
    let target = String(decoding: input, as: UTF8.self)
    let query = Routes.query(of: target)
    expect(
        target.utf8.count >= query.utf8.count
            && (query.isEmpty || Array(target.utf8.suffix(query.utf8.count)) == Array(query.utf8)))
    if let (resource, parameter) = routes.match(target) {
        expect(resource.path.contains("{") != parameter.isEmpty, "a name in the path stands for something")
        expect(!parameter.utf8.contains(UInt8(ascii: "/")) && !parameter.utf8.contains(UInt8(ascii: "?")))
        let path = resource.path.replacing("{id}", with: parameter)
        expect(Array(target.utf8).contains(Array(path.utf8)), "what matched stands in the target as it is")
    }
    if let id = RequestID.accepted(from: ["x-request-id": target], isSecret: { $0.contains("secret") }) {
        expect(id == target && (1...128).contains(id.utf8.count) && !id.contains("secret"))
        expect(id.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F })
    }
}
