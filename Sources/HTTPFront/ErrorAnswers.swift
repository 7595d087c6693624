internal import APIKeyAuth
internal import HTTPServer
internal import JSON
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
internal import TokenGenerator

/// Every answer of the API that is no success: a handler throws it, and whatever else a handler throws becomes one.
extension ErrorAnswer: Error {
    static let linkSessionNotFound = ErrorAnswer(
        .notFound, "link_session_not_found", "there is no such link session")
    static let linkSessionExpired = ErrorAnswer(
        .gone, "link_session_expired", "the link session is expired and cannot be completed")
    static let linkSessionCompleted = ErrorAnswer(
        .conflict, "link_session_completed", "the link session is completed and cannot be expired")
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

    static let idempotencyKeyReused = ErrorAnswer(
        .unprocessableEntity, "idempotency_key_reused",
        "this Idempotency-Key was sent with other fields within the last 24 hours; a new request needs a new key")

    static let tooManyWaiting = ErrorAnswer(
        .tooManyRequests, "too_many_waiting",
        "\(EventFeedWatcher.most) requests of this manufacturer wait already; ask without wait, or for all events at once",
        headers: ["retry-after": "5"])

    /// The border to all that the handlers call.
    init(_ error: any Error) {
        switch error {
        case let error as ErrorAnswer: self = error
        case let error as AuthenticationError: self.init(error)
        case let error as RequestBodyError: self.init(error)
        case let error as JSONError: self.init(.badRequest, "invalid_json", error.message)
        case let error as ValidationError:
            self.init(.badRequest, error.rule.code, error.message, cause: error.cause)
        case let error as RepositoryError: self.init(error)
        case is EventFeedWatcher.TooManyWaitingError: self = .tooManyWaiting
        case is RandomnessError: self = .internalError(cause: "no token could be made: RandomnessError")
        case is OpenSSLError: self = .internalError(cause: "OpenSSL refused")
        default: self = .internalError(cause: "\(type(of: error))")
        }
    }

    private init(_ error: AuthenticationError) {
        switch error {
        case .unauthorized:
            // The scheme is none of the registered ones (RFC 9110, section 11.6.1): it names the header.
            self.init(
                .unauthorized, "unauthorized", "a valid API key is required in the x-api-key header",
                headers: ["www-authenticate": #"ApiKey header="x-api-key""#])
        case .unavailable: self = .unavailable(cause: "the API keys were not confirmed within a second")
        }
    }

    private init(_ error: RequestBodyError) {
        switch error {
        case .unsupportedMediaType(let expected): self = .unsupportedMediaType(expected: expected)
        case .tooLarge: self = .bodyTooLarge
        case .brokenOff: self.init(.badRequest, "invalid_json", "the body did not arrive whole")
        }
    }

    private init(_ error: RepositoryError) {
        switch error {
        case .unavailable(let cause), .nodeUnreachable(let cause): self = .unavailable(cause: cause)
        case .overloaded: self = .overloaded
        case .bug(let cause): self = .internalError(cause: cause)
        }
    }
}

extension ValidationError.Rule {
    fileprivate var code: String {
        switch self {
        case .userID: "invalid_user_id"
        case .redirectURL: "invalid_redirect_url"
        case .redirectPolicy: "redirect_url_not_allowed"
        case .language: "invalid_language"
        case .supplier: "invalid_supplier"
        case .suppliers: "invalid_suppliers"
        case .metadata: "invalid_metadata"
        case .supplierUserID: "invalid_supplier_user_id"
        case .code: "invalid_code"
        case .status: "invalid_status"
        case .createdAfter: "invalid_created_after"
        case .createdBefore: "invalid_created_before"
        case .limit: "invalid_limit"
        case .after: "invalid_after"
        case .idempotencyKey: "invalid_idempotency_key"
        case .types: "invalid_types"
        case .wait: "invalid_wait"
        }
    }
}
