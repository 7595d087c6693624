// Log lines: text for people, JSON for production.

internal import JSON
internal import Logging

enum LogFormat: String { case text, json }

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
        let fields = all.sorted { $0.key < $1.key }
        var line: [UInt8] = []
        line.reserveCapacity(256)
        switch output.format {
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
            JSONString.append(event.message.description, to: &line)
            for (key, value) in fields {
                line += ",".utf8
                JSONString.append(key, to: &line)
                line += ":".utf8
                Self.appendJSON(value, to: &line)
            }
            line += "}".utf8
        }
        line += "\n".utf8
        output.write(line)
    }

    /// A line break in a value would forge a line of its own.
    static func oneLine(_ text: String) -> String {
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
            JSONString.append(value.description, to: &line)
        }
    }
}

/// For libraries whose lines nobody needs: the lifecycle library's own would name every service at debug level.
@Sendable func noLog(_: String) -> any LogHandler { SwiftLogNoOpLogHandler() }
