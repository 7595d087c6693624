// A statement together with how its parameters are made and its rows are read.

/// A name for the server to remember the statement by, and its text.
package struct Statement: Sendable {
    package let name: String
    package let sql: String

    package init(_ name: String, _ sql: String) {
        self.name = name
        self.sql = sql
    }
}

/// One kind of question to the database.
///
/// A grouped query answers many callers with one execution: those who ask while an execution is under way go together
/// in the next one. Nobody waits for company: an idle connection takes a lone caller at once.
package final class Query<Input: Sendable, Output: Sendable>: Sendable {
    /// How grouped callers share executions.
    package struct Group: Sendable {
        let callers: Int
        let executions: Int

        /// - Parameters:
        ///   - callers: at most so many in one execution.
        ///   - executions: at most so many under way at once; fewer make larger groups.
        package init(callers: Int, executions: Int) {
            self.callers = callers
            self.executions = executions
        }
    }

    let statement: Statement
    let statementForResend: Statement
    let subqueue: QueryQueue.SubqueueKey
    let encode: @Sendable ([Input], inout Parameters) -> Void
    let decode: @Sendable (borrowing QueryResult, [Input]) throws(DatabaseError) -> [Output]

    /// - Parameters:
    ///   - statement: must be safe to carry out twice, or have a `statementForResend`: after a broken connection
    ///     nobody knows whether it was carried out, and it is sent again until the caller's deadline.
    ///   - statementForResend: sent in place of `statement` where it may have been carried out before.
    ///   - encode: adds the parameters for all inputs; called with one input where the query is not grouped.
    ///   - decode: one output per input, in the order of the inputs.
    package init(
        _ statement: Statement, statementForResend: Statement? = nil, group: Group? = nil,
        encode: @escaping @Sendable ([Input], inout Parameters) -> Void,
        decode: @escaping @Sendable (borrowing QueryResult, [Input]) throws(DatabaseError) -> [Output]
    ) {
        self.statement = statement
        self.statementForResend = statementForResend ?? statement
        subqueue =
            group.map {
                QueryQueue.SubqueueKey(
                    name: statement.name, maxBatchSize: $0.callers, maxConcurrentBatches: $0.executions)
            }
            ?? .single
        self.encode = encode
        self.decode = decode
    }
}

/// A query in the queue. Whoever takes it out of the queue answers it, once.
protocol PendingQuery: AnyObject, Sendable {
    var id: UInt64 { get }
    var deadline: ContinuousClock.Instant { get }

    func fail(_ error: DatabaseError)

    /// Answers the whole batch, of which `self` is the first.
    func execute(_ batch: [any PendingQuery], on connection: inout Connection) -> BatchOutcome
}

enum BatchOutcome {
    case answered
    /// All are answered, but the connection is in the middle of a query.
    case connectionUnusable
    /// The connection broke; these are still to be answered.
    case requeue([any PendingQuery])
}

final class QueuedQuery<Input: Sendable, Output: Sendable>: PendingQuery {
    let id: UInt64
    let deadline: ContinuousClock.Instant
    private let query: Query<Input, Output>
    private let input: Input
    private let continuation: CheckedContinuation<Output, any Error>
    private let mayHaveBeenSent: Bool

    init(
        id: UInt64, query: Query<Input, Output>, input: Input, deadline: ContinuousClock.Instant,
        mayHaveBeenSent: Bool = false,
        continuation: CheckedContinuation<Output, any Error>
    ) {
        self.id = id
        self.query = query
        self.input = input
        self.deadline = deadline
        self.mayHaveBeenSent = mayHaveBeenSent
        self.continuation = continuation
    }

    func fail(_ error: DatabaseError) { continuation.resume(throwing: error) }

    func execute(_ batch: [any PendingQuery], on connection: inout Connection) -> BatchOutcome {
        var calls: [QueuedQuery] = []
        calls.reserveCapacity(batch.count)
        for waiter in batch {
            // `Self` is at hand; spelled out, the type would be looked up for every caller.
            if let call = waiter as? Self {
                calls.append(call)
            } else {
                // Two queries of different types have the same statement name.
                waiter.fail(.undecodable(statement: query.statement.name, column: "type"))
            }
        }
        return Self.execute(query, for: calls, on: &connection)
    }

    private func possiblySent() -> QueuedQuery {
        QueuedQuery(
            id: id, query: query, input: input, deadline: deadline, mayHaveBeenSent: true, continuation: continuation)
    }

    private static func execute(
        _ query: Query<Input, Output>, for batch: [QueuedQuery], on connection: inout Connection
    ) -> BatchOutcome {
        var calls = batch
        /// The earliest deadline of those who wait; whoever's time is up is told so and waits no more.
        func earliestDeadline() -> ContinuousClock.Instant? {
            while var earliest = calls.first?.deadline {
                for call in calls { earliest = min(earliest, call.deadline) }
                guard earliest.hasPassed else { return earliest }
                calls.removeAll { call in
                    guard call.deadline.hasPassed else { return false }
                    call.fail(.unavailable(.timedOut))
                    return true
                }
            }
            return nil
        }
        func failAll(_ error: DatabaseError) -> BatchOutcome {
            for call in calls { call.fail(error) }
            return .answered
        }

        while let deadline = earliestDeadline() {
            let asked = calls
            var inputs: [Input] = []
            inputs.reserveCapacity(asked.count)
            var statement = query.statement
            // A loop, since closures over a generic type's values would put each of these on the heap.
            for call in asked {
                inputs.append(call.input)
                if call.mayHaveBeenSent { statement = query.statementForResend }
            }
            var parameters = Parameters()
            query.encode(inputs, &parameters)
            let result: QueryResult
            do throws(ExecutionError) {
                result = try connection.execute(
                    statement, parameters, until: deadline, whenPast: earliestDeadline)
            } catch {
                switch error {
                case .notSent:
                    return .requeue(calls)
                case .connectionBroken:
                    return .requeue(calls.map { $0.possiblySent() })
                case .abandoned:
                    return .connectionUnusable
                case .refused(let state, let constraint, _, _):
                    switch state.consequence {
                    case .tryAgain:
                        continue
                    case .dataError where calls.count > 1:
                        return executeHalves(query, of: calls, on: &connection)
                    case .exhausted:
                        return failAll(.unavailable(.exhausted(state)))
                    case .dataError, .bug, .prepareAgain, .connectionBroken:
                        return failAll(.refused(state, constraint: constraint))
                    }
                }
            }
            do {
                let outputs = try query.decode(result, inputs)
                // Some may have been told meanwhile that their time is up: they left `calls`.
                var open = 0
                for index in asked.indices.prefix(outputs.count)
                where open < calls.count && calls[open] === asked[index] {
                    calls[open].continuation.resume(returning: outputs[index])
                    open += 1
                }
                calls.removeFirst(open)
                return failAll(.undecodable(statement: statement.name, column: "row count"))
            } catch {
                return failAll(error)
            }
        }
        return .answered
    }

    /// One bad row must not fail its neighbours, and finding it must not cost a commit for each of them.
    private static func executeHalves(
        _ query: Query<Input, Output>, of calls: [QueuedQuery], on connection: inout Connection
    ) -> BatchOutcome {
        let half = calls.count / 2
        let rest = Array(calls[half...])
        switch execute(query, for: Array(calls[..<half]), on: &connection) {
        case .answered: return execute(query, for: rest, on: &connection)
        case .connectionUnusable: return .requeue(rest)
        case .requeue(let unanswered): return .requeue(unanswered + rest)
        }
    }
}
