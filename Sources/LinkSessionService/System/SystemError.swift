// What the operating system refused.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// One line for the operator.
struct SystemError: Error {
    let line: String

    /// Adds what `errno` says.
    init(_ what: String) { line = "\(what): \(String(cString: strerror(errno)))" }

    init(line: String) { self.line = line }
}
