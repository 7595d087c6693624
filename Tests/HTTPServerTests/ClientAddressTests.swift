@testable import HTTPServer
import IPAddresses
import NIOHTTP1
import Testing

@Suite struct ClientAddressTests {
    private static let proxies = ["10.0.0.0/8", "2001:db8:ffff::/48"]

    private func client(from peer: String, _ headers: HTTPHeaders, trusting proxies: [String] = proxies) -> String? {
        TrustedProxies(networks: proxies.compactMap { IPNetwork($0) })
            .client(of: Client(IPAddress(peer)), headers).address?.description
    }

    @Test(arguments: [
        ("203.0.113.7", "203.0.113.7"), ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("203.0.113.7, 10.2.3.4", "203.0.113.7"), ("1.1.1.1,203.0.113.7 , 10.2.3.4,10.9.9.9", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"), ("2001:db8::7", "2001:db8::7"), ("[2001:db8::7]:4711", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"), ("::ffff:203.0.113.7", "203.0.113.7"), ("10.2.3.4", "10.2.3.4"),
        ("203.0.113.7, 2001:db8:ffff::1", "203.0.113.7"), ("", "10.0.0.1"), (",", "10.0.0.1"), ("unknown", "10.0.0.1"),
        ("203.0.113.7,", "10.0.0.1"), ("203.0.113.7, garbage", "10.0.0.1"), ("203.0.113.7, 10.2.3.4, x", "10.0.0.1"),
        ("203.0.113.7, x, 10.2.3.4", "10.2.3.4"), ("203.0.113.7:port:port", "10.0.0.1"), ("[203.0.113.7]", "10.0.0.1"),
        ("203.0.113.7:", "10.0.0.1"), ("\"203.0.113.7\"", "10.0.0.1"),
    ])
    func `X-Forwarded-For is read from right to left, for as long as proxies say so`(value: String, expected: String) {
        #expect(client(from: "10.0.0.1", ["x-forwarded-for": value]) == expected)
        #expect(client(from: "::ffff:10.0.0.1", ["x-forwarded-for": value]) == expected)
        #expect(client(from: "203.0.113.99", ["x-forwarded-for": value]) == "203.0.113.99", "from a stranger")
        #expect(client(from: "10.0.0.1", ["x-forwarded-for": value], trusting: []) == "10.0.0.1")
    }

    @Test(arguments: [
        ("for=203.0.113.7", "203.0.113.7"), ("For=203.0.113.7;proto=https;by=10.0.0.1", "203.0.113.7"),
        ("proto=https ; for=\"203.0.113.7:4711\"", "203.0.113.7"), ("for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
        ("for=\"[2001:db8::7]\"", "2001:db8::7"), ("for=1.1.1.1, for=203.0.113.7", "203.0.113.7"),
        ("for=203.0.113.7, for=10.2.3.4;by=\"a, b\"", "203.0.113.7"), ("for=\"203.0.113.7:_secret\"", "203.0.113.7"),
        ("for=\"\\203.0.113.7\"", "203.0.113.7"), ("for=unknown", "10.0.0.1"), ("for=_hidden", "10.0.0.1"),
        ("proto=https", "10.0.0.1"), ("for=203.0.113.7;for=1.1.1.1", "10.0.0.1"), ("203.0.113.7", "10.0.0.1"),
        ("for=203.0.113.7, proto=https", "10.0.0.1"), ("for=\"203.0.113.7", "10.0.0.1"), ("", "10.0.0.1"),
    ])
    func `Forwarded is read as RFC 7239 has it`(value: String, expected: String) {
        #expect(client(from: "10.0.0.1", ["forwarded": value]) == expected)
    }

    @Test func `several fields are one list, and a forged one of the other name changes nothing for others`() {
        #expect(
            client(from: "10.0.0.1", [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.7")].headers)
                == "203.0.113.7")
        #expect(
            client(from: "10.0.0.1", ["forwarded": "for=203.0.113.7", "x-forwarded-for": "203.0.113.7"])
                == "203.0.113.7")
        #expect(
            client(from: "10.0.0.1", ["forwarded": "for=1.1.1.1", "x-forwarded-for": "203.0.113.7"]) == "10.0.0.1",
            "whoever forges one is limited together with all who do")
    }

    @Test func `the log has the network alone`() {
        #expect(Client(IPAddress("203.0.113.77")).network == "203.0.113.0/24")
        #expect(Client(IPAddress("2001:db8:1:2::3")).network == "2001:db8:1::/48")
        #expect(Client(nil).network == "-")
    }

    @Test func `a list of ten thousand addresses is read in a moment`() {
        let list = [String](repeating: "10.1.1.1", count: 1_000).joined(separator: ",")
        let start = ContinuousClock.now
        for _ in 0..<10 { _ = client(from: "10.0.0.1", ["x-forwarded-for": list]) }
        #expect(ContinuousClock.now - start < .seconds(5))
    }
}

extension [(String, String)] {
    fileprivate var headers: HTTPHeaders { HTTPHeaders(self) }
}
