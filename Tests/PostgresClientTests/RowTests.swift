// Rows: every column is read once and in order, and there are as many rows as were asked for.

import TestSupport
import Testing

@testable import PostgresClient

@Suite(.timeLimit(.minutes(1))) struct RowTests {
    @Test func `a column that is not there is refused`() async throws {
        let query = read("SELECT 'a'::text AS the_column") { row throws(DatabaseError) in
            (try row.text(), try row.text())
        }
        let result = await timed { try await withClient { try await $0.run(query) } }.result
        #expect(result.databaseError == .undecodable(statement: query.statement.name, column: "1"))
    }

    @Test(arguments: [0, 1, 2])
    func `a row with a column that is not read is refused and the column named`(read count: Int) async throws {
        let query = read("SELECT 1 AS one, 'two'::text AS two, 3 AS three") {
            row throws(DatabaseError) in
            if count > 0 { _ = try row.int32() }
            if count > 1 { _ = try row.text() }
        }
        let result = await timed { try await withClient { try await $0.run(query) } }.result
        #expect(
            result.databaseError
                == .undecodable(statement: query.statement.name, column: ["one", "two", "three"][count]))
    }

    @Test func `the rest of a row may be skipped`() async throws {
        let query = read("SELECT 1::int, NULL::int, 'three'::text") { row throws(DatabaseError) in
            let first = try row.int32()
            row.skipRest()
            return first
        }
        #expect(try await withClient { try await $0.run(query) } == [1])
    }

    @Test func `fewer outputs than callers are refused`() async throws {
        let sql = "SELECT 1::bigint WHERE false"
        let query = GroupedQuery<Void, Int64>(
            name(of: sql), sql, maxBatchSize: 1, maxConcurrentBatches: 1, encode: { _ in [] },
            decode: { result, _ throws(DatabaseError) in
                try result.map { row throws(DatabaseError) in try row.int64() }
            })
        let result = await timed { try await withClient { try await $0.run(query, (), until: .now + .seconds(5)) } }
            .result
        #expect(result.databaseError == .undecodable(statement: query.statement.name, column: "row count"))
    }

    @Test(arguments: [0, 1, 2])
    func `another number of rows than one is refused where one is asked for`(rows: Int) async throws {
        let sql = "SELECT 7 FROM generate_series(1, \(rows))"
        let one = Query<Int32>(name(of: sql), sql, readOne: { row throws(DatabaseError) in try row.int32() })
        let optional = Query<Int32?>(
            name(of: sql), sql, readOptional: { row throws(DatabaseError) in try row.int32() })
        let refused = DatabaseError.undecodable(statement: one.statement.name, column: "row count")
        let (exactlyOne, atMostOne) = try await withClient { client in
            (await timed { try await client.run(one) }.result, await timed { try await client.run(optional) }.result)
        }
        switch rows {
        case 0:
            #expect(exactlyOne.databaseError == refused)
            #expect(try atMostOne.get() == nil)
        case 1:
            #expect(try exactlyOne.get() == 7)
            #expect(try atMostOne.get() == 7)
        default:
            #expect(exactlyOne.databaseError == refused)
            #expect(atMostOne.databaseError == refused)
        }
    }
}
