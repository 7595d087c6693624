// Text as an SQL literal: whatever it is, PostgreSQL reads the same text again, and nothing else.

import PostgresClient
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1))) struct LiteralTests {
    @Test func `every literal is read as the text it was made of, whatever the server's settings`() async throws {
        let texts = [
            "", "plain", "O'Hara", "'", "''", "\\", "\\'", "a\\", "$$", "$1", "'; DROP TABLE x; --", "/* */",
            "é\u{1F600}",
            "line\nbreak", "\u{202E}", String(repeating: "'\\", count: 500),
        ]
        try await TestDatabase.withEmpty { database in
            try await database.execute("CREATE TABLE read (number int, text text)")
            for setting in ["on", "off"] {
                for (number, text) in texts.enumerated() {
                    let literal = try #require(sqlLiteral(text))
                    try await database.execute(
                        """
                        SET standard_conforming_strings = \(setting); TRUNCATE read;
                        INSERT INTO read VALUES (\(number), \(literal));
                        """)
                    #expect(try await database.rows("SELECT number, text FROM read") == [["\(number)", text]])
                }
            }
        }
    }

    @Test func `a text with a NUL has no literal`() {
        #expect(sqlLiteral("a\u{0}b") == nil)
    }
}
