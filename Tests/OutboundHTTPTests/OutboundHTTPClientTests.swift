import Foundation
import IPAddresses
import NIOCore
import NIOHTTP1
import NIOSSL
@testable import OutboundHTTP
import Synchronization
import Testing

@Suite struct OutboundHTTPClientTests {
    private func get(
        _ url: String, at addresses: PublicAddresses, trusting certificate: TestCertificate? = nil,
        within timeout: TimeAmount = .seconds(10)
    ) async throws -> String {
        let roots: NIOSSLTrustRoots = certificate.map { .certificates([$0.certificate]) } ?? .default
        let response = try await OutboundHTTPClient(to: addresses, trustRoots: roots)
            .send(OutboundHTTPRequest(url: url), within: timeout, maximumSize: 1000)
        return "\(response.status.code) \(String(buffer: response.body))"
    }

    private func expectHello(
        _ url: String, at addresses: PublicAddresses, trusting certificate: TestCertificate? = nil
    ) async throws {
        let answer = try await get(url, at: addresses, trusting: certificate)
        #expect(answer == "200 hello")
    }

    /// Names are looked up in a list, each time the next; 127.0.0.1 stands for an address that is public.
    private func addresses(_ answers: [[String]]) -> PublicAddresses {
        let rest = Mutex(answers)
        return PublicAddresses(isAllowed: { "\($0)" == "127.0.0.1" }) { _, port in
            try rest.withLock { $0.isEmpty ? [] : $0.removeFirst() }
                .map { try SocketAddress(ipAddress: $0, port: port) }
        }
    }

    @Test(arguments: [
        "127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "0", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]",
        "[::127.0.0.1]", "[64:ff9b::7f00:1]", "10.0.0.1", "169.254.169.254", "[fd00::1]", "[fe80::1]",
    ])
    func `an address that is not public is never connected to, in whatever spelling`(host: String) async throws {
        try await LoopbackServer.with { server in
            await #expect(throws: OutboundHTTPError.addressNotPublic) {
                try await get("http://\(host):\(server.port)/", at: .only)
            }
            #expect(server.connections.withLock { $0 } == 0)
            try await expectHello("http://127.0.0.1:\(server.port)", at: .orAny)
        }
    }

    @Test func `a name is judged by all its addresses, and anew at every request`() async throws {
        try await LoopbackServer.with(at: "127.0.0.2") { inside in
            let answers = [["127.0.0.1", "127.0.0.2"], ["::1", "127.0.0.1"], ["127.0.0.2"], ["fe80::1"]]
            let mixed = addresses(answers)
            for _ in answers {
                await #expect(throws: OutboundHTTPError.addressNotPublic) {
                    try await get("http://provider.invalid:\(inside.port)/", at: mixed)
                }
            }
            await #expect(throws: OutboundHTTPError.nameUnknown) {
                try await get("http://provider.invalid:\(inside.port)/", at: mixed)
            }
            #expect(inside.connections.withLock { $0 } == 0)
        }
    }

    @Test func `a name that is public first and private then gets through once`() async throws {
        try await LoopbackServer.with { outside in
            let rebinding = addresses([["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"]])
            let url = "http://provider.invalid:\(outside.port)/path"
            // No other look-up than the judged one says where the connection goes: this name has no address elsewhere.
            try await expectHello(url, at: rebinding)
            await #expect(throws: OutboundHTTPError.addressNotPublic) { try await get(url, at: rebinding) }
            try await expectHello(url, at: rebinding)
            #expect(outside.connections.withLock { $0 } == 2)
            let host = "provider.invalid:\(outside.port)"
            #expect(outside.hosts.withLock { $0 } == [host, host])
        }
    }

    @Test func `TLS is spoken from version 1_2 on, with a server that proves its name`() async throws {
        let certificate = try TestCertificate(name: "provider.invalid")
        let always = PublicAddresses(isAllowed: { _ in true }) { [try SocketAddress(ipAddress: "127.0.0.1", port: $1)] }
        for (newest, isTaken) in [(TLSVersion.tlsv1, false), (.tlsv11, false), (.tlsv12, true), (.tlsv13, true)] {
            try await LoopbackServer.with(tls: certificate.server(newest: newest)) { server in
                let url = "https://provider.invalid:\(server.port)/"
                if isTaken {
                    try await expectHello(url, at: always, trusting: certificate)
                } else {
                    await #expect(throws: NIOSSLError.self) { try await get(url, at: always, trusting: certificate) }
                }
            }
        }
        try await LoopbackServer.with(tls: certificate.server()) { server in
            for (url, trusted) in [
                ("https://other.invalid:\(server.port)/", certificate),
                ("https://127.0.0.1:\(server.port)/", certificate),
                ("https://provider.invalid:\(server.port)/", nil),
            ] {
                await #expect(throws: (any Error).self, "\(url)") {
                    try await get(url, at: always, trusting: trusted)
                }
            }
            #expect(server.hosts.withLock { $0 } == [])
        }
    }

    @Test func `a name server that does not answer holds nobody longer than the time that was given`() async throws {
        let silent = PublicAddresses(isAllowed: { _ in true }) { _, _ in
            Thread.sleep(forTimeInterval: 3)
            return []
        }
        let start = ContinuousClock.now
        await #expect(throws: OutboundHTTPError.timedOut) {
            try await get("https://provider.invalid/", at: silent, within: .milliseconds(200))
        }
        #expect(ContinuousClock.now - start < .seconds(2))
    }

    @Test func `of an answer that is cut all is had up to the bound, and nobody waits for what is beyond it`()
        async throws
    {
        func cut(at size: Int, from server: LoopbackServer) async throws -> String {
            let request = OutboundHTTPRequest(url: "http://provider.invalid:\(server.port)/")
            let response = try await OutboundHTTPClient(to: addresses([["127.0.0.1"]]))
                .send(request, within: .seconds(10), maximumSize: size, cutsBody: true)
            return String(buffer: response.body)
        }
        try await LoopbackServer.with(parts: ["hel", "lo"]) { server in
            let (whole, part) = (try await cut(at: 1000, from: server), try await cut(at: 4, from: server))
            #expect(whole == "hello" && part == "hell")
        }
        try await LoopbackServer.with(parts: ["hel", "lo"], ends: false) { server in
            let answer = try await cut(at: 5, from: server)
            #expect(answer == "hello")
        }
    }

    @Test func `no more requests than there are places are under way, and one that ended makes room`() async throws {
        let slow = PublicAddresses(isAllowed: { _ in true }) { _, _ in
            Thread.sleep(forTimeInterval: 1)
            return []
        }
        let client = try OutboundHTTPClient(to: slow, places: 2)
        func outcome() async -> OutboundHTTPError? {
            do {
                let request = OutboundHTTPRequest(url: "https://provider.invalid/")
                _ = try await client.send(request, within: .seconds(10), maximumSize: 1000)
                return nil
            } catch {
                return error as? OutboundHTTPError
            }
        }
        for _ in 0..<2 {
            let outcomes = await withTaskGroup(of: OutboundHTTPError?.self) { group in
                for _ in 0..<5 { group.addTask { await outcome() } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.count { $0 == .nameUnknown } == 2, "\(outcomes)")
            #expect(outcomes.count { $0 == .tooManyRequests } == 3, "\(outcomes)")
        }
    }

    @Test(arguments: ["", "provider.invalid", "/path", "https://", "ftp://provider.invalid/", "unix:///run/socket"])
    func `what is no web URL is asked nothing`(url: String) async {
        await #expect(throws: OutboundHTTPError.invalidURL) { try await get(url, at: .orAny) }
    }
}
