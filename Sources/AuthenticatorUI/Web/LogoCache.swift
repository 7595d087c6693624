internal import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
internal import Synchronization

/// The logos that pages show, as they were read from the database: each once, 256 at most (8 MiB).
final class LogoCache: Sendable {
    private struct Kept {
        let type: Logo.MediaType
        /// Many answers share it.
        let body: SharedBody
    }

    private static let limit = 256

    private let repository: LogoRepository
    private let controlPlane: ControlPlaneCache
    private let kept = Mutex<[SHA256Digest: Kept]>([:])

    init(repository: LogoRepository, controlPlane: ControlPlaneCache) {
        self.repository = repository
        self.controlPlane = controlPlane
    }

    /// The answer with a logo that some supplier or manufacturer has; `nil` for any other digest, at no query's cost.
    func response(_ digest: SHA256Digest, until deadline: ContinuousClock.Instant) async throws -> Response? {
        guard try controlPlane.current().controlPlane.hasLogo(digest) else { return nil }
        if let kept = kept.withLock({ $0[digest] }) { return Self.response(kept) }
        guard let logo = try await repository.find(digest, until: deadline) else { return nil }
        let new = Kept(type: logo.mediaType, body: SharedBody(logo.bytes))
        kept.withLock { kept in
            if kept.count >= Self.limit, let any = kept.keys.first { kept[any] = nil }
            kept[digest] = new
        }
        return Self.response(new)
    }

    /// For whoever opens it as a page of its own: nothing runs in it, and nothing is loaded. Its address is its digest, so
    /// it never changes.
    private static func response(_ logo: Kept) -> Response {
        Response(
            headers: [
                "content-type": logo.type.rawValue, "cache-control": "public, max-age=31536000, immutable",
                "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
                "cross-origin-resource-policy": "same-origin",
            ], body: logo.body)
    }
}

extension AuthenticatorUI {
    /// The image of a digest.
    @Sendable func showLogo(_ request: PageRequest) async throws -> Response {
        guard let digest = Hexadecimal.decode(request.http.parameter).flatMap(SHA256Digest.init(bytes:)),
            digest.hex == request.http.parameter,
            let response = try await logos.response(digest, until: request.http.deadline)
        else { return Response(ErrorAnswer.notFound, requestID: request.http.id) }
        return response
    }
}
