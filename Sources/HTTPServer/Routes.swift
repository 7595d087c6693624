internal import NIOHTTP1

package typealias Handler = @Sendable (Request) async -> Response

/// The paths, their methods, and the handlers that answer them.
package struct Routes: Sendable {
    package struct Endpoint: Sendable {
        fileprivate let method: HTTPMethod
        /// RFC 9110, section 9.3.2.
        fileprivate let answersHead: Bool
        fileprivate let handler: Handler

        /// - Parameter answersHead: false where the answer to GET does something, so that HEAD cannot.
        package static func get(answersHead: Bool = true, _ handler: @escaping Handler) -> Endpoint {
            Endpoint(method: .GET, answersHead: answersHead, handler: handler)
        }

        package static func post(_ handler: @escaping Handler) -> Endpoint {
            Endpoint(method: .POST, answersHead: false, handler: handler)
        }
    }

    /// Who may be held back for asking too much.
    package enum Access: Sendable {
        /// Nobody.
        case free
        /// A client's address, until a key is found to be usable: by then the limit is the caller's own.
        case keyed
        /// A client's address.
        case anonymous
    }

    struct Resource: Sendable {
        let path: String
        /// Among the resources, in the order in which they were added.
        let index: Int
        let access: Access
        /// Without names in braces.
        fileprivate let isFixed: Bool
        fileprivate let template: [ArraySlice<UInt8>]
        fileprivate let endpoints: [Endpoint]

        func handler(of method: HTTPMethod) -> Handler? {
            endpoints.first { $0.method == method || ($0.answersHead && method == .HEAD) }?.handler
        }

        /// What `Allow` lists (RFC 9110, section 10.2.1).
        var allow: String {
            let methods = endpoints.flatMap { $0.answersHead ? ["GET", "HEAD"] : [$0.method.rawValue] }
            return methods.sorted().joined(separator: ", ")
        }
    }

    private(set) var resources: [Resource] = []

    package init() {}

    /// For everybody: a client's address is held back for asking too much.
    package mutating func add(_ path: String, _ endpoints: Endpoint...) {
        add(path, .anonymous, endpoints)
    }

    package mutating func add(_ path: String, _ access: Access, _ endpoints: Endpoint...) {
        add(path, access, endpoints)
    }

    private mutating func add(_ path: String, _ access: Access, _ endpoints: [Endpoint]) {
        let template = Self.segments(Array(path.utf8)[...])
        let isFixed = template.allSatisfy { $0.first != UInt8(ascii: "{") }
        resources.append(
            Resource(
                path: path, index: resources.count, access: access, isFixed: isFixed, template: template,
                endpoints: endpoints))
    }

    /// The resource that a request's target (RFC 9112, section 3.2) names, and what stands in the place of a name in
    /// braces.
    func match(_ target: String) -> (resource: Resource, parameter: String)? {
        let length = target.utf8.count
        if let fixed = resources.first(where: { $0.path.utf8.count == length && $0.isFixed && $0.path == target }) {
            return (fixed, "")
        }
        let segments = Self.segments(Self.path(of: Array(target.utf8)))
        for resource in resources where resource.template.count == segments.count {
            var parameter: ArraySlice<UInt8> = []
            let matches = zip(resource.template, segments).allSatisfy { expected, segment in
                guard expected.first == UInt8(ascii: "{") else { return expected == segment }
                parameter = segment
                return !segment.isEmpty
            }
            if matches { return (resource, String(decoding: parameter, as: UTF8.self)) }
        }
        return nil
    }

    static func query(of target: String) -> Substring {
        guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return "" }
        return target[target.utf8.index(after: mark)...]
    }

    /// Whether a target's path is in the API, where every answer is JSON.
    static func isInAPI(_ target: String) -> Bool {
        let segments = segments(path(of: Array(target.utf8)))
        return segments.count > 1 && segments[1].elementsEqual("v2".utf8)
    }

    /// An empty segment is a segment: no two paths name one resource.
    private static func segments(_ path: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    }

    /// The path of a target in origin form, or in absolute form with `http` or `https`.
    private static func path(of target: [UInt8]) -> ArraySlice<UInt8> {
        let path = target.prefix { $0 != UInt8(ascii: "?") }
        guard path.first != UInt8(ascii: "/"), let authority = path.firstRange(of: Array("://".utf8))?.upperBound,
            ["http", "https"].contains(String(decoding: path[..<(authority - 3)], as: UTF8.self).lowercased())
        else { return path }
        return path[authority...].drop { $0 != UInt8(ascii: "/") }
    }
}
