// Tokens are random, valid, or not made at all.

import LinkSessions
import Testing
import TokenGenerator

@Suite struct TokenGeneratorTests {
    @Test func `ten thousand tokens are valid, all different, and random at every place`() throws {
        let generator = TokenGenerator()
        let tokens = try (0..<10_000).map { _ in try generator.makeToken().characters }
        #expect(Set(tokens).count == 10_000)
        #expect(tokens.allSatisfy { LinkToken($0)?.characters == $0 })
        var seen = [Set<UInt8>](repeating: [], count: 54)
        for token in tokens {
            for (place, character) in token.utf8.enumerated() { seen[place].insert(character) }
        }
        // That one of 64 characters never shows has odds of 10^-66; two random bits are left for the last place. Before
        // them stand the id's time, its version, its variant and its shard.
        #expect(seen[11].count == 64)
        #expect(seen[14...].map(\.count) == [Int](repeating: 64, count: 39) + [4])
    }

    @Test func `a token's id is of this moment`() throws {
        let generator = TokenGenerator()
        let before = ContinuousClock.now
        let first = try generator.makeToken().id
        let second = try generator.makeToken().id
        let milliseconds = second.words.0 >> 16 - first.words.0 >> 16
        #expect(Duration.milliseconds(milliseconds) <= ContinuousClock.now - before + .milliseconds(1))
        // From 2024 on, and before 2200.
        #expect((1_704_067_200_000..<7_258_118_400_000).contains(first.words.0 >> 16))
    }

    @Test func `a thousand keys are well-formed and all different`() throws {
        let keys = try (0..<1000).map { _ in try TokenGenerator().makeAPIKey(for: .live).characters }
        #expect(Set(keys).count == 1000)
        #expect(keys.allSatisfy { APIKey.isWellFormed($0, in: .live) && $0.hasPrefix("nox_live_") })
    }

    @Test func `a generator without randomness makes no token and no key`() {
        let generator = TokenGenerator { () throws(RandomnessError) in
            throw RandomnessError()
        }
        #expect(throws: RandomnessError.self) { try generator.makeToken() }
        #expect(throws: RandomnessError.self) { try generator.makeAPIKey(for: .test) }
    }

    @Test func `a token is made of the time and the words it was given`() throws {
        let generator = TokenGenerator(
            now: { 0x018C_8F5D_4A3B * 1_000_000 },
            randomWords: { () throws(RandomnessError) in
                (0x1F81_0203_0405_0607, 0x0809_0A0B_0C0D_0E0F, 0x1011_1213_1415_1617, 0x1819_1A1B_1C1D_1E1F)
            })
        let token = try generator.makeToken()
        #expect(token.characters == "AYyPXUo7cACBfgIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHw")
        #expect(token.id.text == "018c8f5d-4a3b-7000-817e-020304050607")
    }
}
