// An account as its user is shown it before confirming.

internal import LinkSessions

/// Enough for its owner to know the account again, too little for anybody else.
enum MaskedAccount {
    /// At most 200 Unicode scalars, which is less than the database takes.
    static func text(email: String?, name: String?, subject: String) -> String {
        let dots = "•••"
        let shown =
            if let email = email?.unicodeScalars, let at = email.lastIndex(of: "@"), at > email.startIndex {
                escaped(email.prefix(1)) + dots + escaped(email[at...])
            } else if let name, !name.isEmpty {
                escaped(name.unicodeScalars.prefix(1)) + dots
            } else {
                dots + (subject.unicodeScalars.count >= 12 ? escaped(subject.unicodeScalars.suffix(4)) : "")
            }
        return String(String.UnicodeScalarView(shown.unicodeScalars.prefix(200)))
    }

    private static func escaped(_ scalars: some Sequence<Unicode.Scalar>) -> String {
        DisplayText.escaped(String(String.UnicodeScalarView(scalars)))
    }
}
