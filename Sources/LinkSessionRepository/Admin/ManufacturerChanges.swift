package import LinkSessions
package import RateLimits

/// Manufacturers: added, taken offline and back, and where each may send its users back to.
extension AdminChange {
    /// - Parameter redirectURLs: `nil`: any well-formed URL.
    package static func addManufacturer(
        name: DisplayText, brand: DisplayText?, redirectURLs: [RedirectURL]?
    ) throws(AdminError) -> AdminChange {
        AdminChange(
            name: "add_manufacturer",
            summary: redirectURLs == nil
                ? "A new manufacturer, which may redirect its users ANYWHERE."
                : "A new manufacturer, with the URLs that it may redirect its users to.",
            sql: """
                SELECT ensure(count(*) = 0, 'there is a manufacturer of this name already')
                FROM manufacturers WHERE name = \(try quoted(name));

                INSERT INTO manufacturers (name, brand, redirect_policy, redirect_urls) VALUES (
                    \(try quoted(name)),
                    \(try brand.map(quoted) ?? "NULL"),
                    '\(redirectURLs == nil ? "unrestricted" : "registered")',
                    \(try quoted((redirectURLs ?? []).map(\.text))));
                """)
    }

    package static func setEnabled(manufacturer: DisplayText, _ enabled: Bool) throws(AdminError) -> AdminChange {
        AdminChange(
            name: enabled ? "enable" : "disable",
            summary: enabled
                ? "A manufacturer is back: its keys work again."
                : "A manufacturer goes offline: none of its keys works.",
            sql: try update(
                manufacturer, "enabled = \(enabled)", where: enabled ? "NOT enabled" : "enabled",
                otherwise: "there is no \(enabled ? "disabled" : "enabled") manufacturer of this name"))
    }

    /// - Parameter limit: `nil`: that of the settings.
    package static func setRateLimit(manufacturer: DisplayText, _ limit: RateLimit?) throws(AdminError) -> AdminChange {
        let values = "(\(limit.map { "\($0.perSecond), \($0.atOnce)" } ?? "NULL, NULL"))"
        return AdminChange(
            name: "set_rate_limit",
            summary: limit == nil
                ? "A manufacturer may create as many link sessions as others."
                : "A manufacturer may create so many link sessions a second, and so many at once.",
            sql: try update(
                manufacturer, "(creates_a_second, creates_at_once) = \(values)",
                where: "(creates_a_second, creates_at_once) IS DISTINCT FROM \(values)",
                otherwise: "there is no manufacturer of this name whose rate limit is another one"))
    }

    /// - Parameter isTold: sessions that nobody opened have an event when their time is over, too.
    package static func setUnopenedExpiry(
        manufacturer: DisplayText, isTold: Bool
    ) throws(AdminError) -> AdminChange {
        AdminChange(
            name: "set_unopened_expiry",
            summary: isTold
                ? "A manufacturer is told when the time of a link session is over that nobody opened."
                : "A manufacturer is told of the end of those link sessions alone that were opened.",
            sql: try update(
                manufacturer, "expires_unopened = \(isTold)", where: "expires_unopened <> \(isTold)",
                otherwise: "there is no manufacturer of this name for which this is not so already"))
    }

    package static func allowRedirect(manufacturer: DisplayText, _ url: RedirectURL) throws(AdminError) -> AdminChange {
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
    package static func removeRedirect(manufacturer: DisplayText, _ url: String) throws(AdminError) -> AdminChange {
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
    ) throws(AdminError) -> AdminChange {
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
