// A query whose callers share executions.

/// Answers many callers with one execution: those who ask while an execution is under way go together in the next one.
/// Nobody waits for company: an idle connection takes a lone caller at once.
package final class GroupedQuery<Input: Sendable, Output: Sendable>: Sendable {
    let statement: Statement
    let statementForResend: Statement
    let subqueue: QueryQueue.SubqueueKey
    let encode: @Sendable ([Input], inout Parameters) -> Void
    let decode: @Sendable (borrowing QueryResult, [Input]) throws(DatabaseError) -> [Output]

    /// - Parameters:
    ///   - statement: as for ``Query``.
    ///   - statementForResend: sent in place of `statement` where it may have been carried out before for any of them.
    ///   - maxBatchSize: at most so many callers in one execution.
    ///   - maxConcurrentBatches: at most so many executions under way at once; fewer make larger batches.
    ///   - encode: adds the parameters for all inputs.
    ///   - decode: one output per input, in the order of the inputs.
    package init(
        _ statement: Statement, statementForResend: Statement? = nil, maxBatchSize: Int, maxConcurrentBatches: Int,
        encode: @escaping @Sendable ([Input], inout Parameters) -> Void,
        decode: @escaping @Sendable (borrowing QueryResult, [Input]) throws(DatabaseError) -> [Output]
    ) {
        self.statement = statement
        self.statementForResend = statementForResend ?? statement
        subqueue = QueryQueue.SubqueueKey(
            name: statement.name, maxBatchSize: maxBatchSize, maxConcurrentBatches: maxConcurrentBatches)
        self.encode = encode
        self.decode = decode
    }
}

/// One caller's part of a grouped query, in the queue.
final class PendingGroupedQuery<Input: Sendable, Output: Sendable>: PendingQuery {
    let id: UInt64
    let deadline: ContinuousClock.Instant
    private let query: GroupedQuery<Input, Output>
    private let input: Input
    private let mayHaveBeenSent: Bool
    private let continuation: AnswerContinuation<Output>

    init(
        id: UInt64, query: GroupedQuery<Input, Output>, input: Input, deadline: ContinuousClock.Instant,
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

    func execute(_ batch: [any PendingQuery], on connection: inout Connection) -> BatchOutcome {
        var members: [PendingGroupedQuery] = []
        members.reserveCapacity(batch.count)
        for pending in batch {
            // `Self` is at hand; spelled out, the type would be looked up for every caller.
            if let member = pending as? Self {
                members.append(member)
            } else {
                // Two queries of different types have the same statement name.
                pending.fail(.undecodable(statement: query.statement.name, column: "type"))
            }
        }
        return Self.execute(query, for: members, on: &connection)
    }

    private func possiblySent() -> PendingGroupedQuery {
        PendingGroupedQuery(
            id: id, query: query, input: input, deadline: deadline, mayHaveBeenSent: true, continuation: continuation)
    }

    private static func execute(
        _ query: GroupedQuery<Input, Output>, for batch: [PendingGroupedQuery], on connection: inout Connection
    ) -> BatchOutcome {
        var members = batch
        /// The earliest deadline of those who wait; whoever's time is up is told so and waits no more.
        func earliestDeadline() -> ContinuousClock.Instant? {
            while var earliest = members.first?.deadline {
                for member in members { earliest = min(earliest, member.deadline) }
                guard earliest.hasPassed else { return earliest }
                members.removeAll { member in
                    guard member.deadline.hasPassed else { return false }
                    member.fail(.unavailable(.timedOut))
                    return true
                }
            }
            return nil
        }
        func failAll(_ error: DatabaseError) -> BatchOutcome {
            for member in members { member.fail(error) }
            return .answered
        }

        while let deadline = earliestDeadline() {
            let asked = members
            var inputs: [Input] = []
            inputs.reserveCapacity(asked.count)
            var statement = query.statement
            // A loop, since closures over a generic type's values would put each of these on the heap.
            for member in asked {
                inputs.append(member.input)
                if member.mayHaveBeenSent { statement = query.statementForResend }
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
                    return .requeue(members)
                case .connectionBroken:
                    return .requeue(members.map { $0.possiblySent() })
                case .abandoned:
                    return .connectionUnusable
                case .refused(let state, let constraint, _, _):
                    switch state.consequence {
                    case .tryAgain:
                        continue
                    case .dataError where members.count > 1:
                        return executeHalves(query, of: members, on: &connection)
                    case .exhausted, .dataError, .bug, .prepareAgain, .connectionBroken:
                        return failAll(state.error(constraint: constraint))
                    }
                }
            }
            do throws(DatabaseError) {
                let outputs = try query.decode(result, inputs)
                // Some may have been told meanwhile that their time is up: they left `members`.
                var open = 0
                for index in asked.indices.prefix(outputs.count)
                where open < members.count && members[open] === asked[index] {
                    members[open].continuation.resume(returning: outputs[index])
                    open += 1
                }
                members.removeFirst(open)
                return failAll(.undecodable(statement: statement.name, column: "row count"))
            } catch {
                return failAll(error)
            }
        }
        return .answered
    }

    /// One bad row must not fail its neighbours, and finding it must not cost a commit for each of them.
    private static func executeHalves(
        _ query: GroupedQuery<Input, Output>, of members: [PendingGroupedQuery], on connection: inout Connection
    ) -> BatchOutcome {
        let half = members.count / 2
        let rest = Array(members[half...])
        switch execute(query, for: Array(members[..<half]), on: &connection) {
        case .answered: return execute(query, for: rest, on: &connection)
        case .connectionUnusable: return .requeue(rest)
        case .requeue(let unanswered): return .requeue(unanswered + rest)
        }
    }
}
