internal import LinkSessions

/// What a provider says of an error, for logs and events: short, on one line, and without what may be a secret or
/// personal data, since some repeat the code or name the user.
enum ProviderText {
    /// - Parameter secrets: of this sign-in: they are left out, whatever they look like.
    static func error(_ error: String, _ description: String?, without secrets: [String]) -> String {
        let described = description.map { harmless($0, limit: 160, without: secrets) } ?? ""
        let named = harmless(error, limit: 60, without: secrets)
        return "error \(named)\(described.isEmpty ? "" : ": \(described)")"
    }

    static func harmless(_ text: String, limit: Int, without secrets: [String]) -> String {
        var text = String(String.UnicodeScalarView(text.unicodeScalars.prefix(4000)))
        for secret in secrets where secret.utf8.count >= 4 { text = text.replacing(secret, with: omission) }
        let words = text.unicodeScalars.split {
            $0.properties.isWhitespace || $0.properties.generalCategory == .control
        }
        let harmless = words.map { word in isDoubtful(word) ? omission : DisplayText.escaped(String(word)) }
        let line = harmless.joined(separator: " ").unicodeScalars
        return String(line.prefix(limit)) + (line.count > limit ? omission : "")
    }

    private static let omission = "…"

    /// An address, a long number, or a text as long and mixed as a token's.
    private static func isDoubtful(_ word: Substring.UnicodeScalarView) -> Bool {
        func isDigit(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.numericType == .decimal }
        let digits = word.split { !isDigit($0) }
        return word.contains("@") || word.contains("%40") || digits.contains { $0.count >= 7 }
            || word.count >= 40 || word.count >= 16 && !digits.isEmpty
    }
}

extension Substring.UnicodeScalarView {
    fileprivate func contains(_ text: String) -> Bool { String(self).contains(text) }
}
