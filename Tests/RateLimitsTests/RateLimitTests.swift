import IPAddresses
@testable import RateLimits
import Testing

@Suite struct RateLimitTests {
    private let start = ContinuousClock.now

    private func limit(_ text: String) throws -> RateLimit { try #require(RateLimit(text)) }

    @Test(arguments: [
        "", "100", "100/", "/200", "0/200", "100/0", "100/99", "100/200/300", "-1/5", "1.5/3", " 1/2", "01/2", "1/+2",
        "1000001/1000001", "none",
    ])
    func `a limit is two whole numbers, and what may come at once is not less than a second's`(text: String) {
        #expect(RateLimit(text) == nil)
    }

    @Test func `so many come at once, and then so many a second`() throws {
        let limit = try limit("10/20")
        var bucket = TokenBucket(now: start)
        for left in (0..<20).reversed() { #expect(bucket.take(of: limit, now: start) == .taken(left: left)) }
        #expect(bucket.take(of: limit, now: start) == .refused(retryAfter: .milliseconds(100)))
        #expect(
            bucket.take(of: limit, now: start + .milliseconds(40)) == .refused(retryAfter: .milliseconds(60)),
            "a refusal takes nothing")
        #expect(bucket.take(of: limit, now: start + .milliseconds(100)) == .taken(left: 0))
        var passed = 0
        for millisecond in 101...10_100 {
            if case .taken = bucket.take(of: limit, now: start + .milliseconds(millisecond)) { passed += 1 }
        }
        #expect(passed == 100)
        #expect(!bucket.isFull(limit, now: start + .milliseconds(12_000)))
        #expect(bucket.isFull(limit, now: start + .milliseconds(12_101)))
        #expect(bucket.take(of: limit, now: start + .seconds(60)) == .taken(left: 19))
    }

    @Test func `with a share of the rate a bucket fills that much slower`() throws {
        let limit = try limit("10/20")
        var bucket = TokenBucket(now: start)
        for _ in 0..<20 { _ = bucket.take(of: limit, share: 0.5, now: start) }
        #expect(bucket.take(of: limit, share: 0.5, now: start) == .refused(retryAfter: .milliseconds(200)))
        #expect(bucket.take(of: limit, share: 0.01, now: start) == .refused(retryAfter: .seconds(10)))
        #expect(bucket.take(of: limit, share: 0.01, now: start + .seconds(10)) == .taken(left: 0))
        #expect(
            bucket.take(of: limit, now: start + .seconds(11)) == .taken(left: 9), "a change of the share gives nothing")
    }

    @Test func `a clock that steps back gives nobody more, and takes nothing for long`() throws {
        let limit = try limit("10/20")
        var bucket = TokenBucket(now: start)
        for _ in 0..<20 { _ = bucket.take(of: limit, now: start) }
        #expect(bucket.take(of: limit, now: start - .seconds(1)) == .refused(retryAfter: .milliseconds(100)))
        #expect(bucket.take(of: limit, now: start + .seconds(2)) == .taken(left: 19))
    }

    @Test func `each IPv4 address and each IPv6 network of 64 bits has a limit of its own`() throws {
        let limits = AddressLimits(try limit("1/2"))
        func passes(_ address: String) throws -> Int {
            let address = try #require(IPAddress(address))
            return (0..<10).count { _ in limits.take(address, now: start) != .refused(retryAfter: .seconds(1)) }
        }
        #expect(try passes("192.0.2.1") == 2)
        #expect(try passes("192.0.2.2") == 2)
        #expect(try passes("::ffff:192.0.2.1") == 0)
        #expect(try passes("2001:db8::1") == 2)
        #expect(try passes("2001:db8::2") == 0)
        #expect(try passes("2001:db8:0:1::1") == 2)
    }

    @Test func `a network of 48 bits has sixteen times the limit of an address, however many addresses it has`() throws
    {
        let limits = AddressLimits(try limit("1/2"))
        var passed = 0
        for number in 0..<1000 {
            let address = try #require(IPAddress("2001:db8:0:\(String(number, radix: 16))::1"))
            if case .taken = limits.take(address, now: start) { passed += 1 }
        }
        #expect(passed == 32)
        #expect(limits.count <= 33)
    }

    @Test func `however many addresses come, few are remembered, and whoever takes much is`() throws {
        let limits = AddressLimits(try limit("10/20"), capacity: 100)
        let loud = try #require(IPAddress("192.0.2.1"))
        for _ in 0..<20 { _ = limits.take(loud, now: start) }
        for number in 0..<10_000 {
            let address = try #require(IPAddress("10.1.\(number / 256).\(number % 256)"))
            #expect(limits.take(address, now: start) == .taken(left: 19), "an honest one is never pushed out")
            #expect(limits.count <= 101)
        }
        #expect(limits.take(loud, now: start) == .refused(retryAfter: .milliseconds(100)))
    }

    @Test func `whoever is silent for a while is forgotten first, and where that is enough nobody else is`() throws {
        let limits = AddressLimits(try limit("10/20"), capacity: 10)
        for number in 1...8 { _ = limits.take(try #require(IPAddress("10.1.0.\(number)")), now: start) }
        for number in 1...3 {
            let address = try #require(IPAddress("10.2.0.\(number)"))
            #expect(limits.take(address, now: start + .seconds(3)) == .taken(left: 19))
        }
        #expect(limits.count == 3)
        #expect(limits.take(try #require(IPAddress("10.2.0.1")), now: start + .seconds(3)) == .taken(left: 18))
    }

    @Test func `refusals wait longer the more of them wait, and at most ten seconds`() {
        #expect(RefusalDelay.time(whileHeld: 0) == .seconds(1))
        #expect(RefusalDelay.time(whileHeld: 100) == .seconds(2))
        #expect(RefusalDelay.time(whileHeld: 10_000) == .seconds(10))
    }
}
