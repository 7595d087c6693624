/// A value for `$1`, `$2`, …
///
/// The statement's own casts decide the types: write `$1::bytea`, `$2::bigint`, `$3::text[]`. A UUID is a blob of 16 bytes.
package enum Parameter: Sendable {
    /// `nil`: NULL.
    case text(String?)
    /// `nil`: NULL.
    case blob([UInt8]?)
    case number(Int64)
    case smallNumber(Int16)
    case texts([String])
    case blobs([[UInt8]])
    case numbers([Int64])
    case smallNumbers([Int16])
    case uuids([[UInt8]])
}

/// The values of one execution in PostgreSQL's binary format, packed into one buffer.
struct PackedParameters {
    private(set) var bytes: [UInt8] = []
    /// A length of -1: NULL.
    private(set) var values: [(start: Int, length: Int)] = []

    init(_ parameters: [Parameter]) {
        values.reserveCapacity(parameters.count)
        for parameter in parameters {
            let start = bytes.count
            switch parameter {
            case .text(nil), .blob(nil):
                values.append((0, -1))
                continue
            case .text(let text?): bytes.append(contentsOf: text.utf8)
            case .blob(let blob?): bytes.append(contentsOf: blob)
            case .number(let number): append(number)
            case .smallNumber(let number): append(number)
            case .texts(let texts): append(texts, ofType: 25) { $0.append(element: $1.utf8) }
            case .blobs(let blobs): append(blobs, ofType: 17) { $0.append(element: $1) }
            case .uuids(let uuids): append(uuids, ofType: 2950) { $0.append(element: $1) }
            case .numbers(let numbers): append(numbers, ofType: 20) { $0.append(element: $1) }
            case .smallNumbers(let numbers): append(numbers, ofType: 21) { $0.append(element: $1) }
            }
            values.append((start, bytes.count - start))
        }
    }

    /// An array of one dimension with lower bound 1 and no NULLs: the layout that `array_send` writes.
    private mutating func append<Element>(
        _ elements: [Element], ofType type: Int32, write: (inout PackedParameters, Element) -> Void
    ) {
        let dimensions: Int32 = elements.isEmpty ? 0 : 1
        for field in [dimensions, 0, type] { append(field) }
        guard dimensions == 1 else { return }
        for field in [Int32(elements.count), 1] { append(field) }
        for element in elements { write(&self, element) }
    }

    private mutating func append(element: some Collection<UInt8>) {
        append(Int32(element.count))
        bytes.append(contentsOf: element)
    }

    private mutating func append(element: some FixedWidthInteger) {
        append(Int32(element.bitWidth / 8))
        append(element)
    }

    private mutating func append(_ number: some FixedWidthInteger) {
        for shift in stride(from: number.bitWidth - 8, through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: number >> shift))
        }
    }
}
