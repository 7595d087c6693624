internal import LinkSessions
internal import PostgresClient

/// What an operator changes, as a migration to be reviewed and applied by `migrate`.
///
/// The SQL fails with a sentence where it would change nothing. Every text in it is a literal that libpq has quoted.
package struct AdminChange: Sendable {
    /// For the migration's file name: lower-case letters and underscores.
    package let name: String
    /// A sentence for the file's comment. It repeats nothing of what was typed.
    let summary: String
    let sql: String

    /// The whole text of the migration's file.
    ///
    /// - Parameters:
    ///   - author: letters, digits, dots, hyphens and underscores.
    ///   - date: such as `2026-11-24`.
    package func migration(author: String, date: String) -> String {
        """
        -- \(summary)
        -- Written by link-session-service admin for \(author) on \(date).

        \(sql)

        """
    }
}

// MARK: - Pieces of SQL

extension AdminChange {
    static func quoted(_ text: DisplayText) throws(AdminError) -> String { try quoted(text.text) }

    static func quoted(_ text: String) throws(AdminError) -> String {
        guard let literal = sqlLiteral(text) else {
            throw AdminError(line: "libpq could not quote a value: out of memory")
        }
        return literal
    }

    static func quoted(_ texts: [String]) throws(AdminError) -> String {
        var literals: [String] = []
        for text in texts { literals.append(try quoted(text)) }
        return "ARRAY[\(literals.joined(separator: ", "))]::text[]"
    }

    static func literal(_ digest: SHA256Digest) -> String { "'\\x\(digest.hex)'::bytea" }

    /// From the moment when the migration is applied.
    static func expiry(after seconds: Int) -> String {
        let interval =
            switch seconds {
            case _ where seconds % 86_400 == 0: "\(seconds / 86_400) days"
            case _ where seconds % 3600 == 0: "\(seconds / 3600) hours"
            default: "\(seconds) seconds"
            }
        return "date_trunc('second', now()) + interval '\(interval)'"
    }

    /// An update of the one manufacturer of that name, where the condition holds.
    static func update(
        _ manufacturer: DisplayText, _ assignment: String, where condition: String, otherwise sentence: String
    ) throws(AdminError) -> String {
        """
        WITH changed AS (
            UPDATE manufacturers SET \(assignment)
            WHERE name = \(try quoted(manufacturer)) AND \(condition)
            RETURNING id
        )
        SELECT ensure(count(*) = 1, '\(sentence)') FROM changed;
        """
    }
}
