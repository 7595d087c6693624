// Writes the JSON objects of our answers straight into the buffer that is sent.

internal import NIOCore

/// One JSON object, member by member, in order.
struct JSONWriter {
    private var buffer: ByteBuffer
    private var isEmpty = true

    /// The finished object.
    static func object(_ write: (inout JSONWriter) -> Void) -> ByteBuffer {
        var writer = JSONWriter(buffer: ByteBufferAllocator().buffer(capacity: 512))
        writer.buffer.writeStaticString("{")
        write(&writer)
        writer.buffer.writeStaticString("}")
        return writer.buffer
    }

    private init(buffer: ByteBuffer) { self.buffer = buffer }

    mutating func add(_ name: StaticString, _ value: String) {
        begin(name)
        write(value)
    }

    mutating func add(_ name: StaticString, _ value: Int64) {
        begin(name)
        buffer.writeString(String(value))
    }

    /// Writes `null` for `nil`.
    mutating func add(_ name: StaticString, orNull value: Int64?) {
        begin(name)
        if let value { buffer.writeString(String(value)) } else { buffer.writeStaticString("null") }
    }

    mutating func add(_ name: StaticString, object write: (inout JSONWriter) -> Void) {
        begin(name)
        addObject(write)
    }

    mutating func add(_ name: String, object write: (inout JSONWriter) -> Void) {
        separate()
        self.write(name)
        buffer.writeStaticString(":")
        addObject(write)
    }

    private mutating func addObject(_ write: (inout JSONWriter) -> Void) {
        buffer.writeStaticString("{")
        isEmpty = true
        write(&self)
        isEmpty = false
        buffer.writeStaticString("}")
    }

    private mutating func begin(_ name: StaticString) {
        separate()
        buffer.writeStaticString("\"")
        buffer.writeStaticString(name)
        buffer.writeStaticString("\":")
    }

    private mutating func separate() {
        if !isEmpty { buffer.writeStaticString(",") }
        isEmpty = false
    }

    /// RFC 8259, section 7.
    private mutating func write(_ text: String) {
        buffer.writeStaticString("\"")
        if text.utf8.allSatisfy({ $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }) {
            buffer.writeString(text)
        } else {
            for byte in text.utf8 {
                switch byte {
                case UInt8(ascii: "\""): buffer.writeStaticString("\\\"")
                case UInt8(ascii: "\\"): buffer.writeStaticString("\\\\")
                case 0..<0x20: buffer.writeString("\\u00" + (byte < 0x10 ? "0" : "") + String(byte, radix: 16))
                default: buffer.writeInteger(byte)
                }
            }
        }
        buffer.writeStaticString("\"")
    }
}
