// What can go wrong with a query, as its caller sees it.

package enum DatabaseError: Error, Sendable, Equatable {
    /// No answer could be had: worth another try later. Nothing is known to be wrong with the query.
    case unavailable(Unavailability)
    /// PostgreSQL refused the statement.
    case refused(SQLState, constraint: String?)
    /// The answer was not of the shape that the code expects: the code and the schema disagree.
    case undecodable(statement: String, column: String)
    /// The caller's task was cancelled while it waited in the queue.
    case cancelled
}

package enum Unavailability: Sendable, Equatable {
    /// The queue is full.
    case overloaded
    /// The deadline passed, in the queue or while PostgreSQL worked on it.
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

/// Why a client does not start.
package enum DatabaseClientStartError: Error {
    /// A client runs once.
    case startedBefore
    /// The system gives no more threads.
    case noThread
}

/// Why no connection could be made.
package struct ConnectionError: Error {
    /// libpq's message: names hosts, databases and users, no password.
    package let message: String
}

/// What became of one attempt on one connection.
enum ExecutionError: Error {
    /// The connection was found dead before anything was sent on it.
    case notSent
    /// The connection died after sending: the statement may have been carried out.
    case connectionBroken
    /// Every caller's deadline passed: the connection is in the middle of a query and of no use any more.
    case abandoned
    case refused(SQLState, constraint: String?, message: String, position: Int?)
}

/// Why a statement run outside the queue failed: for the operator at the terminal, not for logs.
package struct ScriptError: Error, Equatable {
    package let sqlState: SQLState?
    package let message: String
    /// Where in the text, in characters from 1, PostgreSQL found the fault.
    package let position: Int?

    private init(message: String) {
        (sqlState, self.message, position) = (nil, message, nil)
    }

    package static let unexpectedResult = ScriptError(
        message: "the database's answer has another shape than this build expects")

    init(_ failure: ExecutionError) {
        switch failure {
        case .notSent, .connectionBroken:
            (sqlState, message, position) = (nil, "the connection to the database was lost", nil)
        case .abandoned:
            (sqlState, message, position) = (nil, "the database did not answer in time", nil)
        case .refused(let state, _, let text, let at):
            (sqlState, message, position) = (state, text, at)
        }
    }
}
