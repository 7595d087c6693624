// A statement together with how its parameters are made and its answer is read.

/// A name for the server to remember the statement by, and its text.
package struct Statement: Sendable {
    package let name: String
    package let sql: String

    package init(_ name: String, _ sql: String) {
        self.name = name
        self.sql = sql
    }
}

/// One kind of question to the database: an input goes in, an output comes back.
package final class Query<Input: Sendable, Output: Sendable>: Sendable {
    let statement: Statement
    let statementForResend: Statement
    let encode: @Sendable (Input, inout Parameters) -> Void
    let decode: @Sendable (borrowing QueryResult) throws(DatabaseError) -> Output

    /// - Parameters:
    ///   - statement: must be safe to carry out twice, or have a `statementForResend`: after a broken connection
    ///     nobody knows whether it was carried out, and it is sent again until the caller's deadline.
    ///   - statementForResend: sent in place of `statement` where it may have been carried out before.
    ///   - encode: adds the parameters.
    package init(
        _ statement: Statement, statementForResend: Statement? = nil,
        encode: @escaping @Sendable (Input, inout Parameters) -> Void,
        decode: @escaping @Sendable (borrowing QueryResult) throws(DatabaseError) -> Output
    ) {
        self.statement = statement
        self.statementForResend = statementForResend ?? statement
        self.encode = encode
        self.decode = decode
    }

    /// - Parameter readOne: reads the only row; another number of rows is an error.
    package convenience init(
        _ statement: Statement, statementForResend: Statement? = nil,
        encode: @escaping @Sendable (Input, inout Parameters) -> Void,
        readOne: @escaping @Sendable (inout Row) throws(DatabaseError) -> Output
    ) {
        self.init(
            statement, statementForResend: statementForResend, encode: encode,
            decode: { (result) throws(DatabaseError) in try result.one(readOne) })
    }

    /// - Parameter readOptional: reads the only row, if there is one; several rows are an error.
    package convenience init<Value>(
        _ statement: Statement, statementForResend: Statement? = nil,
        encode: @escaping @Sendable (Input, inout Parameters) -> Void,
        readOptional: @escaping @Sendable (inout Row) throws(DatabaseError) -> Value
    ) where Output == Value? {
        self.init(
            statement, statementForResend: statementForResend, encode: encode,
            decode: { (result) throws(DatabaseError) in try result.oneOrNone(readOptional) })
    }

    /// - Parameter readEach: reads a row; the output has a value for each.
    package convenience init<Value>(
        _ statement: Statement, statementForResend: Statement? = nil,
        encode: @escaping @Sendable (Input, inout Parameters) -> Void,
        readEach: @escaping @Sendable (inout Row) throws(DatabaseError) -> Value
    ) where Output == [Value] {
        self.init(
            statement, statementForResend: statementForResend, encode: encode,
            decode: { (result) throws(DatabaseError) in try result.map(readEach) })
    }

    /// Reads nothing of the answer.
    package convenience init(
        _ statement: Statement, statementForResend: Statement? = nil,
        encode: @escaping @Sendable (Input, inout Parameters) -> Void
    ) where Output == Void {
        self.init(statement, statementForResend: statementForResend, encode: encode, decode: { _ in })
    }
}

/// A query in the queue, with the caller who waits for its answer.
final class PendingSingleQuery<Input: Sendable, Output: Sendable>: PendingQuery {
    let id: UInt64
    let deadline: ContinuousClock.Instant
    private let query: Query<Input, Output>
    private let input: Input
    private let mayHaveBeenSent: Bool
    private let continuation: AnswerContinuation<Output>

    init(
        id: UInt64, query: Query<Input, Output>, input: Input, deadline: ContinuousClock.Instant,
        mayHaveBeenSent: Bool = false, continuation: AnswerContinuation<Output>
    ) {
        self.id = id
        self.deadline = deadline
        self.query = query
        self.input = input
        self.mayHaveBeenSent = mayHaveBeenSent
        self.continuation = continuation
    }

    func fail(_ error: DatabaseError) { continuation.resume(throwing: error) }

    /// Alone: batches of queries that are not grouped have one member.
    func execute(_: [any PendingQuery], on connection: inout Connection) -> BatchOutcome {
        while !deadline.hasPassed {
            var parameters = Parameters()
            query.encode(input, &parameters)
            let result: QueryResult
            do throws(ExecutionError) {
                result = try connection.execute(
                    mayHaveBeenSent ? query.statementForResend : query.statement, parameters, until: deadline,
                    whenPast: { nil })
            } catch {
                switch error {
                case .notSent:
                    return .requeue([self])
                case .connectionBroken:
                    return .requeue([possiblySent()])
                case .abandoned:
                    fail(.unavailable(.timedOut))
                    return .connectionUnusable
                case .refused(let state, let constraint, _, _):
                    if state.consequence == .tryAgain { continue }
                    fail(state.error(constraint: constraint))
                    return .answered
                }
            }
            do throws(DatabaseError) {
                continuation.resume(returning: try query.decode(result))
            } catch {
                fail(error)
            }
            return .answered
        }
        fail(.unavailable(.timedOut))
        return .answered
    }

    private func possiblySent() -> PendingSingleQuery {
        PendingSingleQuery(
            id: id, query: query, input: input, deadline: deadline, mayHaveBeenSent: true, continuation: continuation)
    }
}
