internal import Foundation
package import LinkSessions

/// The images beside names: set, replaced and taken away.
extension AdminChange {
    /// Whose logo it is.
    package enum LogoOwner: Sendable {
        case supplier(Supplier.Slug)
        case manufacturer(DisplayText)
    }

    /// - Parameters:
    ///   - logo: `nil`: none any more.
    ///   - digest: the SHA-256 of its bytes.
    package static func setLogo(
        of owner: LogoOwner, _ logo: Logo?, digest: SHA256Digest?
    ) throws(AdminError) -> AdminChange {
        let (table, condition, what) =
            switch owner {
            case .supplier(let slug): ("suppliers", "slug = \(try quoted(slug.text))", "supplier of this slug")
            case .manufacturer(let name): ("manufacturers", "name = \(try quoted(name))", "manufacturer of this name")
            }
        let value = digest.map(literal) ?? "NULL"
        var sql = ""
        if let logo {
            let base64 = Data(logo.bytes).base64EncodedString(options: [.lineLength76Characters, .endLineWithLineFeed])
            sql = """
                INSERT INTO logos (digest, media_type, bytes) VALUES (
                    \(value), '\(logo.mediaType.rawValue)', decode('
                \(base64)
                ', 'base64'))
                ON CONFLICT DO NOTHING;


                """
        }
        sql += """
            WITH changed AS (
                UPDATE \(table) SET logo = \(value)
                WHERE \(condition) AND logo IS DISTINCT FROM \(value)
                RETURNING 1
            )
            SELECT ensure(count(*) = 1, 'there is no \(what) \(logo == nil ? "with a logo" : "with another logo or none")') FROM changed;

            DELETE FROM logos l
            WHERE NOT EXISTS (SELECT 1 FROM suppliers s WHERE s.logo = l.digest)
              AND NOT EXISTS (SELECT 1 FROM manufacturers m WHERE m.logo = l.digest);
            """
        return AdminChange(
            name: logo == nil ? "remove_logo" : "set_logo",
            summary: logo == nil
                ? "No image stands beside a name any more." : "An image that pages show beside a name.",
            sql: sql)
    }
}
