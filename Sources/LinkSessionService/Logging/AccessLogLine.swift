// The line of a request in the log.

internal import HTTPServer
internal import JSON
internal import Logging

extension LogOutput {
    /// The line that a logger would make of the entry, for a fraction of the time: there is one for every request.
    func write(_ entry: AccessLogEntry) {
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
            if isJSON { JSONString.append(text, to: &line) } else { add(LogLineHandler.oneLine(text)) }
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
