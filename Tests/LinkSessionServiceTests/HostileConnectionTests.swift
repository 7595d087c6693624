// Clients that want the service down by their connections: it stays small, and everybody else is served meanwhile.

import Foundation
import Synchronization
import TestSupport
import Testing

extension ProgramTests {
    @Suite struct HostileConnectionTests {
        private static let most = 200 * 1024 * 1024

        /// Carries out `attack` while another client creates sessions, at least so many.
        private func attacking(
            leaving leastCreates: Int = 1, descriptorLimit: Int? = nil,
            _ attack: @escaping @Sendable (ServiceProcess) throws -> Void,
            sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            try await Service.run(descriptorLimit: descriptorLimit) { service in
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
                #expect(creates >= leastCreates, sourceLocation: sourceLocation)
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

        @Test func `16 clients that pipeline without end leave others their turn`() async throws {
            try await attacking(leaving: 3) { process in
                let sockets = try (0..<16).map { _ in try RawSocket(port: process.port) }
                let requests = Array(
                    String(repeating: "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n", count: 500).utf8)
                let end = ContinuousClock.now + .seconds(6)
                while .now < end {
                    for socket in sockets {
                        socket.send(requests, withinMilliseconds: 1)
                        _ = socket.receive(withinMilliseconds: 1)
                    }
                }
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

        @Test func `17,000 connections that say nothing make room for those that do`() async throws {
            try await attacking { process in
                var sockets: [RawSocket] = []
                for _ in 0..<17_000 { sockets.append(try RawSocket(port: process.port)) }
                let honest = try RawSocket(port: process.port)
                honest.send(Array("GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
                #expect(honest.receive().text.hasPrefix("HTTP/1.1 200 "))
                #expect(sockets.count { $0.isClosed } >= 1000, "the first made room")
            }
        }

        /// As much as a head may have, in fields that take most memory once they are parsed, or in large ones.
        private static func head(fields: Int, length: Int) -> [UInt8] {
            let fields = (100..<(100 + fields)).map {
                "field-with-a-long-name-\($0): \(String(repeating: "y", count: length))\r\n"
            }
            return Array("GET /health/live HTTP/1.1\r\nHost: a\r\n\(fields.joined())".utf8)
        }

        @Test(arguments: [(0, 0), (96, 30), (96, 270)])
        func `connections that begin a head and stop make room for those that ask`(
            fields: Int, length: Int
        ) async throws {
            let head = Self.head(fields: fields, length: length)
            // Leaves 3,000 places.
            try await attacking(descriptorLimit: 4024) { process in
                var sockets: [RawSocket] = []
                for _ in 0..<3600 {
                    let socket = try RawSocket(port: process.port)
                    socket.send(head, withinMilliseconds: 100)
                    sockets.append(socket)
                }
                let honest = try RawSocket(port: process.port)
                honest.send(Array("GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8))
                #expect(honest.receive(withinMilliseconds: 20_000).text.hasPrefix("HTTP/1.1 200 "))
            }
        }

        @Test func `9,000 clients that do not read a large answer wait for the same bytes`() async throws {
            try await attacking { process in
                let requests = Array(
                    String(repeating: "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n", count: 8).utf8)
                var sockets: [RawSocket] = []
                for _ in 0..<9_000 {
                    let socket = try RawSocket(port: process.port, receiveBuffer: 2304)
                    socket.send(requests, withinMilliseconds: 100)
                    sockets.append(socket)
                }
                Thread.sleep(forTimeInterval: 2)
            }
        }

        @Test func `large requests that wait behind an answer that is not read are not taken in`() async throws {
            let large =
                Self.head(fields: 90, length: 300) + Array("Content-Length: 16000\r\n\r\n".utf8)
                + Array(repeating: UInt8(ascii: "x"), count: 16_000)
            try await attacking { process in
                let unread = Array(
                    String(repeating: "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n", count: 60).utf8)
                let sockets = try (0..<100).map { _ in try RawSocket(port: process.port, receiveBuffer: 4096) }
                for socket in sockets { socket.send(unread, withinMilliseconds: 100) }
                for _ in 0..<10 {
                    for socket in sockets { socket.send(large, withinMilliseconds: 1) }
                }
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
