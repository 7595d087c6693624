// A replica's ids ascend, whatever its clock does.

import LinkSessions
import Synchronization
import Testing
import TokenGenerator

@Suite struct LinkSessionIDSequenceTests {
    /// A generator whose clock is set by the test, and whose randomness is a counter's: each next shard is another one.
    private final class Replica: Sendable {
        private struct State {
            var nanoseconds: Int64 = 0
            var calls: UInt64 = 0
        }

        /// In milliseconds.
        static let start: UInt64 = 1_700_000_000_000

        private let state = Mutex(State())

        /// - Parameter milliseconds: after the start.
        func makeIDs(_ count: Int, at milliseconds: Double, _ generator: TokenGenerator) throws -> [LinkSessionID] {
            state.withLock { $0.nanoseconds = Int64(Self.start) * 1_000_000 + Int64(milliseconds * 1_000_000) }
            return try (0..<count).map { _ in try generator.makeToken().id }
        }

        var generator: TokenGenerator {
            TokenGenerator(
                now: { [self] in state.withLock { UInt64($0.nanoseconds) } },
                randomWords: { [self] () throws(RandomnessError) in
                    let calls = state.withLock { state in
                        state.calls += 1
                        return state.calls
                    }
                    return (calls << 54, 0, 0, 0)
                })
        }
    }

    private func milliseconds(_ id: LinkSessionID) -> UInt64 { id.words.0 >> 16 }

    private func expectAscending(_ ids: [LinkSessionID]) {
        for (earlier, later) in zip(ids, ids.dropFirst()) where earlier >= later {
            Issue.record("\(earlier.text) is not less than \(later.text)")
        }
    }

    @Test func `ids ascend while the clock stands, and stay of its time`() throws {
        let replica = Replica()
        let ids = try replica.makeIDs(4096, at: 0, replica.generator)
        expectAscending(ids)
        #expect(ids.allSatisfy { milliseconds($0) == Replica.start })
        #expect(ids.map { $0.words.0 & 0xFFF } == Array(0..<4096))
    }

    @Test func `more ids than a millisecond has parts go on in the next one`() throws {
        let replica = Replica()
        let ids = try replica.makeIDs(10_000, at: 0, replica.generator)
        expectAscending(ids)
        #expect(ids.last.map(milliseconds) == Replica.start + 2)
    }

    @Test func `ids ascend while the clock steps back an hour, and lead it no further than that`() throws {
        let (replica, hour) = (Replica(), 3_600_000.0)
        let generator = replica.generator
        let before = try replica.makeIDs(10, at: 0, generator)
        let back = try (0..<1000).flatMap {
            try replica.makeIDs(1, at: -hour + Double($0) * 1000, generator)
        }
        #expect(back.allSatisfy { milliseconds($0) == Replica.start })
        // Once the clock is where it was, it counts again.
        let after = try replica.makeIDs(10, at: 1, generator)
        #expect(after.first.map(milliseconds) == Replica.start + 1)
        expectAscending(before + back + after)
    }

    @Test func `ids ascend over a leap of the clock and are of its new time`() throws {
        let replica = Replica()
        let generator = replica.generator
        let before = try replica.makeIDs(10, at: 0, generator)
        let after = try replica.makeIDs(10, at: 86_400_000, generator)
        #expect(after.first.map(milliseconds) == Replica.start + 86_400_000)
        expectAscending(before + after)
    }

    @Test func `a part of a millisecond is in the twelve bits behind the version`() throws {
        let replica = Replica()
        let generator = replica.generator
        for (part, expected) in [(0.0, 0), (0.25, 1024), (0.5, 2048), (0.75, 3072)] as [(Double, UInt64)] {
            let id = try replica.makeIDs(1, at: part, generator)[0]
            #expect(id.words.0 & 0xFFF == expected)
        }
    }

    @Test func `a shard that is left gives way to another at once, and the next one stays`() throws {
        let replica = Replica()
        let generator = replica.generator
        let first = try replica.makeIDs(1, at: 0, generator)[0]
        generator.leaveShard(of: first)
        let second = try replica.makeIDs(1, at: 0, generator)[0]
        #expect(second.shard != first.shard)
        // All of a group leave it, one after the other.
        generator.leaveShard(of: first)
        let third = try replica.makeIDs(1, at: 0, generator)[0]
        #expect(third.shard == second.shard)
        expectAscending([first, second, third])
    }

    @Test func `a shard stays for 100 ms and then changes`() throws {
        let replica = Replica()
        let generator = replica.generator
        func shard(at milliseconds: Double) throws -> UInt8 {
            try replica.makeIDs(1, at: milliseconds, generator)[0].shard
        }
        let first = try shard(at: 0)
        for place in stride(from: 0.5, to: 100, by: 0.5) { #expect(try shard(at: place) == first) }
        let second = try shard(at: 100)
        #expect(second != first)
        #expect(try shard(at: 199.9) == second)
        // It begins with the first id that comes after the one before.
        let third = try shard(at: 1000)
        #expect(third != second)
        #expect(try shard(at: 1099.9) == third)
        #expect(try shard(at: 1100) != third)
    }

    @Test func `a clock that steps back an hour keeps no shard for that hour`() throws {
        let replica = Replica()
        let generator = replica.generator
        let before = try replica.makeIDs(1, at: 0, generator)[0]
        let hour: Double = 3_600_000
        let back = try replica.makeIDs(2, at: -hour, generator)
        #expect(back[0].shard != before.shard && back[1].shard == back[0].shard)
        let later = try replica.makeIDs(1, at: 100 - hour, generator)[0]
        #expect(later.shard != back[0].shard)
        expectAscending([before] + back + [later])
    }

    @Test func `over a time all shards get their part`() throws {
        let clock = Atomic<UInt64>(Replica.start * 1_000_000)
        let generator = TokenGenerator(
            now: { clock.add(100_000_000, ordering: .relaxed).newValue },
            randomWords: { () throws(RandomnessError) in (.random(in: .min ... .max), 0, 0, 0) })
        var shards: [UInt8: Int] = [:]
        for _ in 0..<10_000 { shards[try generator.makeToken().id.shard, default: 0] += 1 }
        // 39 of each are expected; the odds of one with none are 10^-15.
        #expect(shards.count == 256)
        #expect(shards.values.allSatisfy { $0 < 120 })
    }

    @Test func `of 8 threads' ids no two are alike, and each thread's ascend`() async throws {
        let generator = TokenGenerator()
        let ids = try await withThrowingTaskGroup(of: [LinkSessionID].self) { group in
            for _ in 0..<8 {
                group.addTask { try (0..<20_000).map { _ in try generator.makeToken().id } }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        for ofOneThread in ids { expectAscending(ofOneThread) }
        #expect(Set(ids.joined()).count == 160_000)
        // Not for their random bits alone: no two have the same time.
        #expect(Set(ids.joined().map(\.words.0)).count == 160_000)
    }
}
