// What the process is and has: its user, its environment, its descriptors.

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
