// Every answer of the API that is no success, in one place.

internal import APIKeyAuth
internal import HTTPServer
internal import JSON
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
internal import TokenGenerator

/// Why a request gets no success.
enum APIError: Error {
    case authentication(AuthenticationError)
    case body(RequestBodyError)
    case json(JSONError)
    case validation(ValidationError)
    case repository(RepositoryError)
    case linkSessionNotFound
    case linkSessionCompleted
    case linkSessionExpired
    case completedByAnother
    case linkSessionBlocked
    case linkSessionNotCompleted
    case confirmationRefused
    case codeExpired
    case unavailable(cause: String)
    case bug(cause: String)

    /// The border to all that the handlers call.
    init(_ error: any Error) {
        switch error {
        case let error as APIError: self = error
        case let error as AuthenticationError: self = .authentication(error)
        case let error as RequestBodyError: self = .body(error)
        case let error as JSONError: self = .json(error)
        case let error as ValidationError: self = .validation(error)
        case let error as RepositoryError: self = .repository(error)
        case is RandomnessError: self = .bug(cause: "no token could be made: RandomnessError")
        case is OpenSSLError: self = .bug(cause: "OpenSSL refused")
        default: self = .bug(cause: "\(type(of: error))")
        }
    }

    /// What the caller is told, and what the log is.
    var answer: ErrorAnswer {
        switch self {
        case .authentication(.unauthorized):
            // The scheme is none of the registered ones (RFC 9110, section 11.6.1): it names the header.
            ErrorAnswer(
                .unauthorized, "unauthorized", "a valid API key is required in the x-api-key header",
                headers: ["www-authenticate": #"ApiKey header="x-api-key""#])
        case .authentication(.unavailable):
            .unavailable(cause: "the API keys were not confirmed within a second")
        case .body(.unsupportedMediaType(let expected)): .unsupportedMediaType(expected: expected)
        case .body(.tooLarge): .bodyTooLarge
        case .body(.brokenOff): ErrorAnswer(.badRequest, "invalid_json", "the body did not arrive whole")
        case .json(let error): ErrorAnswer(.badRequest, "invalid_json", error.message)
        case .validation(let error): ErrorAnswer(.badRequest, Self.code(of: error.rule), error.message)
        case .repository(.unavailable(let cause)): .unavailable(cause: cause)
        case .repository(.overloaded): .overloaded
        case .repository(.bug(let cause)): .internalError(cause: cause)
        case .linkSessionNotFound:
            ErrorAnswer(.notFound, "link_session_not_found", "there is no such link session")
        case .linkSessionCompleted:
            ErrorAnswer(
                .conflict, "link_session_completed", "the link session is completed and cannot be expired")
        case .linkSessionExpired:
            ErrorAnswer(.gone, "link_session_expired", "the link session is expired and cannot be completed")
        case .completedByAnother:
            ErrorAnswer(
                .conflict, "completed_by_another", "the link session was completed with another supplier account")
        case .linkSessionBlocked:
            ErrorAnswer(
                .conflict, "link_session_blocked",
                "the manufacturer is disabled or may not redirect to this redirect_url any more, so the link session cannot be completed"
            )
        case .linkSessionNotCompleted:
            ErrorAnswer(
                .conflict, "link_session_not_completed",
                "the link session is not completed, so there is nothing to confirm")
        case .confirmationRefused:
            ErrorAnswer(
                .conflict, "confirmation_refused",
                "the link session is not this user's, or the code is not the one that came back with its result")
        case .codeExpired:
            ErrorAnswer(
                .conflict, "code_expired",
                "the code was good for 10 minutes after the completion; create a new link session")
        case .unavailable(let cause): .unavailable(cause: cause)
        case .bug(let cause): .internalError(cause: cause)
        }
    }

    private static func code(of rule: ValidationError.Rule) -> String {
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
