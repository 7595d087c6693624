internal import CLibpq

/// The answer to a statement. Owns a `PGresult` and frees it.
@safe package struct QueryResult: ~Copyable {
    private let pointer: OpaquePointer
    private let statement: String

    init(owning pointer: OpaquePointer, statement: String) {
        unsafe self.pointer = pointer
        self.statement = statement
    }

    deinit { unsafe PQclear(pointer) }

    package var rowCount: Int { Int(unsafe PQntuples(pointer)) }

    /// Reads every row in order.
    package func forEachRow(_ read: (inout Row) throws(DatabaseError) -> Void) throws(DatabaseError) {
        let columnCount = unsafe PQnfields(pointer)
        for index in 0..<rowCount {
            var row = unsafe Row(pointer: pointer, index: Int32(index), columnCount: columnCount, statement: statement)
            try read(&row)
            try row.checkIsReadToItsEnd()
        }
    }

    /// A value for every row in order.
    package func map<Value>(
        _ read: (inout Row) throws(DatabaseError) -> Value
    ) throws(DatabaseError) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(rowCount)
        try forEachRow { (row) throws(DatabaseError) in values.append(try read(&row)) }
        return values
    }

    /// The value of the only row.
    package func one<Value>(
        _ read: (inout Row) throws(DatabaseError) -> Value
    ) throws(DatabaseError) -> Value {
        guard rowCount == 1, let value = try map(read).first else { throw unexpectedRowCount }
        return value
    }

    /// The value of the only row; `nil` where there is none.
    package func oneOrNone<Value>(
        _ read: (inout Row) throws(DatabaseError) -> Value
    ) throws(DatabaseError) -> Value? {
        guard rowCount <= 1 else { throw unexpectedRowCount }
        return try map(read).first
    }

    private var unexpectedRowCount: DatabaseError { .undecodable(statement: statement, column: "row count") }

    var status: ExecStatusType { unsafe PQresultStatus(pointer) }

    /// - Parameter code: as the protocol writes it: `C` for the SQLSTATE, say.
    func errorField(_ code: Unicode.Scalar) -> String? {
        guard let text = unsafe PQresultErrorField(pointer, CInt(code.value)) else { return nil }
        return unsafe String(cString: text)
    }
}
