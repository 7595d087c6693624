// What the handlers of all resources share.

internal import LinkSessionRepository
internal import LinkSessions
internal import NIOCore
internal import NIOHTTP1
internal import Synchronization
internal import TokenGenerator

typealias Handler = @Sendable (Request) async throws(APIError) -> Response

/// A request as its handler sees it: begun with its head, while the body may still be on its way.
struct Request: Sendable {
    let id: String
    let headers: HTTPHeaders
    let body: RequestBody
    /// What stands in the path where its template has a name in braces.
    let parameter: Substring
    let record = RequestRecord()
}

/// What a handler finds out and the log wants to know.
final class RequestRecord: Sendable {
    private let manufacturer = Mutex<Manufacturer.ID?>(nil)

    var manufacturerID: Manufacturer.ID? {
        get { manufacturer.withLock { $0 } }
        set { manufacturer.withLock { $0 = newValue } }
    }
}

/// The paths and their methods.
struct Routes: Sendable {
    struct Endpoint: Sendable {
        fileprivate let method: HTTPMethod
        fileprivate let handler: Handler

        static func get(_ handler: @escaping Handler) -> Endpoint { Endpoint(method: .GET, handler: handler) }
        static func post(_ handler: @escaping Handler) -> Endpoint { Endpoint(method: .POST, handler: handler) }
    }

    struct Resource: Sendable {
        let path: String
        fileprivate let template: [Substring.UTF8View]
        fileprivate let endpoints: [Endpoint]

        /// HEAD is answered wherever GET is (RFC 9110, section 9.3.2).
        func handler(of method: HTTPMethod) -> Handler? {
            endpoints.first { $0.method == method || ($0.method == .GET && method == .HEAD) }?.handler
        }

        /// What `Allow` lists (RFC 9110, section 10.2.1).
        var allow: String {
            let methods = endpoints.flatMap { $0.method == .GET ? ["GET", "HEAD"] : [$0.method.rawValue] }
            return methods.sorted().joined(separator: ", ")
        }
    }

    private var resources: [Resource] = []

    mutating func add(_ path: String, _ endpoints: Endpoint...) {
        resources.append(Resource(path: path, template: Self.components(path[...]), endpoints: endpoints))
    }

    /// The resource that a request's target (RFC 9112, section 3.2) names, and what stands in the place of a name in
    /// braces.
    func match(_ target: String) -> (resource: Resource, parameter: Substring)? {
        if let resource = resources.first(where: { $0.path == target }) { return (resource, "") }
        let components = Self.components(Self.path(of: target))
        for resource in resources where resource.template.count == components.count {
            var parameter: Substring = ""
            let matches = zip(resource.template, components).allSatisfy { expected, component in
                guard expected.first == UInt8(ascii: "{") else { return expected.elementsEqual(component) }
                parameter = Substring(component)
                return true
            }
            if matches { return (resource, parameter) }
        }
        return nil
    }

    private static func components(_ path: Substring) -> [Substring.UTF8View] {
        path.utf8.split(separator: UInt8(ascii: "/"))
    }

    private static func path(of target: String) -> Substring {
        let path = target.utf8.prefix { $0 != UInt8(ascii: "?") }
        guard path.first != UInt8(ascii: "/"), let authority = Substring(path).firstRange(of: "://")?.upperBound else {
            return Substring(path)
        }
        return Substring(path[authority...].drop { $0 != UInt8(ascii: "/") })
    }
}

extension Request {
    private static let plainJSON = ["application/json"]

    /// The body as a JSON object, at most 16 KiB.
    func jsonBody() async throws(APIError) -> JSONObject {
        let types = headers["content-type"]
        guard types == Self.plainJSON || types.joined(separator: ", ").isJSON else { throw .unsupportedMediaType }
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
        do throws(JSONObject.Malformed) {
            return try JSONObject(Array(bytes.readableBytesView))
        } catch {
            throw .invalidJSON(error.message)
        }
    }
}

extension String {
    /// Whether it is the media type of JSON, with any parameters, such as charset (RFC 9110, section 8.3.1).
    fileprivate var isJSON: Bool {
        let mediaType = prefix { $0 != ";" }.lowercased()
        return mediaType.trimmingBlanks() == "application/json"
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
    static var requestDeadline: Self { .now + .milliseconds(1500) }
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
