// Standard input, output and error.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// What a command answers; what `serve` has to say goes through its log.
func printToStandardOutput(_ text: String) { print(text) }

func printToStandardError(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
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
