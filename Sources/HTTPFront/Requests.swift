// What the handlers of all resources share.

internal import LinkSessionRepository
internal import LinkSessions
internal import NIOCore
package import NIOHTTP1
internal import Synchronization
internal import TokenGenerator

package typealias Handler = @Sendable (Request) async throws(APIError) -> Response

/// A request as its handler sees it: begun with its head, while the body may still be on its way.
package struct Request: Sendable {
    package let id: String
    let method: HTTPMethod
    package let headers: HTTPHeaders
    /// What follows the `?` of the request's target.
    package let query: Substring
    let body: RequestBody
    /// What stands in the path where its template has a name in braces.
    package let parameter: String
    package let record = RequestRecord()
}

/// What a handler finds out and the log wants to know.
package final class RequestRecord: Sendable {
    private let findings = Mutex<(manufacturer: Manufacturer.ID?, cause: String?)>((nil, nil))

    var manufacturerID: Manufacturer.ID? {
        get { findings.withLock { $0.manufacturer } }
        set { findings.withLock { $0.manufacturer = newValue } }
    }

    /// Why a page is not the one that was asked for. Holds no secret and no personal data.
    package var cause: String? {
        get { findings.withLock { $0.cause } }
        set { findings.withLock { $0.cause = newValue } }
    }
}

/// The paths and their methods.
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

    struct Resource: Sendable {
        let path: String
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

    private var resources: [Resource] = []

    package mutating func add(_ path: String, _ endpoints: Endpoint...) {
        resources.append(Resource(path: path, template: Self.components(Array(path.utf8)[...]), endpoints: endpoints))
    }

    /// The resource that a request's target (RFC 9112, section 3.2) names, and what stands in the place of a name in
    /// braces.
    func match(_ target: String) -> (resource: Resource, parameter: String)? {
        let length = target.utf8.count
        if let fixed = resources.first(where: { $0.path.utf8.count == length && $0.path == target }) {
            return (fixed, "")
        }
        let components = Self.components(Self.path(of: Array(target.utf8)))
        for resource in resources where resource.template.count == components.count {
            var parameter: ArraySlice<UInt8> = []
            let matches = zip(resource.template, components).allSatisfy { expected, component in
                guard expected.first == UInt8(ascii: "{") else { return expected == component }
                parameter = component
                return true
            }
            if matches { return (resource, String(decoding: parameter, as: UTF8.self)) }
        }
        return nil
    }

    static func query(of target: String) -> Substring {
        guard let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return "" }
        return target[target.utf8.index(after: mark)...]
    }

    private static func components(_ path: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        path.split(separator: UInt8(ascii: "/"))
    }

    private static func path(of target: [UInt8]) -> ArraySlice<UInt8> {
        let path = target.prefix { $0 != UInt8(ascii: "?") }
        guard path.first != UInt8(ascii: "/"), let authority = path.firstRange(of: Array("://".utf8))?.upperBound
        else { return path }
        return path[authority...].drop { $0 != UInt8(ascii: "/") }
    }
}

extension Request {
    /// Whether a body comes with the request (RFC 9112, section 6).
    var hasBody: Bool {
        headers.contains(name: "transfer-encoding") || (headers.first(name: "content-length") ?? "0") != "0"
    }

    private static let plainJSON = ["application/json"]

    /// The body as a JSON object, at most 16 KiB.
    func jsonBody() async throws(APIError) -> JSONObject {
        let types = headers["content-type"]
        guard types == Self.plainJSON || types.joined(separator: ", ").isMediaType("application/json") else {
            throw .unsupportedMediaType(expected: "application/json")
        }
        let bytes = try await wholeBody()
        do throws(JSONObject.Malformed) {
            return try JSONObject(bytes)
        } catch {
            throw .invalidJSON(error.message)
        }
    }

    /// The body of a form as it was sent (`application/x-www-form-urlencoded`), at most 16 KiB.
    package func formBody() async throws(APIError) -> String {
        let mediaType = "application/x-www-form-urlencoded"
        guard headers["content-type"].joined(separator: ", ").isMediaType(mediaType) else {
            throw .unsupportedMediaType(expected: mediaType)
        }
        return String(decoding: try await wholeBody(), as: UTF8.self)
    }

    private func wholeBody() async throws(APIError) -> [UInt8] {
        if let length = headers.first(name: "content-length").flatMap({ Int($0) }), length > RequestBody.maximumSize {
            throw .bodyTooLarge
        }
        let bytes: ByteBuffer
        do throws(RequestBody.Failure) {
            bytes = try await body.collect()
        } catch {
            switch error {
            case .tooLarge: throw .bodyTooLarge
            case .brokenOff: throw .invalidJSON("the body did not arrive whole")
            }
        }
        return Array(bytes.readableBytesView)
    }
}

extension String {
    /// Whether it is the media type, with any parameters, such as charset (RFC 9110, section 8.3.1).
    fileprivate func isMediaType(_ mediaType: String) -> Bool {
        prefix { $0 != ";" }.lowercased().trimmingBlanks() == mediaType
    }

    fileprivate func trimmingBlanks() -> Substring {
        var text = self[...]
        while text.utf8.first == 0x20 || text.utf8.first == 0x09 { text = text.dropFirst() }
        while text.utf8.last == 0x20 || text.utf8.last == 0x09 { text = text.dropLast() }
        return text
    }
}

extension Request {
    /// The token in the path and its digest; a malformed one is as unknown as any other.
    func linkToken() throws(APIError) -> (LinkToken, SHA256Digest) {
        guard let token = LinkToken(parameter) else { throw .linkSessionNotFound }
        guard let digest = try? SHA256.digest(of: token.characters) else {
            throw .bug(cause: "no digest could be made")
        }
        return (token, digest)
    }
}

extension ContinuousClock.Instant {
    /// Until when a request whose head and body are here may take: waiting in line, query and re-send together.
    package static var requestDeadline: Self { .now + .milliseconds(1500) }
}

/// The border between the repository's errors and ours.
func translatingErrors<Value>(
    _ body: () async throws(RepositoryError) -> Value
) async throws(APIError) -> Value {
    do throws(RepositoryError) {
        return try await body()
    } catch {
        throw APIError(error)
    }
}
