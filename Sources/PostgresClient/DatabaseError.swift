/// What can go wrong with a query, as its caller sees it.
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
    /// PostgreSQL answers, and a node of its cluster that the statement needs does not.
    case nodeUnreachable(SQLState)
}

extension DatabaseError: CustomStringConvertible {
    /// Holds SQLSTATE and names only: PostgreSQL's message and DETAIL can hold a row's values.
    package var description: String {
        switch self {
        case .unavailable(.overloaded): "too many queries waiting"
        case .unavailable(.timedOut): "no answer from the database in time"
        case .unavailable(.shuttingDown): "shutting down"
        case .unavailable(.exhausted(let state)): "the database gave up (SQLSTATE \(state))"
        case .unavailable(.nodeUnreachable(let state)): "a node of the database is out of reach (SQLSTATE \(state))"
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
    /// The process may open no more files.
    case tooManyDescriptors
}

/// What became of one attempt on one connection.
enum ExecutionError: Error {
    /// The connection was found dead before anything was sent on it.
    case notSent
    /// The connection died after sending: the statement may have been carried out.
    case connectionBroken
    /// Every caller's deadline passed: the connection is in the middle of a query and of no use any more.
    case abandoned
    /// A node that the statement needs is out of reach: the statement may have been carried out.
    case nodeUnreachable(SQLState, message: String)
    case refused(SQLState, constraint: String?, message: String, position: Int?)
}

/// Why no connection could be made, or a statement run outside the queue failed: for the operator.
package struct ConnectionError: Error, Equatable {
    /// Of a connection: names hosts, databases and users, no password. Of a statement: not for logs.
    package let message: String
    package private(set) var sqlState: SQLState?
    /// Where in the text, in characters from 1, PostgreSQL found the fault.
    private(set) var position: Int?

    static let unexpectedResult = ConnectionError(
        message: "the database's answer has another shape than this build expects")

    /// The message with its SQLSTATE.
    package var line: String { message + (sqlState.map { " (SQLSTATE \($0))" } ?? "") }
}

extension ConnectionError {
    init(_ failure: ExecutionError) {
        switch failure {
        case .notSent, .connectionBroken: message = "the connection to the database was lost"
        case .abandoned: message = "the database did not answer in time"
        case .nodeUnreachable(let state, let text): (message, sqlState) = (text, state)
        case .refused(let state, _, let text, let at): (message, sqlState, position) = (text, state, at)
        }
    }
}
