// Errors of suppliers' OpenID Connect providers.

/// Why a supplier's provider signed nobody in. Holds no secret and no personal data.
enum ProviderError: Error {
    /// It could not be reached, or what it publishes cannot be used.
    case unavailable(String)
    /// It did not accept the code.
    case codeRefused(String)
    /// It answered with what cannot be read.
    case failed(String)
    case idToken(IDTokenError)

    /// For the log.
    var cause: String {
        switch self {
        case .unavailable(let what): "the supplier is unavailable: \(what)"
        case .codeRefused(let what): "the supplier refused the code: \(what)"
        case .failed(let what): "the supplier failed: \(what)"
        case .idToken(let error): "the ID token is invalid: \(error.what)"
        }
    }
}

/// Why an ID token was not accepted. Holds nothing of the token.
struct IDTokenError: Error {
    let what: String
}
