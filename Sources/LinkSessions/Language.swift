// The languages of the Authenticator UI.

/// ISO 639-1 codes of the languages that the Authenticator UI speaks.
package enum Language: String, Sendable, CaseIterable {
    case nl, en, fr, es

    package static let `default` = Language.nl

    package init(_ text: String) throws(Refusal) {
        guard let language = Language(rawValue: text) else { throw Self.refusal }
        self = language
    }

    package static let refusal = Refusal(.language, "language must be one of: nl, en, fr, es")
}
