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
        var seen = [Set<UInt8>](repeating: [], count: 43)
        for token in tokens {
            for (place, character) in token.utf8.enumerated() { seen[place].insert(character) }
        }
        // That one of 64 characters never shows has odds of 10^-66; four random bits are left for the last place.
        #expect(seen.map(\.count) == [Int](repeating: 64, count: 42) + [16])
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

    @Test func `a token is made of the words it was given`() throws {
        let generator = TokenGenerator { () throws(RandomnessError) in
            (0x0001_0203_0405_0607, 0x0809_0A0B_0C0D_0E0F, 0x1011_1213_1415_1617, 0x1819_1A1B_1C1D_1E1F)
        }
        #expect(try generator.makeToken().characters == "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
    }
}
