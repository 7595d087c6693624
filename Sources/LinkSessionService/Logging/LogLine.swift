// The lines of the log: text for people, JSON for production.

internal import HTTPServer
internal import JSON
internal import Logging

enum LogFormat: String { case text, json }

/// One line, field by field.
private struct LogLine {
    private var bytes: [UInt8] = []
    private let isJSON: Bool

    init(_ format: LogFormat, _ level: Logger.Level, _ message: String) {
        isJSON = format == .json
        bytes.reserveCapacity(320)
        guard isJSON else {
            bytes += "\(timestampNow()) \(level.rawValue) \(Self.oneLine(message))".utf8
            return
        }
        bytes += #"{"time":"\#(timestampNow())","level":"\#(level.rawValue)","message":"#.utf8
        JSONString.append(message, to: &bytes)
    }

    mutating func add(_ name: String, _ text: String) {
        addName(name)
        if isJSON { JSONString.append(text, to: &bytes) } else { bytes += Self.oneLine(text).utf8 }
    }

    mutating func add(_ name: String, number: String) {
        addName(name)
        bytes += number.utf8
    }

    consuming func finished() -> [UInt8] {
        bytes += (isJSON ? "}\n" : "\n").utf8
        return bytes
    }

    private mutating func addName(_ name: String) {
        bytes.append(isJSON ? UInt8(ascii: ",") : UInt8(ascii: " "))
        if isJSON { JSONString.append(name, to: &bytes) } else { bytes += name.utf8 }
        bytes.append(isJSON ? UInt8(ascii: ":") : UInt8(ascii: "="))
    }

    /// A line break in a value would forge a line of its own.
    private static func oneLine(_ text: String) -> String {
        if text.utf8.allSatisfy({ (0x20..<0x7F).contains($0) }) { return text }
        return String(
            String.UnicodeScalarView(
                text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }))
    }
}

struct LogLineHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    private let output: LogOutput

    init(output: LogOutput) {
        logLevel = output.level
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
        var line = LogLine(output.format, event.level, event.message.description)
        for (key, value) in all.sorted(by: { $0.key < $1.key }) {
            if case .stringConvertible(let number) = value,
                number is Int || number is Int64 || number is UInt || number is Double
            {
                line.add(key, number: number.description)
            } else {
                line.add(key, value.description)
            }
        }
        output.write(line.finished())
    }
}

extension LogOutput {
    /// The line that a logger would make of the entry, for a fraction of the time: there is one for every request.
    func write(_ entry: AccessLogEntry) {
        let entryLevel = entry.status == 500 ? Logger.Level.error : .info
        guard entryLevel >= level else { return }
        var line = LogLine(format, entryLevel, "request")
        if let cause = entry.cause { line.add("cause", cause) }
        if let manufacturer = entry.caller { line.add("manufacturer", number: String(manufacturer)) }
        line.add("method", entry.method)
        let (seconds, attoseconds) = entry.duration.components
        let microseconds = seconds * 1_000_000 + attoseconds / 1_000_000_000_000
        line.add("ms", number: "\(microseconds / 1000).\(String(1000 + microseconds % 1000).dropFirst())")
        line.add("request_id", entry.requestID)
        line.add("route", entry.route)
        line.add("status", number: String(entry.status))
        write(line.finished())
    }
}

/// For libraries whose lines nobody needs: the lifecycle library's own would name every service at debug level.
@Sendable func noLog(_: String) -> any LogHandler { SwiftLogNoOpLogHandler() }
