internal import CLibpq
internal import Foundation

/// One connection to PostgreSQL, driven without blocking past a deadline.
///
/// Owns a `PGconn` and closes it. Used by one thread at a time.
@safe package struct Connection: ~Copyable {
    private let pointer: OpaquePointer
    private var prepared: Set<String> = []

    private init(owning pointer: OpaquePointer) { unsafe self.pointer = pointer }

    /// Blocks, at most 2 s a host where the address says no `connect_timeout`, unless the name look-up takes longer: for a
    /// thread of its own.
    ///
    /// - Parameter settings: run once as they are, such as `SET lock_timeout = '1s'`.
    package static func open(
        to address: DatabaseAddress, applicationName: String, settings: String
    ) throws(ConnectionError) -> Connection {
        // libpq takes arrays of C strings, each ended by a null pointer.
        func cStrings(_ strings: [String]) -> [UnsafePointer<CChar>?] {
            unsafe strings.map { unsafe UnsafePointer(strdup($0)) } + [nil]
        }
        // What comes later wins, and PGCONNECT_TIMEOUT counts only where there is no keyword.
        let timeout = ProcessInfo.processInfo.environment["PGCONNECT_TIMEOUT"] ?? "2"
        let keywords = unsafe cStrings(["connect_timeout", "fallback_application_name", "dbname", "client_encoding"])
        let values = unsafe cStrings([timeout, applicationName, address.connectionString, "UTF8"])
        defer { unsafe (keywords + values).forEach { unsafe free(UnsafeMutablePointer(mutating: $0)) } }
        let pointer = unsafe PQconnectdbParams(keywords, values, 1)
        guard let pointer = unsafe pointer else { throw ConnectionError(message: "out of memory") }
        var connection = unsafe Connection(owning: pointer)
        guard unsafe PQstatus(pointer) == CONNECTION_OK, unsafe PQsetnonblocking(pointer, 1) == 0 else {
            throw ConnectionError(message: connection.errorMessage)
        }
        unsafe PQsetNoticeProcessor(pointer, { _, _ in }, nil)
        do throws(ConnectionError) {
            try connection.execute(script: settings, until: .now + .seconds(2))
        } catch {
            throw ConnectionError(message: "session settings: \(error.message)")
        }
        return connection
    }

    deinit { unsafe PQfinish(pointer) }

    var socket: CInt { unsafe PQsocket(pointer) }

    package var isInTransaction: Bool { unsafe PQtransactionStatus(pointer) == PQTRANS_INTRANS }

    private var errorMessage: String {
        unsafe String(cString: PQerrorMessage(pointer)).split(whereSeparator: \.isNewline).joined(separator: "; ")
    }

    /// Reads what has come on an idle connection. False when the server closed it.
    func isAliveAfterReading() -> Bool {
        unsafe PQconsumeInput(pointer) == 1 && PQstatus(pointer) == CONNECTION_OK
    }

    /// Executes a prepared statement, preparing it on first use.
    ///
    /// - Parameter whenPast: called when the deadline has passed; returns the next one to wait for, or `nil` to
    ///   give up, after which the connection can only be dropped.
    mutating func execute(
        _ statement: Statement, _ parameters: [Parameter], until deadline: Deadline, whenPast: () -> Deadline?
    ) throws(ExecutionError) -> QueryResult {
        var deadline = deadline
        if !prepared.contains(statement.name) {
            try prepare(statement, until: &deadline, whenPast: whenPast)
        }
        do {
            return try executePrepared(statement, parameters, until: &deadline, whenPast: whenPast)
        } catch .refused(let state, _, _, _) where state.consequence == .prepareAgain {
            try prepare(statement, until: &deadline, whenPast: whenPast)
            return try executePrepared(statement, parameters, until: &deadline, whenPast: whenPast)
        }
    }

    /// Runs SQL text of any number of statements through the simple query protocol.
    package mutating func execute(script: String, until deadline: Deadline) throws(ConnectionError) {
        do throws(ExecutionError) {
            guard unsafe PQsendQuery(pointer, script) == 1 else { throw .notSent }
            var deadline = deadline
            _ = try receive("script", until: &deadline, whenPast: { nil })
        } catch {
            throw ConnectionError(error)
        }
    }

    /// Runs one query outside the queue.
    package mutating func run<Output>(
        _ query: Query<Output>, _ parameters: [Parameter] = [], until deadline: Deadline
    ) throws(ConnectionError) -> Output {
        let result: QueryResult
        do throws(ExecutionError) {
            result = try execute(query.statement, parameters, until: deadline, whenPast: { nil })
        } catch {
            throw ConnectionError(error)
        }
        do throws(DatabaseError) {
            return try query.decode(result)
        } catch {
            throw .unexpectedResult
        }
    }

    /// The last is for tables that tell who changed them.
    static let operatorSettings =
        """
        SET lock_timeout = '3s'; SET client_min_messages = 'warning'; SET timezone = 'UTC'; \
        SET operator.os_user = '\(operatingSystemUser)'
        """

    /// Connects for an operator's command on a thread of its own and runs `body` there, since libpq may block.
    ///
    /// - Parameter failure: what a caller gets that could not be connected.
    package static func onThread<Value: Sendable, Failure: Error>(
        to address: DatabaseAddress, applicationName: String,
        _ body: @escaping @Sendable (inout Connection) throws(Failure) -> Value,
        cannotConnect failure: @escaping @Sendable (ConnectionError) -> Failure
    ) async throws(Failure) -> Value {
        let result: Result<Value, Failure> = await withCheckedContinuation { continuation in
            @Sendable func fail(_ reason: String) {
                let error = ConnectionError(message: "cannot connect to the database: \(reason)")
                continuation.resume(returning: .failure(failure(error)))
            }
            let started = startThread {
                do throws(ConnectionError) {
                    var connection = try open(
                        to: address, applicationName: applicationName, settings: operatorSettings)
                    continuation.resume(returning: Result { () throws(Failure) in try body(&connection) })
                } catch {
                    fail(error.message)
                }
            }
            if !started { fail("the system gives no more threads") }
        }
        return try result.get()
    }

    private mutating func prepare(
        _ statement: Statement, until deadline: inout Deadline, whenPast: () -> Deadline?
    ) throws(ExecutionError) {
        guard unsafe PQsendPrepare(pointer, statement.name, statement.sql, 0, nil) == 1 else { throw .notSent }
        do {
            _ = try receive(statement.name, until: &deadline, whenPast: whenPast)
        } catch .refused(let state, _, _, _) where state.code == "42P05" {
            // Prepared already, by an earlier user of the same server session behind a pooler.
        }
        // The unnamed statement lasts until the next query.
        if !statement.name.isEmpty { prepared.insert(statement.name) }
    }

    private func executePrepared(
        _ statement: Statement, _ parameters: [Parameter], until deadline: inout Deadline, whenPast: () -> Deadline?
    ) throws(ExecutionError) -> QueryResult {
        let parameters = PackedParameters(parameters)
        let values = parameters.values
        let lengths = values.map { Int32(max(0, $0.length)) }
        let formats = [Int32](repeating: 1, count: values.count)
        let sent = unsafe parameters.bytes.withUnsafeBufferPointer { bytes in
            // An empty value must still point somewhere: a null pointer means NULL.
            unsafe withUnsafePointer(to: CChar(0)) { empty in
                let pointers: [UnsafePointer<CChar>?] = unsafe values.map { value in
                    guard value.length >= 0 else { return nil }
                    guard value.length > 0, let base = bytes.baseAddress else { return unsafe empty }
                    return unsafe UnsafeRawPointer(base + value.start).assumingMemoryBound(to: CChar.self)
                }
                return unsafe PQsendQueryPrepared(
                    pointer, statement.name, Int32(values.count), pointers, lengths, formats, 1)
            }
        }
        guard sent == 1 else { throw .notSent }
        return try receive(statement.name, until: &deadline, whenPast: whenPast)
    }

    /// Flushes what was sent, while also reading (a server that blocks on writing its answer reads nothing more),
    /// until the whole answer is there.
    private func receive(
        _ statement: String, until deadline: inout Deadline, whenPast: () -> Deadline?
    ) throws(ExecutionError) -> QueryResult {
        var last: QueryResult?
        var hasFailed = false
        while true {
            let unflushed = unsafe PQflush(pointer)
            guard unflushed >= 0 else { throw .connectionBroken }
            if unflushed == 0, unsafe PQisBusy(pointer) == 0 {
                guard let next = unsafe PQgetResult(pointer) else { break }
                let result = unsafe QueryResult(owning: next, statement: statement)
                let isFailure: Bool
                switch result.status {
                case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
                    isFailure = false
                case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                    // It never ends by itself, and leaves the connection of no use for anything else.
                    throw .refused(
                        SQLState("0A000"), constraint: nil, message: "COPY from or to the client is not supported",
                        position: nil)
                default:
                    isFailure = true
                }
                // A script answers once a statement; the first failure is the one that counts.
                if !hasFailed { last = consume result }
                hasFailed = hasFailed || isFailure
                continue
            }
            let events = Int16(POLLIN) | (unflushed == 1 ? Int16(POLLOUT) : 0)
            guard let ready = wait(for: events, until: deadline) else {
                guard let next = whenPast() else { throw .abandoned }
                deadline = next
                continue
            }
            if ready & ~Int16(POLLOUT) != 0, unsafe PQconsumeInput(pointer) == 0 { throw .connectionBroken }
        }
        guard unsafe PQstatus(pointer) == CONNECTION_OK, let result = last else { throw .connectionBroken }
        guard hasFailed else { return result }
        // libpq reports a lost connection as an error without SQLSTATE.
        guard let state = result.errorField("C").map(SQLState.init) else { throw .connectionBroken }
        let message = result.errorField("M") ?? ""
        if state.isOfNode(message: message) { throw .nodeUnreachable(state, message: message) }
        guard state.consequence != .connectionBroken else { throw .connectionBroken }
        throw .refused(
            state, constraint: result.errorField("n"), message: message,
            // The second is the position in a statement that a function executed.
            position: (result.errorField("P") ?? result.errorField("p")).flatMap { Int($0) })
    }

    /// The events that came, or `nil` when the deadline passed.
    private func wait(for events: Int16, until deadline: Deadline) -> Int16? {
        var descriptor = pollfd(fd: socket, events: events, revents: 0)
        while true {
            let count = unsafe poll(&descriptor, 1, deadline.remainingMilliseconds)
            if count > 0 { return descriptor.revents }
            if count == 0 && deadline.hasPassed { return nil }
        }
    }
}
