// Log lines to standard output. A slow reader of the log delays nobody.

internal import Dispatch
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
        _ = writeAll(bytes, to: STDOUT_FILENO)
        if dropped > 0 {
            let line = "\(dropped) log lines were dropped: their reader was too slow\n"
            _ = writeAll(Array(line.utf8), to: STDOUT_FILENO)
        }
    }
}
