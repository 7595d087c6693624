// API keys: how one is made, and what text can be one.

import LinkSessions
import Testing

@Suite struct APIKeyTests {
    /// Their checksums are zlib's.
    static let live = "nox_live_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA2ITHrW"
    static let test = "nox_test_ye8VPXSSqgiWA9yO3I2jeDy_fJNRhYFrTvmob4G0LsA17Yy6P"
    static let testWithLeadingZeros = "nox_test_gkFklgn4jM0qClsjOgelOOwxP_at9pWqRKlp28o59n000FOar"

    @Test func `a key is its prefix, 256 bits as base64url, and the CRC-32 of both in base62`() {
        #expect(APIKey(for: .live, words: (0, 0, 0, 0)).characters == Self.live)
        let key = APIKey(for: .test, words: (1, 2, 3, .max)).characters
        #expect(key.wholeMatch(of: /nox_(live|test)_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}/) != nil)
        #expect(APIKey.isWellFormed(key, in: .test))
    }

    @Test func `a key counts in its own environment only`() {
        for key in [Self.test, Self.testWithLeadingZeros] {
            #expect(APIKey.isWellFormed(key, in: .test))
            #expect(!APIKey.isWellFormed(key, in: .live))
        }
        #expect(APIKey.isWellFormed(Self.live, in: .live))
        #expect(!APIKey.isWellFormed(Self.live, in: .test))
    }

    @Test func `a key with any one character mistyped is refused`() {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        for place in 9..<Self.test.count {
            for character in alphabet {
                var characters = Array(Self.test)
                guard characters[place] != character else { continue }
                characters[place] = character
                #expect(!APIKey.isWellFormed(String(characters), in: .test), "\(place) \(character)")
            }
        }
    }

    @Test func `two neighbours swapped, a character less or more, and blanks are refused`() {
        let characters = Array(Self.test)
        for place in 9..<characters.count - 1 where characters[place] != characters[place + 1] {
            var swapped = characters
            swapped.swapAt(place, place + 1)
            #expect(!APIKey.isWellFormed(String(swapped), in: .test), "\(place)")
        }
        for key in [
            String(characters.dropLast()), String(characters) + "A", String(characters) + " ", " " + String(characters),
            "nox_test_", "nox_live_", "nox_test_x",
        ] {
            #expect(!APIKey.isWellFormed(key, in: .test), "\(key)")
            #expect(!APIKey.isWellFormed(key, in: .live), "\(key)")
        }
    }

    @Test func `what has another form is no key`() {
        for key in [
            "", "a", String(repeating: "~", count: 256), String(repeating: "a", count: 58), "nox_other", "NOX_LIVE_x",
            "x" + Self.test, "a b", "a\u{7F}", "é", "a\n", "\u{0}",
        ] {
            for environment in APIKey.Environment.allCases {
                #expect(!APIKey.isWellFormed(key, in: environment), "\(key)")
            }
        }
    }

    @Test func `a key is noticed wherever it stands in a text`() {
        for text in [Self.live, "id-" + Self.test, "nox_live_", "x.nox_test_1"] {
            #expect(APIKey.isMentioned(in: text), "\(text)")
        }
        for text in ["", "nox_", "nox-live-1", "4bf92f3577b34da6a3ce929d0e0e4736"] {
            #expect(!APIKey.isMentioned(in: text), "\(text)")
        }
    }

    @Test func `a key neither prints nor mirrors itself`() {
        let key = APIKey(for: .live, words: (0, 0, 0, 0))
        var dumped = ""
        dump(key, to: &dumped)
        for text in ["\(key)", String(reflecting: key), dumped] { #expect(!text.contains("AAAA"), "\(text)") }
    }
}
