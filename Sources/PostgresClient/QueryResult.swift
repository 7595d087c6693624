// The rows of an answer, decoded strictly: type and nullness must be what the code expects.

internal import CLibpq

/// Owns a `PGresult` and frees it.
@safe package struct QueryResult: ~Copyable {
    private let pointer: OpaquePointer
    private let statement: String

    init(owning pointer: OpaquePointer, statement: String) {
        unsafe self.pointer = pointer
        self.statement = statement
    }

    deinit { unsafe PQclear(pointer) }

    package var rowCount: Int { Int(unsafe PQntuples(pointer)) }

    /// Calls `body` for each row in order.
    package func forEachRow(_ body: (borrowing Row) throws(DatabaseError) -> Void) throws(DatabaseError) {
        for index in 0..<rowCount {
            let row = unsafe Row(pointer: pointer, index: Int32(index), statement: statement)
            try body(row)
        }
    }

    /// Decodes every row in order.
    package func map<Value>(
        _ decode: (borrowing Row) throws(DatabaseError) -> Value
    ) throws(DatabaseError) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(rowCount)
        for index in 0..<rowCount {
            let row = unsafe Row(pointer: pointer, index: Int32(index), statement: statement)
            let value = try decode(row)
            values.append(value)
        }
        return values
    }

    var status: ExecStatusType { unsafe PQresultStatus(pointer) }

    func errorField(_ code: Int32) -> String? {
        guard let text = unsafe PQresultErrorField(pointer, code) else { return nil }
        return unsafe String(cString: text)
    }
}

/// One row, borrowed from its result. Columns count from 0. Everything throws ``DatabaseError/undecodable(statement:column:)``
/// where type or nullness is not as asked for.
@safe package struct Row: ~Copyable {
    private let pointer: OpaquePointer
    private let index: Int32
    private let statement: String

    fileprivate init(pointer: OpaquePointer, index: Int32, statement: String) {
        unsafe self.pointer = pointer
        self.index = index
        self.statement = statement
    }

    package func text(_ column: Int) throws(DatabaseError) -> String {
        try require(column, try optionalText(column))
    }

    package func optionalText(_ column: Int) throws(DatabaseError) -> String? {
        guard let bytes = unsafe try value(column, ofType: 25) else { return nil }
        // Most texts are ASCII, for which the check is many times faster.
        if unsafe bytes.allSatisfy({ $0 < 0x80 }) { return unsafe String(decoding: bytes, as: UTF8.self) }
        guard let text = unsafe String(validating: bytes, as: UTF8.self) else { throw mismatch(column) }
        return text
    }

    package func blob(_ column: Int) throws(DatabaseError) -> [UInt8] {
        try require(column, try optionalBlob(column))
    }

    package func optionalBlob(_ column: Int) throws(DatabaseError) -> [UInt8]? {
        guard let bytes = unsafe try value(column, ofType: 17) else { return nil }
        return unsafe [UInt8](bytes)
    }

    package func int64(_ column: Int) throws(DatabaseError) -> Int64 {
        try require(column, try integer(column, ofType: 20, Int64.self))
    }

    package func optionalInt64(_ column: Int) throws(DatabaseError) -> Int64? {
        try integer(column, ofType: 20, Int64.self)
    }

    package func int32(_ column: Int) throws(DatabaseError) -> Int32 {
        try require(column, try integer(column, ofType: 23, Int32.self))
    }

    package func bool(_ column: Int) throws(DatabaseError) -> Bool {
        try require(column, try integer(column, ofType: 16, UInt8.self)) == 1
    }

    /// A `timestamptz` as whole Unix seconds, rounded down.
    package func unixSeconds(_ column: Int) throws(DatabaseError) -> Int64 {
        try require(column, try optionalUnixSeconds(column))
    }

    package func optionalUnixSeconds(_ column: Int) throws(DatabaseError) -> Int64? {
        try optionalUnixMicroseconds(column).map { ($0 - ($0 % 1_000_000 + 1_000_000) % 1_000_000) / 1_000_000 }
    }

    package func unixMicroseconds(_ column: Int) throws(DatabaseError) -> Int64 {
        try require(column, try optionalUnixMicroseconds(column))
    }

    /// A `timestamptz` as Unix microseconds. `infinity` does not decode.
    package func optionalUnixMicroseconds(_ column: Int) throws(DatabaseError) -> Int64? {
        guard let microseconds = try integer(column, ofType: 1184, Int64.self) else { return nil }
        guard microseconds != .max, microseconds != .min else { throw mismatch(column) }
        // PostgreSQL counts from 2000-01-01, and reaches further than the sum does.
        let (sum, overflow) = microseconds.addingReportingOverflow(946_684_800_000_000)
        guard !overflow else { throw mismatch(column) }
        return sum
    }

    /// A `text[]` of one dimension without NULLs.
    package func texts(_ column: Int) throws(DatabaseError) -> [String] {
        guard let bytes = unsafe try value(column, ofType: 1009) else { throw mismatch(column) }
        var offset = 0
        func next(_ length: Int) throws(DatabaseError) -> UnsafeRawBufferPointer {
            guard length >= 0, offset + length <= bytes.count else { throw mismatch(column) }
            defer { offset += length }
            return unsafe UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length])
        }
        func field() throws(DatabaseError) -> Int {
            Int(unsafe try next(4).loadUnaligned(as: Int32.self).bigEndian)
        }
        let dimensions = try field()
        _ = try field()
        _ = try field()
        guard dimensions == 1 else {
            guard dimensions == 0 else { throw mismatch(column) }
            return []
        }
        let count = try field()
        _ = try field()
        var texts: [String] = []
        for _ in 0..<count {
            guard let text = unsafe String(validating: try next(try field()), as: UTF8.self) else {
                throw mismatch(column)
            }
            texts.append(text)
        }
        return texts
    }

    private func integer<Number: FixedWidthInteger>(
        _ column: Int, ofType type: Oid, _: Number.Type
    ) throws(DatabaseError) -> Number? {
        guard let bytes = unsafe try value(column, ofType: type) else { return nil }
        guard bytes.count == MemoryLayout<Number>.size else { throw mismatch(column) }
        return unsafe bytes.loadUnaligned(as: Number.self).bigEndian
    }

    /// `nil` for NULL. Valid as long as the row is.
    private func value(_ column: Int, ofType type: Oid) throws(DatabaseError) -> UnsafeRawBufferPointer? {
        let column32 = Int32(column)
        guard unsafe column32 < PQnfields(pointer), unsafe PQftype(pointer, column32) == type,
            unsafe PQfformat(pointer, column32) == 1
        else { throw mismatch(column) }
        guard unsafe PQgetisnull(pointer, index, column32) == 0 else { return nil }
        let length = Int(unsafe PQgetlength(pointer, index, column32))
        return unsafe UnsafeRawBufferPointer(start: PQgetvalue(pointer, index, column32), count: length)
    }

    private func require<Value>(_ column: Int, _ value: Value?) throws(DatabaseError) -> Value {
        guard let value else { throw mismatch(column) }
        return value
    }

    /// For a value that has the right type and still breaks a rule of the caller's.
    package func mismatch(_ column: Int) -> DatabaseError {
        let name = unsafe PQfname(pointer, Int32(column)).map { unsafe String(cString: $0) }
        return .undecodable(statement: statement, column: name ?? "\(column)")
    }
}
