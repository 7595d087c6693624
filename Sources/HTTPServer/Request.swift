internal import Foundation
internal import NIOCore
package import NIOHTTP1
package import RateLimits
internal import Synchronization

/// A request as its handler sees it. Begun with its head, while the body may still be on its way.
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
    /// Its connection's; `nil` where it has none, as in a test.
    var place: ConnectionPlaces.Place?

    /// Whether its client named a media type, and does not prefer the other one.
    package func prefers(_ type: String, to other: String) -> Bool { AcceptHeader.prefers(type, to: other, headers) }

    /// Waits before a refusal is answered, so that whoever goes on asking waits for it.
    package func holdBack(for delay: RefusalDelay) async { await place?.holdBack(for: delay) }

    /// - Parameter action: called once, on any thread, when the client ends its side of the connection.
    package func onDisconnect(_ action: (@Sendable () -> Void)?) { place?.onDisconnect(action) }
}

/// What a handler finds out and the log wants to know.
package final class RequestRecord: Sendable {
    private struct Findings {
        var caller: Int64?
        var authenticator: String?
        var session: String?
        var cause: String?
        var rateLimit: RateLimitStatus?
    }

    private let findings = Mutex(Findings())

    /// The manufacturer that was recognized by its key.
    package var caller: Int64? {
        get { findings.withLock { $0.caller } }
        set { findings.withLock { $0.caller = newValue } }
    }

    /// The name of the Authenticator's key that was recognized.
    package var authenticator: String? {
        get { findings.withLock { $0.authenticator } }
        set { findings.withLock { $0.authenticator = newValue } }
    }

    /// The id of the session that the request names, whether there is one or not.
    package var session: String? {
        get { findings.withLock { $0.session } }
        set { findings.withLock { $0.session = newValue } }
    }

    /// What is left of the caller's rate limit, for every answer's header fields.
    package var rateLimit: RateLimitStatus? {
        get { findings.withLock { $0.rateLimit } }
        set { findings.withLock { $0.rateLimit = newValue } }
    }

    /// Why the answer is no success, where it does not tell. Holds no secret and no personal data.
    package var cause: String? {
        get { findings.withLock { $0.cause } }
        set { findings.withLock { $0.cause = newValue } }
    }
}

/// Why a request's body cannot be had.
package enum RequestBodyError: Error, Equatable {
    case unsupportedMediaType(expected: String)
    case tooLarge
    /// The connection ended or broke before the body did.
    case brokenOff
}

extension Request {
    /// Whether a body comes with the request (RFC 9112, section 6).
    package var hasBody: Bool { headers.announceBody }

    /// The whole body, at most 16 KiB, where it is of the media type, with any parameters (RFC 9110, section 8.3.1).
    package func body(ofType mediaType: String) async throws(RequestBodyError) -> [UInt8] {
        let types = headers["content-type"]
        guard types.count == 1 && types[0] == mediaType || types.joined(separator: ", ").isMediaType(mediaType) else {
            throw .unsupportedMediaType(expected: mediaType)
        }
        if let length = headers.first(name: "content-length"), (Int(length) ?? .max) > RequestBody.maximumSize {
            throw .tooLarge
        }
        return Array(try await body.collect().readableBytesView)
    }

    /// Until when this request may take, from the moment when its body was had: one for all that it does.
    package var deadline: ContinuousClock.Instant { body.deadline }

    /// A look at the database after a wait has all of a request's time.
    package func restartDeadline() { body.restartDeadline() }

    /// Runs what is not ours to hurry, such as a request to a supplier: its time does not count.
    package func pausingDeadline<Value, Failure: Error>(
        _ body: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        _ = deadline
        let start = ContinuousClock.now
        defer { self.body.postponeDeadline(by: ContinuousClock.now - start) }
        return try await body()
    }
}

extension String {
    fileprivate func isMediaType(_ mediaType: String) -> Bool {
        prefix { $0 != ";" }.lowercased().trimmingCharacters(in: [" ", "\t"]) == mediaType
    }
}
