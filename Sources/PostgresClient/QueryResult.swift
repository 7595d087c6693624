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
    package func map<Value>(_ read: (inout Row) throws(DatabaseError) -> Value) throws(DatabaseError) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(rowCount)
        try forEachRow { (row) throws(DatabaseError) in values.append(try read(&row)) }
        return values
    }

    package var unexpectedRowCount: DatabaseError { .undecodable(statement: statement, column: "row count") }

    var status: ExecStatusType { unsafe PQresultStatus(pointer) }

    /// - Parameter code: as the protocol writes it: `C` for the SQLSTATE, say.
    func errorField(_ code: Unicode.Scalar) -> String? {
        guard let text = unsafe PQresultErrorField(pointer, CInt(code.value)) else { return nil }
        return unsafe String(cString: text)
    }
}

/// One row of an answer, borrowed from its result. Every call reads the next column, and at the end all must have been
/// read, so that a column list and its reader cannot drift apart.
///
/// Everything throws ``DatabaseError/undecodable(statement:column:)`` where type or nullness is not as asked for.
@safe package struct Row: ~Copyable {
    fileprivate let pointer: OpaquePointer
    fileprivate let index: Int32
    fileprivate let columnCount: Int32
    fileprivate let statement: String
    fileprivate var nextColumn: Int32 = 0

    package mutating func text() throws(DatabaseError) -> String {
        try require(try optionalText())
    }

    package mutating func optionalText() throws(DatabaseError) -> String? {
        guard let bytes = unsafe try value(ofType: 25) else { return nil }
        // Most texts are ASCII, for which the check is many times faster.
        if unsafe bytes.allSatisfy({ $0 < 0x80 }) { return unsafe String(decoding: bytes, as: UTF8.self) }
        guard let text = unsafe String(validating: bytes, as: UTF8.self) else { throw mismatch() }
        return text
    }

    package mutating func blob() throws(DatabaseError) -> [UInt8] {
        try require(try optionalBlob())
    }

    package mutating func optionalBlob() throws(DatabaseError) -> [UInt8]? {
        guard let bytes = unsafe try value(ofType: 17) else { return nil }
        return unsafe [UInt8](bytes)
    }

    /// The 16 bytes of a `uuid` as two big-endian words.
    package mutating func uuid() throws(DatabaseError) -> (UInt64, UInt64) {
        guard let bytes = unsafe try value(ofType: 2950), bytes.count == 16 else { throw mismatch() }
        return unsafe (
            bytes.loadUnaligned(as: UInt64.self).bigEndian,
            bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self).bigEndian
        )
    }

    package mutating func int64() throws(DatabaseError) -> Int64 {
        try require(try integer(ofType: 20, Int64.self))
    }

    package mutating func optionalInt64() throws(DatabaseError) -> Int64? {
        try integer(ofType: 20, Int64.self)
    }

    package mutating func int32() throws(DatabaseError) -> Int32 {
        try require(try integer(ofType: 23, Int32.self))
    }

    package mutating func bool() throws(DatabaseError) -> Bool {
        try require(try integer(ofType: 16, UInt8.self)) == 1
    }

    /// A `timestamptz` as whole Unix seconds, rounded down.
    package mutating func unixSeconds() throws(DatabaseError) -> Int64 {
        try require(try optionalUnixSeconds())
    }

    package mutating func optionalUnixSeconds() throws(DatabaseError) -> Int64? {
        try optionalUnixMicroseconds().map { ($0 - ($0 % 1_000_000 + 1_000_000) % 1_000_000) / 1_000_000 }
    }

    package mutating func unixMicroseconds() throws(DatabaseError) -> Int64 {
        try require(try optionalUnixMicroseconds())
    }

    /// A `timestamptz` as Unix microseconds. `infinity` does not decode.
    package mutating func optionalUnixMicroseconds() throws(DatabaseError) -> Int64? {
        guard let microseconds = try integer(ofType: 1184, Int64.self) else { return nil }
        guard microseconds != .max, microseconds != .min else { throw mismatch() }
        // PostgreSQL counts from 2000-01-01, and reaches further than the sum does.
        let (sum, overflow) = microseconds.addingReportingOverflow(946_684_800_000_000)
        guard !overflow else { throw mismatch() }
        return sum
    }

    /// A `text[]` of one dimension without NULLs.
    package mutating func texts() throws(DatabaseError) -> [String] {
        guard let bytes = unsafe try value(ofType: 1009) else { throw mismatch() }
        var offset = 0
        func next(_ length: Int) -> UnsafeRawBufferPointer? {
            guard length >= 0, offset + length <= bytes.count else { return nil }
            defer { offset += length }
            return unsafe UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length])
        }
        func field() -> Int? {
            unsafe next(4).map { Int(unsafe $0.loadUnaligned(as: Int32.self).bigEndian) }
        }
        guard let dimensions = field(), field() != nil, field() != nil else { throw mismatch() }
        if dimensions == 0 { return [] }
        guard dimensions == 1, let count = field(), field() != nil else { throw mismatch() }
        var texts: [String] = []
        for _ in 0..<count {
            guard let length = field(),
                let text = unsafe next(length).flatMap({ unsafe String(validating: $0, as: UTF8.self) })
            else { throw mismatch() }
            texts.append(text)
        }
        return texts
    }

    /// Leaves the other columns unread: those of an outer join that found nothing, or that are known already.
    package mutating func skipRest() { nextColumn = columnCount }

    /// For the column that was read last, where its value has the right type and still breaks a rule of the caller's.
    package func mismatch() -> DatabaseError { undecodable(nextColumn - 1) }

    fileprivate func checkIsReadToItsEnd() throws(DatabaseError) {
        guard nextColumn >= columnCount else { throw undecodable(nextColumn) }
    }

    private mutating func integer<Number: FixedWidthInteger>(
        ofType type: Oid, _: Number.Type
    ) throws(DatabaseError) -> Number? {
        guard let bytes = unsafe try value(ofType: type) else { return nil }
        guard bytes.count == MemoryLayout<Number>.size else { throw mismatch() }
        return unsafe bytes.loadUnaligned(as: Number.self).bigEndian
    }

    /// `nil` for NULL. Valid as long as the row is.
    private mutating func value(ofType type: Oid) throws(DatabaseError) -> UnsafeRawBufferPointer? {
        let column = nextColumn
        nextColumn += 1
        guard column < columnCount, unsafe PQftype(pointer, column) == type,
            unsafe PQfformat(pointer, column) == 1
        else { throw mismatch() }
        guard unsafe PQgetisnull(pointer, index, column) == 0 else { return nil }
        let length = Int(unsafe PQgetlength(pointer, index, column))
        return unsafe UnsafeRawBufferPointer(start: PQgetvalue(pointer, index, column), count: length)
    }

    private func require<Value>(_ value: Value?) throws(DatabaseError) -> Value {
        guard let value else { throw mismatch() }
        return value
    }

    private func undecodable(_ column: Int32) -> DatabaseError {
        let name = unsafe PQfname(pointer, column).map { unsafe String(cString: $0) }
        return .undecodable(statement: statement, column: name ?? "\(column)")
    }
}
