internal import Foundation
internal import IPAddresses
internal import NIOCore
internal import NIOPosix

/// Which addresses may be connected to for a URL that somebody else wrote, a supplier's or a manufacturer's: what is
/// asked there must not reach what only our own network can reach.
///
/// A name is looked up anew for every connection, all its addresses are judged, and the connection goes to one of these
/// and to no other: a name whose addresses change between two look-ups gains nothing.
package struct PublicAddresses: Sendable {
    /// Any address, this machine's own too: for developers and tests.
    package static let orAny = PublicAddresses(isAllowed: { _ in true })
    package static let only = PublicAddresses(isAllowed: { $0.isPublic })

    typealias LookUp = @Sendable (_ host: String, _ port: Int) throws -> [SocketAddress]

    /// Where names are looked up, since that blocks: a name server that does not answer holds a thread for seconds.
    private static let threads = {
        let threads = NIOThreadPool(numberOfThreads: 16)
        threads.start()
        return threads
    }()

    private let isAllowed: @Sendable (IPAddress) -> Bool
    private let lookUp: LookUp

    init(isAllowed: @escaping @Sendable (IPAddress) -> Bool, lookUp: @escaping LookUp = systemLookUp) {
        self.isAllowed = isAllowed
        self.lookUp = lookUp
    }

    /// Connects to a host whose addresses are all allowed.
    ///
    /// - Parameter host: a name or an address, of IPv6 without brackets.
    func connect(_ host: String, port: Int, timeout: TimeAmount, on loop: any EventLoop) -> EventLoopFuture<any Channel>
    {
        Self.threads.runIfActive(eventLoop: loop) { [lookUp] in try lookUp(host, port) }
            .flatMapThrowing { [isAllowed] addresses in
                guard !addresses.isEmpty else { throw OutboundHTTPError.nameUnknown }
                let areAllowed = addresses.allSatisfy { $0.ipAddress.flatMap { IPAddress($0) }.map(isAllowed) ?? false }
                guard areAllowed else { throw OutboundHTTPError.addressNotPublic }
                return JudgedAddresses(addresses: addresses, loop: loop)
            }
            .flatMap { judged in
                ClientBootstrap(group: loop).connectTimeout(timeout).resolver(judged).connect(host: host, port: port)
            }
    }
}

/// Stands for the look-up of a name, whose addresses are judged already.
private struct JudgedAddresses: Resolver, Sendable {
    let addresses: [SocketAddress]
    let loop: any EventLoop

    func initiateAQuery(host _: String, port _: Int) -> EventLoopFuture<[SocketAddress]> { addresses(of: .inet) }

    func initiateAAAAQuery(host _: String, port _: Int) -> EventLoopFuture<[SocketAddress]> { addresses(of: .inet6) }

    func cancelQueries() {}

    private func addresses(of family: NIOBSDSocket.ProtocolFamily) -> EventLoopFuture<[SocketAddress]> {
        loop.makeSucceededFuture(addresses.filter { $0.protocol == family })
    }
}

/// The addresses that the system knows of a name, in the order in which it would use them (RFC 6724).
private func systemLookUp(_ host: String, port: Int) throws -> [SocketAddress] {
    var hints = unsafe addrinfo()
    #if canImport(Glibc)
        unsafe hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
    #else
        unsafe hints.ai_socktype = SOCK_STREAM
    #endif
    var first: UnsafeMutablePointer<addrinfo>?
    guard unsafe getaddrinfo(host, String(port), &hints, &first) == 0, let first = unsafe first else {
        throw OutboundHTTPError.nameUnknown
    }
    defer { unsafe freeaddrinfo(first) }
    let infos = unsafe sequence(first: first) { unsafe $0.pointee.ai_next }
    return unsafe infos.compactMap { info in
        let bytes = unsafe UnsafeRawPointer(info.pointee.ai_addr)
        return switch unsafe info.pointee.ai_family {
        case AF_INET: unsafe bytes.map { unsafe SocketAddress($0.loadUnaligned(as: sockaddr_in.self)) }
        case AF_INET6: unsafe bytes.map { unsafe SocketAddress($0.loadUnaligned(as: sockaddr_in6.self)) }
        default: nil
        }
    }
}
