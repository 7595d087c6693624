// The few C functions that the program uses.

internal import Synchronization

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif
#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Now, as RFC 3339 in UTC with milliseconds.
func timestampNow() -> String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    let text = latestSecond.withLock { latest in
        if latest.second != now.tv_sec { latest = (now.tv_sec, timestamp(now.tv_sec)) }
        return latest.text
    }
    return "\(text).\(padded(now.tv_nsec / 1_000_000, 3))Z"
}

/// Most lines share their second with the one before.
private let latestSecond = Mutex<(second: time_t, text: String)>((0, ""))

/// RFC 3339 in UTC.
func timestamp(unixSeconds: Int) -> String { timestamp(time_t(unixSeconds)) + "Z" }

private func timestamp(_ second: time_t) -> String {
    var second = second
    var parts = tm()
    gmtime_r(&second, &parts)
    let date = [(Int(parts.tm_year) + 1900, 4), (Int(parts.tm_mon) + 1, 2), (Int(parts.tm_mday), 2)]
    let time = [Int(parts.tm_hour), Int(parts.tm_min), Int(parts.tm_sec)]
    return date.map(padded).joined(separator: "-") + "T" + time.map { padded($0, 2) }.joined(separator: ":")
}

private func padded(_ number: Int, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
}

func printToStandardError(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
}

/// The system's name of who runs the program; letters, digits, dots, hyphens and underscores of it.
func userName() -> String {
    let name = getpwuid(getuid()).map { String(cString: $0.pointee.pw_name) } ?? ""
    let allowed = name.filter { $0.isASCII && ($0.isLetter || $0.isNumber || ".-_".contains($0)) }
    return allowed.isEmpty ? "unknown" : allowed
}

/// Standard input to its end; `nil` where it is longer than that, or cannot be read.
func readStandardInput(atMost limit: Int) -> [UInt8]? {
    var bytes: [UInt8] = []
    while bytes.count <= limit {
        var piece = [UInt8](repeating: 0, count: 4096)
        let count = read(STDIN_FILENO, &piece, piece.count)
        if count < 0 {
            guard errno == EINTR else { return nil }
            continue
        }
        guard count > 0 else { return bytes }
        bytes += piece[..<count]
    }
    return nil
}

var standardInputIsTerminal: Bool { isatty(STDIN_FILENO) == 1 }

/// A directory that nobody else changes through this type meanwhile, in this process or another.
struct LockedDirectory: ~Copyable {
    let path: String
    private let descriptor: CInt

    private init(path: String, descriptor: CInt) {
        self.path = path
        self.descriptor = descriptor
    }

    /// Waits for its turn, at most a minute.
    static func lock(_ path: String) async throws(SystemProblem) -> LockedDirectory {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemProblem("cannot open the directory \(path)") }
        let directory = LockedDirectory(path: path, descriptor: descriptor)
        for _ in 0..<1200 {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return directory }
            guard errno == EWOULDBLOCK || errno == EINTR else {
                throw SystemProblem("cannot lock the directory \(path)")
            }
            try? await Task.sleep(for: .milliseconds(50))
        }
        throw SystemProblem(line: "\(path) has been in use by another admin command for a minute")
    }

    /// Unlocks, too.
    deinit { close(descriptor) }

    var names: [String] {
        get throws(SystemProblem) {
            guard let names = try? FileManager.default.contentsOfDirectory(atPath: path) else {
                throw SystemProblem("cannot read the directory \(path)")
            }
            return names
        }
    }

    /// Writes a new file in one step: it is there whole or not at all.
    func write(_ text: String, as name: String) throws(SystemProblem) {
        // Not a name that a migration has: what a crash leaves behind is no migration.
        let draft = ".\(name).draft"
        unlinkat(descriptor, draft, 0)
        let file = openat(descriptor, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw SystemProblem("cannot write \(path)/\(name)") }
        defer {
            close(file)
            unlinkat(descriptor, draft, 0)
        }
        guard writeAll(Array(text.utf8), to: file), fsync(file) == 0,
            linkat(descriptor, draft, descriptor, name, 0) == 0
        else { throw SystemProblem("cannot write \(path)/\(name)") }
        fsync(descriptor)
    }

    func remove(_ name: String) { unlinkat(descriptor, name, 0) }
}

struct SystemProblem: Error {
    let line: String

    /// Adds what `errno` says.
    init(_ what: String) { line = "\(what): \(String(cString: strerror(errno)))" }

    init(line: String) { self.line = line }
}

/// Blocks until all is written; false where it cannot be.
func writeAll(_ bytes: [UInt8], to descriptor: CInt) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count > 0 {
            rest = rest.dropFirst(count)
        } else if errno == EAGAIN {
            var full = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            poll(&full, 1, 1000)
        } else if errno != EINTR {
            return false
        }
    }
    return true
}

/// What a command answers, on standard output; what `serve` has to say goes through its log.
func printAnswer(_ text: String) { print(text) }

/// `nil` where it is unset or empty.
@Sendable func environmentVariable(_ name: String) -> String? {
    guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
    return value
}

/// A write to a pipe that nobody reads fails, and ends the program no more.
func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }

/// Lets the process open as many descriptors as the system allows it, and returns how many that is.
func raiseDescriptorLimit() -> Int {
    var limit = rlimit()
    #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
        let resource = RLIMIT_NOFILE
    #endif
    guard getrlimit(resource, &limit) == 0 else { return 1024 }
    let wanted = min(limit.rlim_max, 65_536)
    if limit.rlim_cur < wanted {
        limit.rlim_cur = wanted
        setrlimit(resource, &limit)
        getrlimit(resource, &limit)
    }
    return Int(min(limit.rlim_cur, 65_536))
}
