// Waking a thread that sleeps in poll.

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A pipe to oneself: a thread that waits for a socket can be woken through it at the same time.
final class Wakeup: Sendable {
    private let readEnd: CInt
    private let writeEnd: CInt

    init() throws(TooManyDescriptorsError) {
        var ends: [CInt] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw TooManyDescriptorsError() }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        (readEnd, writeEnd) = (ends[0], ends[1])
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// A full pipe is as good as a signal.
    func signal() {
        var byte: UInt8 = 1
        _ = unsafe write(writeEnd, &byte, 1)
    }

    /// Sleeps until a signal, the socket has something to read, or the time is up. True where the socket has.
    func wait(socket: CInt? = nil, milliseconds: CInt = -1) -> Bool {
        var descriptors = [pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)]
        if let socket { descriptors.append(pollfd(fd: socket, events: Int16(POLLIN), revents: 0)) }
        guard unsafe poll(&descriptors, nfds_t(descriptors.count), milliseconds) > 0 else { return false }
        if descriptors[0].revents != 0 {
            var drained = [UInt8](repeating: 0, count: 64)
            while unsafe read(readEnd, &drained, drained.count) == drained.count {}
        }
        return descriptors.count == 2 && descriptors[1].revents != 0
    }
}

/// The process may open no more files.
struct TooManyDescriptorsError: Error {}
