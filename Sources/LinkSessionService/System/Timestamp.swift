// Times as RFC 3339 in UTC, for log lines and reports.

internal import Foundation
internal import Synchronization

func timestamp(unixSeconds: Int64) -> String { Date(timeIntervalSince1970: Double(unixSeconds)).ISO8601Format() }

/// Now, with milliseconds.
func timestampNow() -> String {
    let (second, millisecond) = Int64(Date.now.timeIntervalSince1970 * 1000).quotientAndRemainder(dividingBy: 1000)
    let text = latestSecond.withLock { latest in
        if latest.second != second { latest = (second, String(timestamp(unixSeconds: second).dropLast())) }
        return latest.text
    }
    return "\(text).\(millisecond < 10 ? "00" : millisecond < 100 ? "0" : "")\(millisecond)Z"
}

/// Without the `Z`: most lines share their second with the one before.
private let latestSecond = Mutex<(second: Int64, text: String)>((0, ""))
