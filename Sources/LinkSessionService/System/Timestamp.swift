// Times as RFC 3339, for log lines and reports.

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
