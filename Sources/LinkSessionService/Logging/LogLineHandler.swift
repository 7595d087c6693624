internal import Foundation
internal import JSON
internal import Logging
internal import Synchronization

enum LogFormat: String { case text, json }

struct LogLineHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
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
        var line = LogLine(output.format, event.level, event.message.description)
        let fields = metadata.merging(event.metadata ?? [:]) { $1 }.sorted { $0.key < $1.key }
        for (key, value) in fields {
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

/// A line of the log while it is made: text for people, JSON for programs.
///
/// There is one for every request, so nothing here is generic. Names need no escape: they are the program's own.
struct LogLine {
    private let isJSON: Bool
    private var bytes: [UInt8] = []

    init(_ format: LogFormat, _ level: Logger.Level, _ message: String) {
        isJSON = format == .json
        bytes.reserveCapacity(320)
        if isJSON { add("{\"time\":\"") }
        addTime()
        add(isJSON ? "\",\"level\":\"" : " ")
        add(level.rawValue)
        add(isJSON ? "\",\"message\":" : " ")
        addText(message)
    }

    mutating func add(_ name: String, _ text: String) {
        addName(name)
        addText(text)
    }

    mutating func add(_ name: String, number: String) {
        addName(name)
        add(number)
    }

    mutating func add(_ name: String, thousandths: Int64) {
        add(name, number: String(thousandths / 1000))
        addFraction(thousandths % 1000)
    }

    /// The whole line, with its end.
    consuming func finished() -> [UInt8] {
        add(isJSON ? "}\n" : "\n")
        return bytes
    }

    private mutating func add(_ text: String) { bytes += text.utf8 }

    private mutating func addName(_ name: String) {
        add(isJSON ? ",\"" : " ")
        add(name)
        add(isJSON ? "\":" : "=")
    }

    private mutating func addText(_ text: String) {
        if isJSON { return JSONString.append(text, to: &bytes) }
        let start = bytes.count
        add(text)
        // A line break in a value would forge a line of its own.
        if bytes[start...].contains(where: { $0 < 0x20 || $0 >= 0x7F }) {
            let scalars = text.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }
            bytes.replaceSubrange(start..., with: String(String.UnicodeScalarView(scalars)).utf8)
        }
    }

    private mutating func addFraction(_ thousandths: Int64) {
        bytes.append(UInt8(ascii: "."))
        for unit in [100, 10, 1] as [Int64] { bytes.append(UInt8(ascii: "0") + UInt8(thousandths / unit % 10)) }
    }

    /// Now as RFC 3339 in UTC, with milliseconds.
    private mutating func addTime() {
        let (second, millisecond) = Int64(Date.now.timeIntervalSince1970 * 1000).quotientAndRemainder(dividingBy: 1000)
        add(
            Self.latestSecond.withLock { latest in
                if latest.second != second { latest = (second, String(timestamp(unixSeconds: second).dropLast())) }
                return latest.text
            })
        addFraction(millisecond)
        add("Z")
    }

    /// Without the `Z`: most lines share their second with the one before.
    private static let latestSecond = Mutex<(second: Int64, text: String)>((0, ""))
}
