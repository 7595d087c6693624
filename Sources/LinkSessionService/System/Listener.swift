internal import Foundation
internal import HTTPServer
internal import NIOCore
internal import ServiceLifecycle

/// A server whose address comes from settings, which an error that it cannot listen there names.
struct Listener: Service {
    let server: HTTPServer
    /// Such as `HTTP`, of HTTP_HOST and HTTP_PORT.
    let settings: String
    let host: String
    let port: Int

    func run() async throws {
        do {
            try await server.run()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw CommandError.setting("\(settings)_PORT", expects: "a free port: \(port) on \(host) is in use")
        } catch let error as IOError where error.errnoCode == EACCES {
            throw CommandError.setting(
                "\(settings)_PORT", expects: "a port that this user may listen on: \(port) needs more rights")
        } catch let error
            where error is IOError || error is SocketAddressError || error is SocketAddressError.UnknownHost
        {
            throw CommandError.setting("\(settings)_HOST", expects: "an address of this machine to listen on")
        }
    }
}
