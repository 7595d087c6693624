// The process: its descriptors, who runs it, its environment and its standard streams.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

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

/// The system's name of who runs the program; letters, digits, dots, hyphens and underscores of it.
func userName() -> String {
    let name = getpwuid(getuid()).map { String(cString: $0.pointee.pw_name) } ?? ""
    let allowed = name.filter { $0.isASCII && ($0.isLetter || $0.isNumber || ".-_".contains($0)) }
    return allowed.isEmpty ? "unknown" : allowed
}

/// `nil` where it is unset or empty.
@Sendable func environmentVariable(_ name: String) -> String? {
    guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
    return value
}

func printToStandardError(_ line: String) { _ = writeAll(Array((line + "\n").utf8), to: STDERR_FILENO) }

/// Standard input to its end; `nil` where it is longer than that, or cannot be read.
func readStandardInput(atMost limit: Int) -> [UInt8]? {
    var bytes: [UInt8] = []
    while bytes.count <= limit {
        var piece = [UInt8](repeating: 0, count: 4096)
        let count = read(STDIN_FILENO, &piece, piece.count)
        if count == 0 { return bytes }
        if count > 0 { bytes += piece[..<count] } else if errno != EINTR { return nil }
    }
    return nil
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

/// A write to a pipe that nobody reads fails, and ends the program no more.
func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }
