// What can go wrong with a query, as its caller sees it.

package enum DatabaseError: Error, Sendable, Equatable {
    /// No answer could be had: worth another try later. Nothing is known to be wrong with the query.
    case unavailable(Unavailability)
    /// PostgreSQL refused the statement.
    case refused(SQLState, constraint: String?)
    /// The answer was not of the shape that the code expects: the code and the schema disagree.
    case undecodable(statement: String, column: String)
    /// The caller's task was cancelled while it waited in line.
    case cancelled
}

package enum Unavailability: Sendable, Equatable {
    /// The waiting line is full.
    case overloaded
    /// The deadline passed, in line or while PostgreSQL worked on it.
    case timedOut
    case shuttingDown
    /// PostgreSQL gave up for want of time, locks or resources (SQLSTATE 57014, 55P03, 53xxx).
    case exhausted(SQLState)
}

extension DatabaseError: CustomStringConvertible {
    /// Holds SQLSTATE and names only: PostgreSQL's message and DETAIL can hold a row's values.
    package var description: String {
        switch self {
        case .unavailable(.overloaded): "too many queries waiting"
        case .unavailable(.timedOut): "no answer from the database in time"
        case .unavailable(.shuttingDown): "shutting down"
        case .unavailable(.exhausted(let state)): "the database gave up (SQLSTATE \(state))"
        case .refused(let state, let constraint):
            "the database refused the statement (SQLSTATE \(state)\(constraint.map { ", constraint \($0)" } ?? ""))"
        case .undecodable(let statement, let column): "unexpected result of \(statement), column \(column)"
        case .cancelled: "cancelled"
        }
    }
}

/// The five characters that decide what happens after an error (PostgreSQL, appendix A).
package struct SQLState: Sendable, Equatable, CustomStringConvertible {
    package let code: String

    package init(_ code: String) { self.code = code }
    package var description: String { code }

    enum Consequence {
        /// The server or the session is going away, or stopped being the primary: use another connection.
        case connectionBroken
        /// No time, no lock, no memory, no disk.
        case exhausted
        /// Serialization failure or deadlock: the same statement may pass at once.
        case tryAgain
        /// The prepared statement is not known to this session (a pooler may have changed it underneath).
        case prepareAgain
        /// A value does not fit its column or breaks a constraint: the fault lies in one row.
        case dataError
        case bug
    }

    var consequence: Consequence {
        switch code {
        case "57014", "55P03": .exhausted
        case "40001", "40P01": .tryAgain
        case "26000": .prepareAgain
        case "25006": .connectionBroken
        case _ where code.hasPrefix("08") || code.hasPrefix("57P"): .connectionBroken
        case _ where code.hasPrefix("53"): .exhausted
        case _ where code.hasPrefix("22") || code.hasPrefix("23"): .dataError
        default: .bug
        }
    }
}

/// What became of one attempt on one connection.
enum AttemptFailure: Error {
    /// The connection was found dead before anything was sent on it.
    case notSent
    /// The connection died after sending: the statement may have been carried out.
    case connectionBroken
    /// Every caller's deadline passed: the connection is in the middle of a query and of no use any more.
    case abandoned
    case refused(SQLState, constraint: String?, message: String, position: Int?)
}
