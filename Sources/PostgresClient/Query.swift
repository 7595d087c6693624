internal import Metrics

/// A name for the server to remember the statement by, and its text.
struct Statement {
    let name: String
    let sql: String
}

/// How long executions of a statement take, and how many callers each answers where it is grouped.
struct StatementMetrics: Sendable {
    private let duration: Metrics.Timer
    private let size: Recorder?

    init(_ statement: String, isGrouped: Bool = false) {
        let dimensions = [("statement", statement)]
        duration = Metrics.Timer(label: "db_client_operation_duration_seconds", dimensions: dimensions)
        size = isGrouped ? Recorder(label: "db_client_group_size", dimensions: dimensions) : nil
    }

    func record(since start: ContinuousClock.Instant, callers: Int = 1) {
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        duration.recordNanoseconds(seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
        size?.record(callers)
    }
}

package typealias RowReader<Value> = @Sendable (inout Row) throws(DatabaseError) -> Value

/// One kind of question to the database: a statement's parameters go in, an output comes back.
package final class Query<Output: Sendable>: DatabaseQuery {
    let statement: Statement
    private let metrics: StatementMetrics
    let decode: @Sendable (borrowing QueryResult) throws(DatabaseError) -> Output

    /// - Parameters:
    ///   - name: for the server to remember the statement by.
    ///   - sql: must be safe to carry out twice: after a broken connection nobody knows whether it was carried out, and
    ///     it is sent again until the caller's deadline.
    package init(
        _ name: String, _ sql: String,
        decode: @escaping @Sendable (borrowing QueryResult) throws(DatabaseError) -> Output
    ) {
        statement = Statement(name: name, sql: sql)
        metrics = StatementMetrics(name)
        self.decode = decode
    }

    /// - Parameter readOne: reads the only row; another number of rows is an error.
    package convenience init(_ name: String, _ sql: String, readOne: @escaping RowReader<Output>) {
        self.init(name, sql) { (result) throws(DatabaseError) in
            guard result.rowCount == 1, let output = try result.map(readOne).first else {
                throw result.unexpectedRowCount
            }
            return output
        }
    }

    /// - Parameter readOptional: reads the only row, if there is one; several rows are an error.
    package convenience init<Value>(_ name: String, _ sql: String, readOptional: @escaping RowReader<Value>)
    where Output == Value? {
        self.init(name, sql) { (result) throws(DatabaseError) in
            guard result.rowCount <= 1 else { throw result.unexpectedRowCount }
            return try result.map(readOptional).first
        }
    }

    /// - Parameter readEach: reads a row; the output has a value for each.
    package convenience init<Value>(_ name: String, _ sql: String, readEach: @escaping RowReader<Value>)
    where Output == [Value] {
        self.init(name, sql) { (result) throws(DatabaseError) in try result.map(readEach) }
    }

    /// Reads nothing of the answer.
    package convenience init(_ name: String, _ sql: String) where Output == Void {
        self.init(name, sql, decode: { _ in })
    }

    package var subqueue: SubqueueKey { .single }

    package func batchKey(of _: [Parameter]) -> UInt8 { 0 }

    /// Alone: batches of queries that are not grouped have one member.
    package func execute(
        _ call: PendingCall<[Parameter], Output>, of _: [any PendingQuery], on connection: inout Connection
    ) -> BatchOutcome {
        let start = ContinuousClock.now
        defer { metrics.record(since: start) }
        var triedAgain: Set<SQLState.Retry> = []
        while !call.deadline.hasPassed {
            let result: QueryResult
            do throws(ExecutionError) {
                result = try connection.execute(statement, call.input, until: call.deadline, whenPast: { nil })
            } catch {
                switch error {
                case .notSent, .connectionBroken:
                    return .connectionLost(unanswered: [call])
                case .abandoned:
                    call.fail(.unavailable(.timedOut))
                    return .connectionLost(unanswered: [])
                case .nodeUnreachable(let state, _):
                    if triedAgain.insert(.node).inserted { continue }
                    call.fail(.unavailable(.nodeUnreachable(state)))
                    return .answered
                case .refused(let state, let constraint, _, _):
                    if state.mayPassAtOnce(constraint: constraint, &triedAgain) { continue }
                    call.fail(state.error(constraint: constraint))
                    return .answered
                }
            }
            do throws(DatabaseError) {
                call.continuation.resume(returning: try decode(result))
            } catch {
                call.fail(error)
            }
            return .answered
        }
        call.fail(.unavailable(.timedOut))
        return .answered
    }
}
