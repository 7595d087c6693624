// Bind parameters in PostgreSQL's binary format.

/// The values of one execution, in the order of `$1`, `$2`, …, packed into one buffer.
///
/// The statement's own casts decide the types: write `$1::bytea`, `$2::bigint`, `$3::text[]`.
package struct Parameters {
    private(set) var bytes: [UInt8] = []
    /// A length of -1: NULL.
    private(set) var values: [(start: Int, length: Int)] = []

    package init() {}

    package mutating func append(_ text: String) {
        appendValue { $0.append(contentsOf: text.utf8) }
    }

    package mutating func append(orNull text: String?) {
        if let text { append(text) } else { values.append((0, -1)) }
    }

    package mutating func append(orNull blob: [UInt8]?) {
        if let blob { append(blob) } else { values.append((0, -1)) }
    }

    package mutating func append(_ blob: [UInt8]) {
        appendValue { $0.append(contentsOf: blob) }
    }

    package mutating func append(_ number: Int64) {
        appendValue { Self.append(number, to: &$0) }
    }

    /// `text[]`
    package mutating func append(texts: [String]) {
        appendArray(ofType: 25, texts) { text, buffer in buffer.append(contentsOf: text.utf8) }
    }

    /// `bytea[]`
    package mutating func append(blobs: [[UInt8]]) {
        appendArray(ofType: 17, blobs) { blob, buffer in buffer.append(contentsOf: blob) }
    }

    /// `bigint[]`
    package mutating func append(numbers: [Int64]) {
        appendArray(ofType: 20, numbers) { number, buffer in Self.append(number, to: &buffer) }
    }

    private mutating func appendValue(_ write: (inout [UInt8]) -> Void) {
        let start = bytes.count
        write(&bytes)
        values.append((start, bytes.count - start))
    }

    /// One dimension with lower bound 1 and no NULLs: the layout that `array_send` writes.
    private mutating func appendArray<Element>(
        ofType type: Int32, _ elements: [Element], write: (Element, inout [UInt8]) -> Void
    ) {
        appendValue { buffer in
            let dimensions: Int32 = elements.isEmpty ? 0 : 1
            for field in [dimensions, 0, type] { Self.append(field, to: &buffer) }
            guard dimensions == 1 else { return }
            for field in [Int32(elements.count), 1] { Self.append(field, to: &buffer) }
            for element in elements {
                let lengthAt = buffer.count
                Self.append(Int32(0), to: &buffer)
                write(element, &buffer)
                let length = Int32(buffer.count - lengthAt - 4)
                for offset in 0..<4 {
                    buffer[lengthAt + offset] = UInt8(truncatingIfNeeded: length >> Int32(24 - 8 * offset))
                }
            }
        }
    }

    private static func append(_ number: some FixedWidthInteger, to buffer: inout [UInt8]) {
        for shift in stride(from: number.bitWidth - 8, through: 0, by: -8) {
            buffer.append(UInt8(truncatingIfNeeded: number >> shift))
        }
    }
}
