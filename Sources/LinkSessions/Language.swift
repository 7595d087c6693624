/// ISO 639-1 codes of the languages that the Authenticator UI speaks.
package enum Language: String, Sendable, CaseIterable {
    case nl, en, fr, es

    package static let `default` = Language.nl

    package init(_ text: String) throws(ValidationError) {
        guard let language = Language(rawValue: text) else { throw Self.validationError }
        self = language
    }

    package static let validationError = ValidationError(.language, "language must be one of: nl, en, fr, es")
}
