// The signatures are Ed25519.

import LinkSessions
import Testing
import TokenGenerator

@Suite struct SigningKeyTests {
    struct Example: Sendable {
        let seed: String
        let publicKey: String
        let message: String
        let signature: String
    }

    /// RFC 8032, section 7.1: TEST 1, TEST 2, TEST 3 and TEST SHA(abc).
    private static let examples = [
        Example(
            seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", message: "",
            signature:
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
        Example(
            seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", message: "72",
            signature:
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
        Example(
            seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", message: "af82",
            signature:
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
        Example(
            seed: "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            publicKey: "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            message:
                "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            signature:
                "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
        ),
    ]

    private static func bytes(_ hex: String) -> [UInt8] { Hexadecimal.decode(hex) ?? [] }

    @Test(arguments: examples)
    func `the standard's examples have the standard's public keys and signatures`(example: Example) throws {
        let key = try #require(SigningKey(seed: Self.bytes(example.seed)))
        #expect(key.publicKey == Self.bytes(example.publicKey))
        #expect(try key.signature(of: Self.bytes(example.message)) == Self.bytes(example.signature))
    }

    @Test func `the same message gets the same signature, another one another`() throws {
        let seed = Self.bytes(Self.examples[0].seed)
        let (key, same) = (try #require(SigningKey(seed: seed)), try #require(SigningKey(seed: seed)))
        let message = Array("header.data".utf8)
        let signature = try key.signature(of: message)
        #expect(signature.count == 64)
        for _ in 0..<10 { #expect(try same.signature(of: message) == signature) }
        #expect(try key.signature(of: Array("header.dat".utf8)) != signature)
        let other = try #require(SigningKey(seed: Self.bytes(Self.examples[1].seed)))
        #expect(try other.signature(of: message) != signature)
    }

    @Test func `a seed of another length than 32 bytes is refused`() {
        for count in Array(0...64) where count != 32 {
            #expect(SigningKey(seed: [UInt8](repeating: 1, count: count)) == nil, "\(count) bytes")
        }
        #expect(SigningKey(seed: [UInt8](repeating: 1, count: 32)) != nil)
    }

    @Test func `many threads may sign at once`() async throws {
        let key = try #require(SigningKey(seed: Self.bytes(Self.examples[1].seed)))
        let expected = Self.bytes(Self.examples[1].signature)
        let wrong = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask { try (0..<200).count { _ in try key.signature(of: [0x72]) != expected } }
            }
            return try await group.reduce(0, +)
        }
        #expect(wrong == 0)
    }

    @Test func `a key neither prints, dumps nor mirrors itself`() throws {
        let key = try #require(SigningKey(seed: [UInt8](repeating: 217, count: 32)))
        var dumped = ""
        dump(["key": [key]], to: &dumped)
        for text in ["\(key)", String(reflecting: key), "\([key])", "\(Optional(key) as Any)", dumped] {
            #expect(!text.contains("217"))
        }
        #expect(Mirror(reflecting: key).children.isEmpty)
    }
}
