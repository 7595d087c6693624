// What providers published is kept for a while, longer while they are down, and had anew no more often than is good.

@testable import AuthenticatorUI
import Synchronization
import Testing

@Suite struct PublishedCacheTests {
    private struct DownError: Error {}

    private final class Provider: Sendable {
        let isDown = Mutex(false)
        let requests = Mutex(0)

        func fetch() throws -> Int {
            let number = requests.withLock { number in
                number += 1
                return number
            }
            if isDown.withLock(\.self) { throw DownError() }
            return number
        }
    }

    private func cache(
        of provider: Provider, lifetime: Duration = .seconds(60), grace: Duration = .seconds(60),
        retry: Duration = .seconds(60), renewal: Duration = .seconds(60)
    ) -> PublishedCache<String, Int> {
        PublishedCache(.init(lifetime: lifetime, grace: grace, retry: retry, shortestRenewal: renewal)) { _ in
            try await Task.sleep(for: .milliseconds(10))
            return try provider.fetch()
        }
    }

    @Test func `what a provider publishes is kept as operators are told`() {
        let times = PublishedCache<String, Int>.Times()
        #expect(times.lifetime == .seconds(10 * 60))
        #expect(times.grace == .seconds(60 * 60))
        #expect(times.retry == .seconds(15))
        #expect(times.shortestRenewal == .seconds(60))
    }

    @Test func `callers at the same time share one request, and later ones what it had`() async throws {
        let provider = Provider()
        let cache = cache(of: provider)
        let values = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<20 { group.addTask { try await cache.value(of: "a") } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(values) == [1])
        #expect(try await cache.value(of: "a") == 1)
        #expect(try await cache.value(of: "b") == 2)
    }

    @Test func `what is old is fetched anew, and stays in use while that fails, for the time of grace`() async throws {
        let provider = Provider()
        let cache = cache(
            of: provider, lifetime: .milliseconds(50), grace: .milliseconds(600), retry: .milliseconds(300))
        #expect(try await cache.value(of: "a") == 1)
        provider.isDown.withLock { $0 = true }
        try await Task.sleep(for: .milliseconds(80))
        #expect(try await cache.value(of: "a") == 1)
        #expect(try await cache.value(of: "a") == 1)
        // The failure is remembered for a while.
        #expect(provider.requests.withLock(\.self) == 2)
        try await Task.sleep(for: .milliseconds(700))
        await #expect(throws: DownError.self) { try await cache.value(of: "a") }
        provider.isDown.withLock { $0 = false }
        #expect(try await cache.value(of: "a") == 4)
    }

    @Test func `a failure with nothing before it is not remembered`() async throws {
        let provider = Provider()
        let cache = cache(of: provider)
        provider.isDown.withLock { $0 = true }
        await #expect(throws: DownError.self) { try await cache.value(of: "a") }
        provider.isDown.withLock { $0 = false }
        #expect(try await cache.value(of: "a") == 2)
    }

    @Test func `it is renewed on demand, but not more often than is good`() async throws {
        let provider = Provider()
        let cache = cache(of: provider, renewal: .milliseconds(200))
        #expect(try await cache.value(of: "a") == 1)
        #expect(try await cache.value(of: "a", isRenewed: true) == 2)
        for _ in 0..<5 { #expect(try await cache.value(of: "a", isRenewed: true) == 2) }
        try await Task.sleep(for: .milliseconds(250))
        #expect(try await cache.value(of: "a", isRenewed: true) == 3)
        #expect(try await cache.value(of: "a") == 3)
    }

    @Test func `a renewal that fails leaves what was there`() async throws {
        let provider = Provider()
        let cache = cache(of: provider)
        #expect(try await cache.value(of: "a") == 1)
        provider.isDown.withLock { $0 = true }
        #expect(try await cache.value(of: "a", isRenewed: true) == 1)
        #expect(try await cache.value(of: "a") == 1)
    }
}
