// Manufacturers: added, taken offline and back.

package import LinkSessions

extension AdminChange {
    /// - Parameter redirectURLs: `nil`: any well-formed URL.
    package static func addManufacturer(
        name: DisplayText, brand: DisplayText?, redirectURLs: [RedirectURL]?
    ) throws(QuotingError) -> AdminChange {
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

    package static func setEnabled(manufacturer: DisplayText, _ enabled: Bool) throws(QuotingError) -> AdminChange {
        AdminChange(
            name: enabled ? "enable" : "disable",
            summary: enabled
                ? "A manufacturer is back: its keys work again."
                : "A manufacturer goes offline: none of its keys works.",
            sql: try update(
                manufacturer, "enabled = \(enabled)", where: enabled ? "NOT enabled" : "enabled",
                otherwise: "there is no \(enabled ? "disabled" : "enabled") manufacturer of this name"))
    }
}
