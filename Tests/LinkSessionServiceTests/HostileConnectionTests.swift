// Clients that want the service down by their connections: it stays small, and everybody else is served meanwhile.

import Foundation
import Synchronization
import TestSupport
import Testing

extension ProgramTests {
    @Suite struct HostileConnectionTests {
        private static let most = 200 * 1024 * 1024

        /// Carries out `attack` while another client creates sessions.
        private func attacking(
            _ attack: @escaping @Sendable (ServiceProcess) throws -> Void,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            try await Service.run { service in
                let process = service.process
                let isOver = Atomic<Bool>(false)
                async let watch = { () async throws -> (peak: Int, creates: Int) in
                    var peak = 0
                    var creates = 0
                    while !isOver.load(ordering: .relaxed) {
                        peak = max(peak, process.residentMemory)
                        let status = try await service.create().status
                        #expect(status == 201, sourceLocation: sourceLocation)
                        creates += 1
                        try? await Task.sleep(for: .milliseconds(20))
                    }
                    return (peak: peak, creates: creates)
                }()
                try await onThread { try attack(process) }
                isOver.store(true, ordering: .relaxed)
                let (peak, creates) = try await watch
                #expect(max(peak, process.residentMemory) < Self.most, sourceLocation: sourceLocation)
                #expect(creates > 0, sourceLocation: sourceLocation)
            }
        }

        @Test(arguments: [
            "GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            "GET /health/live HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
            "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        ])
        func `400 MB after a change of protocol are not kept, and the connection ends with its answer`(
            head: String
        ) async throws {
            try await attacking { process in
                let socket = try RawSocket(port: process.port)
                socket.send(Array(head.utf8))
                let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: 4 * 1024 * 1024)
                for _ in 0..<100 {
                    guard socket.send(bytes, withinMilliseconds: 2500) == bytes.count else { break }
                }
                #expect(socket.isClosed || !socket.receive().text.isEmpty)
            }
        }

        @Test func `100,000 requests at once are taken in only as they are answered, and all in their order`()
            async throws
        {
            try await attacking { process in
                let count = 100_000
                let socket = try RawSocket(port: process.port)
                let request = Array("GET /health HTTP/1.1\r\nHost:a\r\n\r\n".utf8)
                let last = Array("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8)
                Thread.detachNewThread {
                    let requests = Array((0..<count).map { _ in request }.joined())
                    socket.send(requests + last, withinMilliseconds: 60_000)
                }
                let (text, isClosed) = socket.receive(withinMilliseconds: 60_000)
                #expect(isClosed)
                #expect(text.components(separatedBy: "HTTP/1.1 404").count == count + 2)
            }
        }

        @Test func `requests without number from a client that reads nothing are not taken in`() async throws {
            try await attacking { process in
                let sockets = try (0..<8).map { _ in try RawSocket(port: process.port) }
                let requests = Array(
                    (0..<200_000).map { _ in Array("GET /openapi.json HTTP/1.1\r\nHost:a\r\n\r\n".utf8) }.joined())
                for socket in sockets {
                    #expect(socket.send(requests, withinMilliseconds: 500) < requests.count, "the rest is not read")
                }
            }
        }

        @Test func `11,000 connections that say nothing make room for those that do`() async throws {
            try await attacking { process in
                var sockets: [RawSocket] = []
                for _ in 0..<11_000 { sockets.append(try RawSocket(port: process.port)) }
                let honest = try RawSocket(port: process.port)
                honest.send(Array("GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
                #expect(honest.receive().text.hasPrefix("HTTP/1.1 200 "))
                #expect(sockets.count { $0.isClosed } >= 1000, "the first made room")
            }
        }

        @Test func `a connection that says nothing is closed after ten seconds`() async throws {
            try await attacking { process in
                let socket = try RawSocket(port: process.port)
                let start = ContinuousClock.now
                let (text, isClosed) = socket.receive(withinMilliseconds: 15_000)
                #expect(isClosed && text.isEmpty)
                #expect(.seconds(9) < .now - start && .now - start < .seconds(14))
            }
        }
    }
}
