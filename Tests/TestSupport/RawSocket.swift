// A TCP socket that does what no client should: sends what it likes, and reads nothing unless it is told to.

import Glibc

/// Connected to a port of this machine; blocking, so for few bytes or for a thread of its own.
package final class RawSocket: Sendable {
    private let descriptor: Int32

    package struct Failed: Error {
        let what: String
        let code: Int32
    }

    /// - Parameter receiveBuffer: how many bytes the system takes for a client that reads nothing.
    package init(port: Int, receiveBuffer: Int32? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw Failed(what: "socket", code: errno) }
        if var receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, socklen_t(MemoryLayout<Int32>.size))
        }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else {
            let code = errno
            close(descriptor)
            throw Failed(what: "connect", code: code)
        }
    }

    deinit { close(descriptor) }

    /// Closes the sending side alone.
    package func endOutput() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// What the system does to the other side once the socket is let go: a reset instead of an end.
    package func resetsAtEnd() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout.size(ofValue: linger)))
    }

    /// Sends as much as the other side takes within the time.
    ///
    /// - Returns: how many bytes that were; all of them unless the other side stopped reading or closed.
    @discardableResult package func send(_ bytes: [UInt8], withinMilliseconds time: Int32 = 5000) -> Int {
        let end = ContinuousClock.now + .milliseconds(Int(time))
        var sent = 0
        while sent < bytes.count, .now < end {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
            }
            if count > 0 {
                sent += count
            } else if errno == EAGAIN {
                var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = Glibc.poll(&poll, 1, min(50, time))
            } else {
                break
            }
        }
        return sent
    }

    /// What comes until the other side closes or the time is up.
    package func receive(withinMilliseconds time: Int32 = 5000) -> (text: String, isClosed: Bool) {
        let end = ContinuousClock.now + .milliseconds(Int(time))
        var received: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while .now < end {
            var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard Glibc.poll(&poll, 1, min(50, time)) > 0 else { continue }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            guard count > 0 else { return (String(decoding: received, as: UTF8.self), true) }
            received += buffer[..<count]
        }
        return (String(decoding: received, as: UTF8.self), false)
    }

    /// Whether the other side has closed the connection.
    package var isClosed: Bool {
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT))
        return count == 0 || (count < 0 && errno != EAGAIN)
    }
}
