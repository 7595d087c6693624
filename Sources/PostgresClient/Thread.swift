internal import Foundation

/// Runs `body` on a thread of its own, where it may block.
///
/// False when the system gives no thread, which `Foundation.Thread` would not tell.
func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    let box = unsafe Unmanaged.passRetained(Box(body))
    #if canImport(Darwin)
        var thread: pthread_t?
    #else
        var thread = pthread_t()
    #endif
    let status = unsafe pthread_create(
        &thread, nil,
        { argument in
            pthread_detach(pthread_self())
            // Optional on some systems, and not on others.
            let argument: UnsafeMutableRawPointer? = unsafe argument
            if let argument = unsafe argument { unsafe Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body() }
            return nil
        }, box.toOpaque())
    if status != 0 { unsafe box.release() }
    return status == 0
}

/// A pipe to oneself: a thread that waits for a socket can be woken through it at the same time.
final class Wakeup: Sendable {
    private let readEnd: CInt
    private let writeEnd: CInt

    init() throws(DatabaseClientStartError) {
        var ends: [CInt] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw .tooManyDescriptors }
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
