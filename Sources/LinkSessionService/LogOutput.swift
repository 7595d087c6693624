// Log lines to standard output: text for people, JSON for production. A slow reader of the log delays nobody.

internal import Dispatch
internal import HTTPServer
internal import Logging
internal import Synchronization
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Lines waiting to be written together, at most 10 ms, and the one queue that writes them, where blocking harms
/// nothing.
final class LogOutput: Sendable {
    private struct Pending {
        var bytes: [UInt8] = []
        var dropped = 0
        var isScheduled = false
    }

    private static let limit = 4 * 1024 * 1024

    private let pending = Mutex(Pending())
    private let queue = DispatchQueue(label: "log")

    /// Drops the line where the reader is 4 MiB behind, and says so later.
    func write(_ line: [UInt8]) {
        let schedule = pending.withLock { pending in
            guard pending.bytes.count + line.count <= Self.limit else {
                pending.dropped += 1
                return false
            }
            pending.bytes += line
            defer { pending.isScheduled = true }
            return !pending.isScheduled
        }
        if schedule { queue.asyncAfter(deadline: .now() + .milliseconds(10)) { self.writeOut() } }
    }

    /// Waits until all is written, at most a second.
    func flush() {
        let done = DispatchSemaphore(value: 0)
        queue.async {
            self.writeOut()
            done.signal()
        }
        _ = done.wait(timeout: .now() + 1)
    }

    private func writeOut() {
        let (bytes, dropped) = pending.withLock { pending in
            defer { pending = Pending() }
            return (pending.bytes, pending.dropped)
        }
        _ = writeAll(bytes, to: STDOUT_FILENO)
        if dropped > 0 {
            let line = "\(dropped) log lines were dropped: their reader was too slow\n"
            _ = writeAll(Array(line.utf8), to: STDOUT_FILENO)
        }
    }
}

extension LogOutput {
    /// The line that a logger would make of the entry, for a fraction of the time: there is one for every request.
    func write(_ entry: AccessLogEntry, level: Logger.Level, format: Settings.LogFormat) {
        let entryLevel = entry.status == 500 ? Logger.Level.error : .info
        guard entryLevel >= level else { return }
        var line: [UInt8] = []
        line.reserveCapacity(320)
        let isJSON = format == .json
        func add(_ text: String) { line += text.utf8 }
        func addName(_ name: String) {
            add(isJSON ? ",\"" : " ")
            add(name)
            add(isJSON ? "\":" : "=")
        }
        func addText(_ name: String, _ text: String) {
            addName(name)
            if isJSON { LogLineHandler.appendJSON(text, to: &line) } else { add(LogLineHandler.oneLine(text)) }
        }
        /// Text that needs no escape.
        func addPlain(_ name: String, _ text: String) {
            addName(name)
            if isJSON { line.append(UInt8(ascii: "\"")) }
            add(text)
            if isJSON { line.append(UInt8(ascii: "\"")) }
        }
        if isJSON { add("{\"time\":\"") }
        add(timestampNow())
        add(isJSON ? "\",\"level\":\"" : " ")
        add(entryLevel.rawValue)
        add(isJSON ? "\",\"message\":\"request\"" : " request")
        if let cause = entry.cause { addText("cause", cause) }
        if let manufacturer = entry.caller {
            addName("manufacturer")
            add(String(manufacturer))
        }
        addText("method", entry.method)
        addName("ms")
        let (seconds, attoseconds) = entry.duration.components
        let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        add(String(microseconds / 1000))
        line.append(UInt8(ascii: "."))
        for unit in [100, 10, 1] as [Int64] { line.append(UInt8(ascii: "0") + UInt8(microseconds / unit % 10)) }
        addPlain("request_id", entry.requestID)
        addPlain("route", entry.route)
        addName("status")
        add(String(entry.status))
        add(isJSON ? "}\n" : "\n")
        write(line)
    }
}

struct LogLineHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    private let format: Settings.LogFormat
    private let output: LogOutput

    init(level: Logger.Level, format: Settings.LogFormat, output: LogOutput) {
        logLevel = level
        self.format = format
        self.output = output
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var all = event.metadata ?? [:]
        if let provided = metadataProvider?.get() { all.merge(provided) { own, _ in own } }
        if !metadata.isEmpty { all.merge(metadata) { own, _ in own } }
        let fields = all.sorted { $0.key < $1.key }
        var line: [UInt8] = []
        line.reserveCapacity(256)
        switch format {
        case .text:
            line += "\(timestampNow()) \(event.level.rawValue) \(Self.oneLine(event.message.description))".utf8
            for (key, value) in fields {
                line.append(UInt8(ascii: " "))
                line += key.utf8
                line.append(UInt8(ascii: "="))
                line += Self.oneLine(value.description).utf8
            }
        case .json:
            line += #"{"time":"\#(timestampNow())","level":"\#(event.level.rawValue)","message":"#.utf8
            Self.appendJSON(event.message.description, to: &line)
            for (key, value) in fields {
                line += ",".utf8
                Self.appendJSON(key, to: &line)
                line += ":".utf8
                Self.appendJSON(value, to: &line)
            }
            line += "}".utf8
        }
        line += "\n".utf8
        output.write(line)
    }

    /// A line break in a value would forge a line of its own.
    fileprivate static func oneLine(_ text: String) -> String {
        if text.utf8.allSatisfy({ (0x20..<0x7F).contains($0) }) { return text }
        return String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
    }

    private static func appendJSON(_ value: Logger.MetadataValue, to line: inout [UInt8]) {
        if case .stringConvertible(let number) = value,
            number is Int || number is Int64 || number is UInt || number is Double
        {
            line += number.description.utf8
        } else {
            appendJSON(value.description, to: &line)
        }
    }

    fileprivate static func appendJSON(_ text: String, to line: inout [UInt8]) {
        line.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): line += [UInt8(ascii: "\\"), byte]
            case 0..<0x20: line += ("\\u00" + (byte < 0x10 ? "0" : "") + String(byte, radix: 16)).utf8
            default: line.append(byte)
            }
        }
        line.append(UInt8(ascii: "\""))
    }
}
