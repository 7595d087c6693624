// What each SQLSTATE leads to.

import TestSupport
import Testing

@testable import PostgresClient

@Suite(.timeLimit(.minutes(1))) struct SQLStateTests {
    @Test(
        arguments: [
            ("08000", .connectionBroken), ("08006", .connectionBroken), ("08P01", .connectionBroken),
            ("57P01", .connectionBroken), ("57P02", .connectionBroken), ("57P03", .connectionBroken),
            ("57P05", .connectionBroken), ("25006", .connectionBroken),
            ("57014", .exhausted), ("55P03", .exhausted), ("53000", .exhausted), ("53100", .exhausted),
            ("53200", .exhausted), ("53300", .exhausted),
            ("40001", .tryAgain), ("40P01", .tryAgain),
            ("26000", .prepareAgain),
            ("22P02", .dataError), ("22021", .dataError), ("23502", .dataError), ("23503", .dataError),
            ("23505", .dataError), ("23514", .dataError),
            ("42P01", .bug), ("42703", .bug), ("42501", .bug), ("25P02", .bug), ("21000", .bug), ("XX000", .bug),
            ("57000", .bug), ("55000", .bug), ("40002", .bug), ("", .bug),
        ] as [(String, SQLState.Consequence)])
    func `a SQLSTATE has its consequence`(code: String, consequence: SQLState.Consequence) {
        #expect(SQLState(code).consequence == consequence)
    }

    @Test(arguments: [
        (DatabaseError.unavailable(.overloaded), "too many queries waiting"),
        (.unavailable(.timedOut), "no answer from the database in time"),
        (.unavailable(.shuttingDown), "shutting down"),
        (.unavailable(.exhausted(SQLState("53100"))), "the database gave up (SQLSTATE 53100)"),
        (.unavailable(.nodeUnreachable(SQLState("08006"))), "a node of the database is out of reach (SQLSTATE 08006)"),
        (.refused(SQLState("42P01"), constraint: nil), "the database refused the statement (SQLSTATE 42P01)"),
        (
            .refused(SQLState("23505"), constraint: "a_unique"),
            "the database refused the statement (SQLSTATE 23505, constraint a_unique)"
        ),
        (.undecodable(statement: "find", column: "brand"), "unexpected result of find, column brand"),
        (.cancelled, "cancelled"),
    ])
    func `an error says what is wrong`(error: DatabaseError, description: String) {
        #expect("\(error)" == description)
    }

    @Test func `a check fails for good, but for that of a partition, which has no constraint's name`() {
        for (code, constraint, passes) in [
            ("23514", "items_check", [false, false]), ("23514", nil, [true, false]), ("40001", nil, [true, true]),
            ("23505", nil, [false, false]), ("22001", nil, [false, false]),
        ] as [(String, String?, [Bool])] {
            var triedAgain: Set<SQLState.Retry> = []
            let attempts = passes.map { _ in SQLState(code).mayPassAtOnce(constraint: constraint, &triedAgain) }
            #expect(attempts == passes, "\(code)")
        }
    }

    @Test func `a node is lost where SQLSTATE says so, or the message of Citus`() {
        let lost = "failure on connection marked as essential: 10.0.0.7:5432"
        for (code, message, isOfNode) in [
            ("08006", "", true), ("08001", "", true), ("08000", "", true), ("08003", "", true), ("08P01", "", false),
            ("57P01", "", false), ("XX000", lost, true), ("XX000", "cache lookup failed", false),
            ("XX001", lost, false),
            ("23505", lost, false),
        ] {
            #expect(SQLState(code).isOfNode(message: message) == isOfNode, "\(code) \(message)")
        }
    }
}
