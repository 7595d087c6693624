// Who runs the program, and what the environment says.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

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
