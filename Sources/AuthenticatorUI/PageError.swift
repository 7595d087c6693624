// Errors of pages, and the one way from an error to the page that says so.

internal import HTTPServer
internal import LinkSessionRepository
internal import NIOHTTP1
internal import TokenGenerator

/// Why a request gets no page but the one that asks to try again.
enum PageError: Error {
    case unavailable(cause: String)
    case bug(cause: String)

    /// The border to all that the steps call.
    init(_ error: any Error) {
        switch error {
        case let error as PageError: self = error
        case let error as RepositoryError: self.init(error)
        case is RandomnessError: self = .bug(cause: "no secret could be made")
        case is OpenSSLError: self = .bug(cause: "OpenSSL refused")
        default: self = .bug(cause: "\(type(of: error))")
        }
    }

    init(_ error: RepositoryError) {
        switch error {
        case .unavailable(let cause): self = .unavailable(cause: cause)
        case .overloaded: self = .unavailable(cause: "too much waiting work")
        case .bug(let cause): self = .bug(cause: cause)
        }
    }

    var status: HTTPResponseStatus {
        switch self {
        case .unavailable: .serviceUnavailable
        case .bug: .internalServerError
        }
    }

    /// For the log alone.
    var cause: String {
        switch self {
        case .unavailable(let cause), .bug(let cause): cause
        }
    }
}

extension AuthenticatorUI {
    /// A handler whose errors are answered with the page that says so.
    func answeringErrors(_ handler: @escaping @Sendable (PageRequest) async throws -> Response) -> Handler {
        { http in
            let request = PageRequest(http)
            do {
                return try await handler(request)
            } catch {
                let error = PageError(error)
                http.record.cause = error.cause
                return unavailablePage(error.status, request)
            }
        }
    }
}
