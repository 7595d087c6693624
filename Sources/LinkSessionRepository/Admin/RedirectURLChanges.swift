// Where a manufacturer may send its users back to.

package import LinkSessions

extension AdminChange {
    package static func allowRedirect(manufacturer: DisplayText, _ url: RedirectURL) throws(QuotingError) -> AdminChange
    {
        let literal = try quoted(url.text)
        return AdminChange(
            name: "allow_redirect",
            summary: "A further URL that a manufacturer may redirect its users to.",
            sql: try update(
                manufacturer, "redirect_urls = array_append(redirect_urls, \(literal))",
                where: "\(literal) <> ALL (redirect_urls)",
                otherwise: "there is no manufacturer of this name without this redirect URL"))
    }

    /// - Parameter url: any text that could be stored: one that is no redirect URL any more has to go, too.
    package static func removeRedirect(manufacturer: DisplayText, _ url: String) throws(QuotingError) -> AdminChange {
        let literal = try quoted(url)
        return AdminChange(
            name: "remove_redirect",
            summary: "A URL that a manufacturer may no longer redirect its users to.",
            sql: try update(
                manufacturer, "redirect_urls = array_remove(redirect_urls, \(literal))",
                where: "\(literal) = ANY (redirect_urls)",
                otherwise: "there is no manufacturer of this name with this redirect URL"))
    }

    package static func setRedirectPolicy(
        manufacturer: DisplayText, unrestricted: Bool
    ) throws(QuotingError) -> AdminChange {
        let policy = unrestricted ? "unrestricted" : "registered"
        return AdminChange(
            name: "redirect_policy",
            summary: unrestricted
                ? "A manufacturer may redirect its users ANYWHERE from now on."
                : "A manufacturer may redirect its users to registered URLs only.",
            sql: try update(
                manufacturer, "redirect_policy = '\(policy)'", where: "redirect_policy <> '\(policy)'",
                otherwise: "there is no manufacturer of this name whose redirect policy is another one"))
    }
}
