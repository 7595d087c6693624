// What the handlers of all resources share.

internal import HTTPTypes
internal import Hummingbird
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOCore
internal import TokenGenerator

typealias Handler = @Sendable (Request, ServiceRequestContext) async throws -> Response

/// The paths and their methods: for the router, and for the `405` of every other method.
struct Routes {
    private var resources: [(path: String, template: [Substring], handlers: [HTTPRequest.Method: Handler])] = []

    mutating func add(_ path: String, _ handlers: [HTTPRequest.Method: Handler]) {
        resources.append((path, path.split(separator: "/"), handlers))
    }

    func register(on router: Router<ServiceRequestContext>) {
        for resource in resources {
            for (method, handler) in resource.handlers {
                router.on(RouterPath(resource.path), method: method, use: handler)
            }
        }
    }

    /// What `Allow` lists (RFC 9110, section 10.2.1) and the path's template; `nil` where there is nothing at the path.
    func allowed(at path: String) -> (allow: String, template: String)? {
        let components = path.split(separator: "/")
        let match = resources.first { resource in
            resource.template.count == components.count
                && zip(resource.template, components).allSatisfy {
                    $0.hasPrefix("{") || $0.utf8.elementsEqual($1.utf8)
                }
        }
        return match.map { resource in
            let methods = resource.handlers.keys.map(\.rawValue) + (resource.handlers[.get] == nil ? [] : ["HEAD"])
            return (methods.sorted().joined(separator: ", "), resource.path)
        }
    }
}

extension Request {
    static let maximumBodySize = 16 * 1024

    /// The body as a JSON object, at most 16 KiB.
    func jsonBody() async throws(APIError) -> JSONObject {
        // Parameters such as charset are allowed (RFC 9110, section 8.3.1).
        let mediaType = headers[.contentType]?.prefix { $0 != ";" }.lowercased() ?? ""
        guard mediaType.trimmingBlanks() == "application/json" else { throw .unsupportedMediaType }
        if let length = headers[.contentLength].flatMap({ Int($0) }), length > Self.maximumBodySize {
            throw .bodyTooLarge
        }
        let body: ByteBuffer
        do {
            body = try await self.body.collect(upTo: Self.maximumBodySize)
        } catch is NIOTooManyBytesError {
            throw .bodyTooLarge
        } catch {
            throw .invalidJSON("the body did not arrive whole")
        }
        do throws(JSONObject.Malformed) {
            return try JSONObject(Array(body.readableBytesView))
        } catch {
            throw .invalidJSON(error.message)
        }
    }
}

extension String {
    fileprivate func trimmingBlanks() -> Substring {
        var text = self[...]
        while text.utf8.first == 0x20 || text.utf8.first == 0x09 { text = text.dropFirst() }
        while text.utf8.last == 0x20 || text.utf8.last == 0x09 { text = text.dropLast() }
        return text
    }
}

extension ServiceRequestContext {
    /// The token in the path and its digest; a malformed one is as unknown as any other.
    func linkToken() throws(APIError) -> (LinkToken, SHA256Digest) {
        guard let token = parameters.get("link_token").flatMap({ LinkToken($0) }) else { throw .linkSessionNotFound }
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
