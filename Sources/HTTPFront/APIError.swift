// Every answer that is no success, in one place.

package import LinkSessionRepository
package import LinkSessions
internal import NIOHTTP1

/// Why a request gets no success.
package enum APIError: Error {
    case unauthorized
    case notFound
    case linkSessionNotFound
    case methodNotAllowed(allow: String)
    case bodyTooLarge
    case unsupportedMediaType(expected: String)
    case invalidJSON(String)
    case refused(Refusal)
    case linkSessionCompleted
    case linkSessionExpired
    case completedByAnother
    case linkSessionBlocked
    case linkSessionNotCompleted
    case confirmationRefused
    case codeExpired
    case unavailable(cause: String)
    case overloaded
    case bug(cause: String)

    package init(_ error: RepositoryError) {
        switch error {
        case .unavailable(let cause): self = .unavailable(cause: cause)
        case .overloaded: self = .overloaded
        case .bug(let cause): self = .bug(cause: cause)
        }
    }

    /// What the caller is told.
    var answer: ErrorAnswer {
        switch self {
        case .unauthorized: .unauthorized
        case .notFound: .notFound
        case .linkSessionNotFound: .linkSessionNotFound
        case .methodNotAllowed: .methodNotAllowed
        case .bodyTooLarge: .bodyTooLarge
        case .unsupportedMediaType(let expected):
            ErrorAnswer(.unsupportedMediaType, "unsupported_media_type", "the Content-Type must be \(expected)")
        case .invalidJSON(let message): ErrorAnswer(.badRequest, "invalid_json", message)
        case .refused(let refusal): ErrorAnswer(.badRequest, Self.code(of: refusal.rule), refusal.message)
        case .linkSessionCompleted: .linkSessionCompleted
        case .linkSessionExpired: .linkSessionExpired
        case .completedByAnother: .completedByAnother
        case .linkSessionBlocked: .linkSessionBlocked
        case .linkSessionNotCompleted: .linkSessionNotCompleted
        case .confirmationRefused: .confirmationRefused
        case .codeExpired: .codeExpired
        case .unavailable: .unavailable
        case .overloaded: .overloaded
        case .bug: .internalError
        }
    }

    /// For the log alone.
    var cause: String? {
        switch self {
        case .unavailable(let cause), .bug(let cause): cause
        case .unauthorized, .notFound, .linkSessionNotFound, .methodNotAllowed, .bodyTooLarge, .unsupportedMediaType,
            .invalidJSON, .refused, .linkSessionCompleted, .linkSessionExpired, .completedByAnother,
            .linkSessionBlocked, .linkSessionNotCompleted, .confirmationRefused, .codeExpired, .overloaded:
            nil
        }
    }

    private static func code(of rule: Refusal.Rule) -> String {
        switch rule {
        case .userID: "invalid_user_id"
        case .redirectURL: "invalid_redirect_url"
        case .redirectPolicy: "redirect_url_not_allowed"
        case .language: "invalid_language"
        case .supplier: "invalid_supplier"
        case .supplierUserID: "invalid_supplier_user_id"
        case .code: "invalid_code"
        }
    }
}

/// Status, stable code and sentence of an answer. The codes are part of the API; the sentences may be improved.
struct ErrorAnswer {
    let status: HTTPResponseStatus
    let code: String
    let message: String

    init(_ status: HTTPResponseStatus, _ code: String, _ message: String) {
        self.status = status
        self.code = code
        self.message = message
    }

    static let unauthorized = ErrorAnswer(
        .unauthorized, "unauthorized", "a valid API key is required in the x-api-key header")
    static let notFound = ErrorAnswer(.notFound, "not_found", "there is nothing at this path")
    static let linkSessionNotFound = ErrorAnswer(
        .notFound, "link_session_not_found", "there is no such link session")
    static let methodNotAllowed = ErrorAnswer(
        .methodNotAllowed, "method_not_allowed", "this path does not support this method; see the Allow header")
    static let requestTimeout = ErrorAnswer(
        .requestTimeout, "request_timeout", "the request did not arrive within 10 seconds")
    static let bodyTooLarge = ErrorAnswer(
        .payloadTooLarge, "body_too_large", "the body must be at most 16 KiB")
    static let headersTooLarge = ErrorAnswer(
        .requestHeaderFieldsTooLarge, "headers_too_large", "the request's headers are too large")
    static let malformedHTTP = ErrorAnswer(.badRequest, "bad_request", "the request is not well-formed HTTP/1.1")
    static let linkSessionCompleted = ErrorAnswer(
        .conflict, "link_session_completed", "the link session is completed and cannot be expired")
    static let linkSessionExpired = ErrorAnswer(
        .gone, "link_session_expired", "the link session is expired and cannot be completed")
    static let completedByAnother = ErrorAnswer(
        .conflict, "completed_by_another", "the link session was completed with another supplier account")
    static let linkSessionBlocked = ErrorAnswer(
        .conflict, "link_session_blocked",
        "the manufacturer is disabled or may not redirect to this redirect_url any more, so the link session cannot be completed"
    )
    static let linkSessionNotCompleted = ErrorAnswer(
        .conflict, "link_session_not_completed", "the link session is not completed, so there is nothing to confirm")
    static let confirmationRefused = ErrorAnswer(
        .conflict, "confirmation_refused",
        "the link session is not this user's, or the code is not the one that came back with its result")
    static let codeExpired = ErrorAnswer(
        .conflict, "code_expired", "the code was good for 10 minutes after the completion; create a new link session")
    static let unavailable = ErrorAnswer(
        .serviceUnavailable, "unavailable", "the service is temporarily unavailable, try again")
    static let overloaded = ErrorAnswer(
        .serviceUnavailable, "overloaded", "the service is overloaded, try again")
    static let internalError = ErrorAnswer(.internalServerError, "internal_error", "internal error")

    func response(requestID: String) -> Response {
        let body = JSONWriter.object { object in
            object.add("error", message)
            object.add("code", code)
            object.add("request_id", requestID)
        }
        var response = Response(json: body, status: status)
        response.requestID = requestID
        if status == .serviceUnavailable { response.headers.add(name: "retry-after", value: "1") }
        return response
    }
}
