internal import Foundation

#if canImport(Glibc)
    private let openFiles = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
#else
    private let openFiles = RLIMIT_NOFILE
#endif

/// Lets the process open as many descriptors as the system allows it, and returns how many that is.
func raiseDescriptorLimit() -> Int {
    var limit = rlimit()
    guard getrlimit(openFiles, &limit) == 0 else { return 1024 }
    let wanted = min(limit.rlim_max, 65_536)
    if limit.rlim_cur < wanted {
        limit.rlim_cur = wanted
        setrlimit(openFiles, &limit)
        getrlimit(openFiles, &limit)
    }
    return Int(min(limit.rlim_cur, 65_536))
}

/// How many descriptors the process may have open.
var descriptorLimit: Int {
    var limit = rlimit()
    return getrlimit(openFiles, &limit) == 0 ? Int(min(limit.rlim_cur, 1 << 30)) : 0
}

/// `nil` where it is unset or empty.
@Sendable func environmentVariable(_ name: String) -> String? {
    guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
    return value
}

/// Prints a line that is had only once; false where it cannot be, in a pipe that nobody reads, too.
func printSecret(_ text: String) -> Bool {
    ignoreBrokenPipes()
    return writeLine(text, to: STDOUT_FILENO)
}

func printToStandardError(_ line: String) { writeLine(line, to: STDERR_FILENO) }

@discardableResult func writeLine(_ line: String, to descriptor: CInt) -> Bool {
    writeAll(Array((line + "\n").utf8), to: descriptor)
}

/// Blocks until all is written; false where it cannot be.
@discardableResult func writeAll(_ bytes: [UInt8], to descriptor: CInt) -> Bool {
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

/// A write to a pipe that nobody reads fails, and ends the program no more.
func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }
