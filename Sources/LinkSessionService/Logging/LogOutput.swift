internal import Dispatch
internal import Foundation
internal import HTTPServer
internal import Logging
internal import Synchronization

/// Lines waiting to be written to standard output together, at most 10 ms, and the one queue that writes them, where
/// blocking harms nothing: a slow reader of the log delays nobody.
final class LogOutput: Sendable {
    private struct Pending {
        var bytes: [UInt8] = []
        var dropped = 0
        var isScheduled = false
    }

    private static let limit = 4 * 1024 * 1024

    let level: Logger.Level
    let format: LogFormat
    private let pending = Mutex(Pending())
    private let queue = DispatchQueue(label: "log")

    init(level: Logger.Level, format: LogFormat) {
        self.level = level
        self.format = format
    }

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
        writeAll(bytes, to: STDOUT_FILENO)
        if dropped > 0 {
            writeLine("\(dropped) log lines were dropped: their reader was too slow", to: STDOUT_FILENO)
        }
    }
}

extension LogOutput {
    /// The line that a logger would make of the entry, for a fraction of the time.
    func write(_ entry: AccessLogEntry) {
        let entryLevel = entry.status == 500 ? Logger.Level.error : .info
        guard entryLevel >= level else { return }
        var line = LogLine(format, entryLevel, "request")
        if let key = entry.authenticator { line.add("authenticator", key) }
        if let cause = entry.cause { line.add("cause", cause) }
        line.add("client", entry.client)
        if let manufacturer = entry.caller { line.add("manufacturer", number: String(manufacturer)) }
        line.add("method", entry.method)
        let (seconds, attoseconds) = entry.duration.components
        line.add("ms", thousandths: seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
        line.add("request_id", entry.requestID)
        line.add("route", entry.route)
        if let session = entry.session { line.add("session", session) }
        line.add("status", number: String(entry.status))
        if let trace = entry.traceID { line.add("trace_id", trace) }
        write(line.finished())
    }
}
