// The few C functions that the program uses.

internal import Synchronization
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

/// How many bytes were written, or -1 with `errno`.
func writeToStandardOutput(_ bytes: UnsafeRawBufferPointer) -> Int {
    write(STDOUT_FILENO, bytes.baseAddress, bytes.count)
}

func printToStandardError(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
}

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
