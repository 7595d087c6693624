internal import JSON
package import NIOHTTP1
internal import RateLimits

/// Status, stable code and sentence of an answer that is no success. The codes are part of the API; the sentences may be improved.
package struct ErrorAnswer: Sendable, Equatable {
    /// Where docs/errors.md is published, which has an anchor for every code.
    private static let documentation = "https://docs.nox.energy/errors"

    package let status: HTTPResponseStatus
    package let code: String
    package let message: String
    /// For the log alone.
    package let cause: String?
    /// Further fields that the status asks for.
    package let headers: HTTPHeaders

    package init(
        _ status: HTTPResponseStatus, _ code: String, _ message: String, cause: String? = nil,
        headers: HTTPHeaders = [:]
    ) {
        self.status = status
        self.code = code
        self.message = message
        self.cause = cause
        self.headers = headers
    }

    var documentationURL: String { "\(Self.documentation)#\(code)" }

    package static let notFound = ErrorAnswer(.notFound, "not_found", "there is nothing at this path")
    package static let bodyTooLarge = ErrorAnswer(
        .payloadTooLarge, "body_too_large", "the body must be at most 16 KiB")
    package static let overloaded = ErrorAnswer(
        .serviceUnavailable, "overloaded", "the service is overloaded, try again", headers: retryAfter)

    /// RFC 6585, section 4.
    package static func rateLimited(retryAfter: Duration) -> ErrorAnswer {
        ErrorAnswer(
            .tooManyRequests, "rate_limited",
            "too many requests; try again after the seconds in the Retry-After header",
            headers: ["retry-after": String(retryAfter.roundedUpToSeconds)])
    }

    package static func unavailable(cause: String) -> ErrorAnswer {
        ErrorAnswer(
            .serviceUnavailable, "unavailable", "the service is temporarily unavailable, try again", cause: cause,
            headers: retryAfter)
    }

    package static func internalError(cause: String) -> ErrorAnswer {
        ErrorAnswer(.internalServerError, "internal_error", "internal error", cause: cause)
    }

    package static func unsupportedMediaType(expected: String) -> ErrorAnswer {
        ErrorAnswer(.unsupportedMediaType, "unsupported_media_type", "the Content-Type must be \(expected)")
    }

    /// RFC 9110, sections 15.5.6 and 10.2.1.
    static func methodNotAllowed(allow: String) -> ErrorAnswer {
        ErrorAnswer(
            .methodNotAllowed, "method_not_allowed", "this path does not support this method; see the Allow header",
            headers: ["allow": allow])
    }

    private static let retryAfter: HTTPHeaders = ["retry-after": "1"]
}

extension Response {
    package init(_ error: ErrorAnswer, requestID: String) {
        self.init(
            json: JSONWriter.object { object in
                object.add("error", error.message)
                object.add("code", error.code)
                object.add("request_id", requestID)
                object.add("docs_url", error.documentationURL)
            }, status: error.status)
        headers.add(contentsOf: error.headers)
        self.requestID = requestID
        self.error = error
    }

    init(_ error: ErrorAnswer, _ request: Request) { self.init(error, requestID: request.id) }
}

/// Why a connection is refused: its last answer.
enum Refusal: CaseIterable {
    case overloaded
    case requestTimeout
    case headersTooLarge
    case malformedHTTP

    var answer: ErrorAnswer {
        switch self {
        case .overloaded: .overloaded
        case .requestTimeout:
            ErrorAnswer(.requestTimeout, "request_timeout", "the request did not arrive within 10 seconds")
        case .headersTooLarge:
            ErrorAnswer(
                .requestHeaderFieldsTooLarge, "headers_too_large", "the request's headers are too large")
        case .malformedHTTP:
            ErrorAnswer(.badRequest, "bad_request", "the request is not well-formed HTTP/1.1")
        }
    }
}
