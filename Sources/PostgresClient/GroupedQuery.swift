internal import Synchronization

/// Answers many callers with one execution: those who ask while an execution is under way go together in the next one.
/// Nobody waits for company: an idle connection takes a lone caller at once.
package final class GroupedQuery<Input: Sendable, Output: Sendable>: DatabaseQuery {
    let statement: Statement
    fileprivate let statementForResend: Statement
    package let subqueue: SubqueueKey
    private let metrics: StatementMetrics
    private let key: (@Sendable (Input) -> UInt8)?
    fileprivate let encode: @Sendable ([Input]) -> [Parameter]
    fileprivate let decode: @Sendable (borrowing QueryResult, [Input]) throws(DatabaseError) -> [Output]

    /// - Parameters:
    ///   - name: as for ``Query``.
    ///   - sql: must be safe to carry out twice, as for ``Query``, or there must be an `sqlForResend`.
    ///   - sqlForResend: sent in place of `sql` where that may have been carried out before for any of the callers.
    ///   - maxBatchSize: at most so many callers in one execution.
    ///   - maxConcurrentBatches: at most so many executions under way at once; fewer make larger batches.
    ///   - key: only inputs with the same one go together, and they lie on one node.
    ///   - encode: the parameters for all inputs.
    ///   - decode: one output per input, in the order of the inputs.
    package init(
        _ name: String, _ sql: String, sqlForResend: String? = nil, maxBatchSize: Int, maxConcurrentBatches: Int,
        key: (@Sendable (Input) -> UInt8)? = nil, encode: @escaping @Sendable ([Input]) -> [Parameter],
        decode: @escaping @Sendable (borrowing QueryResult, [Input]) throws(DatabaseError) -> [Output]
    ) {
        statement = Statement(name: name, sql: sql)
        statementForResend = sqlForResend.map { Statement(name: "\(name)_again", sql: $0) } ?? statement
        subqueue = SubqueueKey(name: name, maxBatchSize: maxBatchSize, maxConcurrentBatches: maxConcurrentBatches)
        metrics = StatementMetrics(name, isGrouped: true)
        self.key = key
        self.encode = encode
        self.decode = decode
    }

    package func batchKey(of input: Input) -> UInt8 { key?(input) ?? 0 }

    /// Whether what fails the batch for want of a node fails each of its members.
    fileprivate var isOnOneNode: Bool { key != nil }

    package func execute(
        _ first: PendingCall<Input, Output>, of batch: [any PendingQuery], on connection: inout Connection
    ) -> BatchOutcome {
        let start = ContinuousClock.now
        defer { metrics.record(since: start, callers: batch.count) }
        return type(of: first).execute(self, for: first.calls(in: batch), on: &connection)
    }
}

/// Here and not in the query, whose type would have to look up that of its calls for every batch.
extension PendingCall {
    fileprivate static func execute(
        _ query: GroupedQuery<Input, Output>, for batch: [PendingCall], triedAgain: Set<SQLState.Retry> = [],
        on connection: inout Connection
    ) -> BatchOutcome {
        var (calls, triedAgain) = (batch, triedAgain)
        /// The earliest deadline of those who wait; whoever's time is up is told so and waits no more.
        func earliestDeadline() -> Deadline? {
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
                if call.mayHaveBeenSent.load(ordering: .relaxed) { statement = query.statementForResend }
            }
            let result: QueryResult
            do throws(ExecutionError) {
                result = try connection.execute(
                    statement, query.encode(inputs), until: deadline, whenPast: earliestDeadline)
            } catch {
                switch error {
                case .notSent:
                    return .connectionLost(unanswered: calls)
                case .connectionBroken:
                    for call in calls { call.mayHaveBeenSent.store(true, ordering: .relaxed) }
                    return .connectionLost(unanswered: calls)
                case .abandoned:
                    return .connectionLost(unanswered: [])
                case .nodeUnreachable(let state, _):
                    if triedAgain.insert(.node).inserted {
                        for call in calls { call.mayHaveBeenSent.store(true, ordering: .relaxed) }
                        continue
                    }
                    if !query.isOnOneNode, calls.count > 1 {
                        return executeHalves(query, of: calls, triedAgain, on: &connection)
                    }
                    return failAll(.unavailable(.nodeUnreachable(state)))
                case .refused(let state, let constraint, _, _):
                    if state.mayPassAtOnce(constraint: constraint, &triedAgain) { continue }
                    if state.consequence == .dataError, calls.count > 1 {
                        return executeHalves(query, of: calls, triedAgain, on: &connection)
                    }
                    return failAll(state.error(constraint: constraint))
                }
            }
            do throws(DatabaseError) {
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
        _ query: GroupedQuery<Input, Output>, of calls: [PendingCall], _ triedAgain: Set<SQLState.Retry>,
        on connection: inout Connection
    ) -> BatchOutcome {
        let half = calls.count / 2
        let rest = Array(calls[half...])
        switch execute(query, for: Array(calls[..<half]), triedAgain: triedAgain, on: &connection) {
        case .answered: return execute(query, for: rest, triedAgain: triedAgain, on: &connection)
        case .connectionLost(let unanswered): return .connectionLost(unanswered: unanswered + rest)
        }
    }
}
