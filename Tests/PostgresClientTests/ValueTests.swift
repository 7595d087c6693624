// Parameters and rows: what goes in comes out, and nothing else is taken for it.

import TestSupport
import Testing

@testable import PostgresClient

@Suite(.timeLimit(.minutes(1))) struct ValueTests {
    @Test(arguments: [
        "", "a", "Zürich", "e\u{301}", "\u{1F600}", "'; DROP TABLE x; --", String(repeating: "x", count: 100_000),
    ])
    func `text comes back byte for byte`(text: String) async throws {
        let echo = read("SELECT $1::text, $1 IS NULL, octet_length($1)") { row throws(DatabaseError) in
            (Array(try row.text().utf8), try row.bool(), try row.int32())
        }
        let (bytes, isNull, length) = try await withClient {
            try await $0.run(echo, [.text(text)])[0]
        }
        #expect(bytes == Array(text.utf8))
        #expect(!isNull)
        #expect(length == text.utf8.count)
    }

    @Test(arguments: [[], [0], Array(0...255), [UInt8](repeating: 0x5C, count: 70_000)])
    func `bytea comes back byte for byte`(blob: [UInt8]) async throws {
        let echo = read("SELECT $1::bytea, $1 IS NULL, octet_length($1)") { row throws(DatabaseError) in
            (try row.blob(), try row.bool(), try row.int32())
        }
        let (bytes, isNull, length) = try await withClient {
            try await $0.run(echo, [.blob(blob)])[0]
        }
        #expect(bytes == blob)
        #expect(!isNull)
        #expect(length == blob.count)
    }

    @Test(arguments: [Int64.min, -1, 0, 1, 255, 256, 1 << 32, Int64.max])
    func `bigint comes back`(number: Int64) async throws {
        let echo = read("SELECT $1::bigint, $1::text") { row throws(DatabaseError) in
            (try row.int64(), try row.text())
        }
        let (back, text) = try await withClient { try await $0.run(echo, [.number(number)])[0] }
        #expect(back == number)
        #expect(text == "\(number)")
    }

    @Test func `several parameters keep their places, empty ones too`() async throws {
        let query = read(
            "SELECT $1::text || '|' || $2::bigint || '|' || encode($3::bytea, 'hex') || '|' || $4::text || '|' || $5::text"
        ) { row throws(DatabaseError) in [try row.text()] }
        let parameters: [Parameter] = [.text(""), .number(7), .blob([]), .text("four"), .text("")]
        #expect(try await withClient { try await $0.run(query, parameters) } == [["|7||four|"]])
    }

    @Test(arguments: [0, 1, 2, 256])
    func `text arrays come back`(count: Int) async throws {
        let texts = (0..<count).map { $0 % 3 == 0 ? "" : "é{\"\($0)\",NULL}" }
        let echo = read("SELECT $1::text[], cardinality($1)") { row throws(DatabaseError) in
            (try row.texts(), try row.int32())
        }
        let (back, length) = try await withClient { try await $0.run(echo, [.texts(texts)])[0] }
        #expect(back == texts)
        #expect(length == count)
    }

    @Test(arguments: [0, 1, 2, 256])
    func `bytea arrays arrive`(count: Int) async throws {
        let blobs = (0..<count).map { [UInt8](repeating: UInt8($0 % 256), count: $0 % 40) }
        let unnest = read("SELECT b FROM unnest($1::bytea[]) AS b") { row throws(DatabaseError) in
            try row.blob()
        }
        #expect(try await withClient { try await $0.run(unnest, [.blobs(blobs)]) } == blobs)
    }

    @Test(arguments: [0, 1, 2, 256])
    func `bigint arrays arrive`(count: Int) async throws {
        let numbers = (0..<count).map { Int64($0) * -1_000_000_007_000 }
        let unnest = read("SELECT n FROM unnest($1::bigint[]) AS n") { row throws(DatabaseError) in
            try row.int64()
        }
        #expect(try await withClient { try await $0.run(unnest, [.numbers(numbers)]) } == numbers)
    }

    @Test(arguments: [0, 1, 2, 256])
    func `smallint arrays arrive`(count: Int) async throws {
        let numbers = (0..<count).map { (place: Int) -> Int16 in Int16(truncatingIfNeeded: place * -12_345) }
        let unnest = read("SELECT n::bigint FROM unnest($1::smallint[]) AS n") { row throws(DatabaseError) in
            try row.int64()
        }
        #expect(try await withClient { try await $0.run(unnest, [.smallNumbers(numbers)]) } == numbers.map(Int64.init))
    }

    @Test(arguments: [Int16.min, -1, 0, 1, 255, .max])
    func `smallint arrives`(number: Int16) async throws {
        let echo = read("SELECT $1::smallint::text") { row throws(DatabaseError) in try row.text() }
        #expect(try await withClient { try await $0.run(echo, [.smallNumber(number)]) } == ["\(number)"])
    }

    @Test(arguments: [0, 1, 2, 256])
    func `uuid arrays arrive, and a uuid comes back as two words`(count: Int) async throws {
        func uuid(_ number: Int) -> [UInt8] {
            (0..<16).map { (place: Int) -> UInt8 in UInt8(truncatingIfNeeded: number * 17 + place * 13) }
        }
        let uuids = (0..<count).map(uuid)
        let unnest = read("SELECT id, id::text FROM unnest($1::uuid[]) AS id") { row throws(DatabaseError) in
            (try row.uuid(), try row.text())
        }
        let rows = try await withClient { try await $0.run(unnest, [.uuids(uuids)]) }
        #expect(rows.count == count)
        for (row, uuid) in zip(rows, uuids) {
            #expect(row.0 == (word(uuid.prefix(8)), word(uuid.suffix(8))))
            #expect(row.1.replacing("-", with: "") == uuid.map(hexadecimal).joined())
        }
    }

    @Test func `a uuid is a blob of 16 bytes as a parameter, and nothing else is read as one`() async throws {
        let echo = read("SELECT $1::uuid") { row throws(DatabaseError) in try row.uuid() }
        let bytes: [UInt8] = Array(0..<16)
        #expect(
            try await withClient { try await $0.run(echo, [.blob(bytes)]) }[0]
                == (0x0001_0203_0405_0607, 0x0809_0A0B_0C0D_0E0F))
        for sql in ["SELECT NULL::uuid", "SELECT ''::bytea", "SELECT repeat('x', 16)", "SELECT 1::bigint"] {
            let query = read(sql) { row throws(DatabaseError) in try row.uuid() }
            let result = await timed { try await withClient { try await $0.run(query) } }.result
            guard case .undecodable? = result.databaseError else {
                Issue.record("\(sql)")
                continue
            }
        }
    }

    @Test func `NULL is told from empty`() async throws {
        let query = read(
            """
            SELECT ''::text, NULL::text, ''::bytea, NULL::bytea, '1970-01-01T00:00:00Z'::timestamptz, NULL::timestamptz,
                   NULL::timestamptz
            """
        ) { row throws(DatabaseError) in
            (
                try row.optionalText(), try row.optionalText(), try row.optionalBlob(), try row.optionalBlob(),
                try row.optionalUnixSeconds(), try row.optionalUnixSeconds(), try row.optionalUnixMicroseconds()
            )
        }
        let row = try await withClient { try await $0.run(query)[0] }
        #expect(row.0 == "")
        #expect(row.1 == nil)
        #expect(row.2 == [])
        #expect(row.3 == nil)
        #expect(row.4 == 0)
        #expect(row.5 == nil)
        #expect(row.6 == nil)
    }

    @Test func `integers and booleans come back`() async throws {
        let query = read("SELECT (-2147483648)::int, true, false, 2147483647::int") { row throws(DatabaseError) in
            (try row.int32(), try row.bool(), try row.bool(), try row.int32())
        }
        #expect(try await withClient { try await $0.run(query)[0] } == (.min, true, false, .max))
    }

    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("1969-12-31T23:59:59.999999Z", -1, -1),
            ("1969-12-31T23:59:59.5Z", -1, -500_000),
            ("1969-12-31T23:59:59Z", -1, -1_000_000),
            ("1969-12-31T23:59:58.000001Z", -2, -1_999_999),
            ("1999-12-31T23:59:59.999999Z", 946_684_799, 946_684_799_999_999),
            ("2000-01-01T00:00:00Z", 946_684_800, 946_684_800_000_000),
            ("2023-12-21T01:50:56.75Z", 1_703_123_456, 1_703_123_456_750_000),
            ("2023-12-21T01:50:56.75+02:00", 1_703_116_256, 1_703_116_256_750_000),
            ("0001-01-01T00:00:00Z", -62_135_596_800, -62_135_596_800_000_000),
            ("9999-12-31T23:59:59.999999Z", 253_402_300_799, 253_402_300_799_999_999),
        ] as [(String, Int64, Int64)])
    func `a time is read as Unix time, seconds rounded down`(time: String, seconds: Int64, microseconds: Int64)
        async throws
    {
        let query = read("SELECT t, t FROM (VALUES ($1::text::timestamptz)) AS v(t)") { row throws(DatabaseError) in
            (try row.unixSeconds(), try row.unixMicroseconds())
        }
        let (gotSeconds, gotMicroseconds) = try await withClient {
            try await $0.run(query, [.text(time)])[0]
        }
        #expect(gotSeconds == seconds)
        #expect(gotMicroseconds == microseconds)
    }

    @Test func `the earliest time that PostgreSQL has is read`() async throws {
        let query = read("SELECT '4714-11-24 00:00:00+00 BC'::timestamptz") { row throws(DatabaseError) in
            try row.unixSeconds()
        }
        #expect(try await withClient { try await $0.run(query)[0] } == -210_866_803_200)
    }

    @Test(arguments: ["294276-12-31T23:59:59.999999Z", "294247-01-10T04:00:54.775808Z"])
    func `a time beyond what fits is refused`(time: String) async throws {
        let query = read("SELECT '\(time)'::timestamptz AS the_column") { row throws(DatabaseError) in
            try row.unixSeconds()
        }
        let result = await timed { try await withClient { try await $0.run(query) } }.result
        #expect(result.databaseError == .undecodable(statement: query.statement.name, column: "the_column"))
    }

    @Test func `the last time that fits is read`() async throws {
        let query = read("SELECT '294247-01-10T04:00:54.775807Z'::timestamptz") { row throws(DatabaseError) in
            try row.unixMicroseconds()
        }
        #expect(try await withClient { try await $0.run(query)[0] } == .max)
    }

    @Test(arguments: [
        Strict("int for bigint", "1::int") { row throws(DatabaseError) in _ = try row.int64() },
        Strict("bigint for int", "1::bigint") { row throws(DatabaseError) in _ = try row.int32() },
        Strict("text for bytea", "'a'::text") { row throws(DatabaseError) in _ = try row.blob() },
        Strict("bytea for text", "'a'::bytea") { row throws(DatabaseError) in _ = try row.text() },
        Strict("varchar for text", "'a'::varchar") { row throws(DatabaseError) in _ = try row.text() },
        Strict("int for bool", "1") { row throws(DatabaseError) in _ = try row.bool() },
        Strict("bool for int", "true") { row throws(DatabaseError) in _ = try row.int32() },
        Strict("timestamp without zone", "'2000-01-01'::timestamp") { row throws(DatabaseError) in
            _ = try row.unixSeconds()
        },
        Strict("bigint for a time", "1::bigint") { row throws(DatabaseError) in _ = try row.unixSeconds() },
        Strict("NULL text", "NULL::text") { row throws(DatabaseError) in _ = try row.text() },
        Strict("NULL bytea", "NULL::bytea") { row throws(DatabaseError) in _ = try row.blob() },
        Strict("NULL bigint", "NULL::bigint") { row throws(DatabaseError) in _ = try row.int64() },
        Strict("NULL int", "NULL::int") { row throws(DatabaseError) in _ = try row.int32() },
        Strict("NULL bool", "NULL::bool") { row throws(DatabaseError) in _ = try row.bool() },
        Strict("NULL time", "NULL::timestamptz") { row throws(DatabaseError) in _ = try row.unixSeconds() },
        Strict("NULL text[]", "NULL::text[]") { row throws(DatabaseError) in _ = try row.texts() },
        Strict("NULL of another type", "NULL::int") { row throws(DatabaseError) in _ = try row.optionalText() },
        Strict("infinity", "'infinity'::timestamptz") { row throws(DatabaseError) in _ = try row.unixSeconds() },
        Strict("-infinity", "'-infinity'::timestamptz") { row throws(DatabaseError) in _ = try row.unixSeconds() },
        Strict("infinity where NULL may be", "'infinity'::timestamptz") { row throws(DatabaseError) in
            _ = try row.optionalUnixSeconds()
        },
        Strict("NULL within text[]", "'{a,NULL}'::text[]") { row throws(DatabaseError) in _ = try row.texts() },
        Strict("text[] of two dimensions", "'{{a},{b}}'::text[]") { row throws(DatabaseError) in _ = try row.texts() },
        Strict("int[] for text[]", "'{1}'::int[]") { row throws(DatabaseError) in _ = try row.texts() },
    ])
    func `a value of another type, or NULL where none may be, is refused and its column named`(strict: Strict)
        async throws
    {
        let query = read("SELECT \(strict.value) AS the_column", strict.decode)
        let result = await timed { try await withClient { try await $0.run(query) } }.result
        #expect(result.databaseError == .undecodable(statement: query.statement.name, column: "the_column"))
    }

    @Test func `what a row was refused for does not harm the connection`() async throws {
        try await withClient { client in
            let before = try await client.backend()
            let result = await timed {
                try await client.run(read("SELECT NULL::text") { row throws(DatabaseError) in try row.text() })
            }.result
            #expect(result.databaseError != nil)
            #expect(try await client.backend() == before)
        }
    }
}

/// A value that must not decode.
struct Strict: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let value: String
    let decode: @Sendable (inout Row) throws(DatabaseError) -> Void

    init(_ name: String, _ value: String, _ decode: @escaping @Sendable (inout Row) throws(DatabaseError) -> Void) {
        testDescription = name
        self.value = value
        self.decode = decode
    }
}

private func word(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }

private func hexadecimal(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16)
    return digits.count == 1 ? "0" + digits : digits
}
