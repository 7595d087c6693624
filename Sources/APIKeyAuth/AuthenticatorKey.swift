package import LinkSessions

/// A key of the Authenticator's: the digest by which it is known, and a name that logs and events may say.
package struct AuthenticatorKey: Sendable {
    package let name: String
    package let digest: SHA256Digest

    /// - Parameter text: such as `web:` and 64 hexadecimal digits; the name is 1 to 40 of `a-z`, `0-9` and single inner
    ///   hyphens.
    package init?(_ text: String) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let name = Supplier.Slug(String(parts[0])), let digest = SHA256Digest(hex: parts[1])
        else { return nil }
        self.name = name.text
        self.digest = digest
    }
}
