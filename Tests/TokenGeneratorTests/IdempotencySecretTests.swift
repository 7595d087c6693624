// Tokens of creates with an Idempotency-Key: derived, and to be derived again by nobody without the secret.

import LinkSessions
import Testing
import TokenGenerator

@Suite struct IdempotencySecretTests {
    private let secret = [UInt8](0..<32)
    private let session = LinkSessionID("01990000-0000-7000-8003-00000000000a")

    private func token(
        _ secret: [UInt8], _ session: LinkSessionID?, _ manufacturer: Int64, _ key: String
    ) throws -> String {
        try #require(IdempotencySecret(secret: secret)).token(
            of: try #require(session), .init(manufacturer), try IdempotencyKey(key)
        ).characters
    }

    /// Computed by another implementation, Python's `hmac`: a replica of another build has to come to the same.
    @Test func `token and digests are those of HMAC-SHA-256 and SHA-256`() throws {
        let token = try token(secret, session, 7, "abc")
        #expect(token == "AZkAAAAAcACAAwAAAAAACocSrbLn1yvp1vItN4vHYRA9TpCh0-Mukg")
        #expect(LinkToken(token)?.id == session)
        #expect(
            try IdempotencyKey("abc").digest(of: .init(7)).hex
                == "6b4b627b3d8f81c56f4424005476cc2b983ac3c50e2a403f9c4baa2f1a382b11")
        let named = try #require(IdempotencySecret(secret: secret))
        #expect(named.id == -8_440_719_897_958_972_669)
        let request = NewLinkSession(
            manufacturer: .init(7), userID: try ManufacturerUserID("u"),
            redirectURL: try RedirectURL("https://a.example/"), language: .nl)
        #expect(
            try named.digest(of: request).hex == "244d5cbb21406136660e3f65ebfcdf2f051a491a6b24e339de0f785d43b5011e")
    }

    @Test func `another secret, session, manufacturer or key makes another token`() throws {
        let other = LinkSessionID("01990000-0000-7000-8003-00000000000b")
        let tokens = [
            try token(secret, session, 7, "abc"), try token(secret.reversed(), session, 7, "abc"),
            try token(secret, other, 7, "abc"), try token(secret, session, 8, "abc"),
            try token(secret, session, 7, "abd"), try token(secret, session, 7, "abcd"),
        ]
        #expect(Set(tokens.map { $0.suffix(32) }).count == tokens.count)
        #expect(try token(secret, session, 7, #""abc""#) == tokens[0])
    }

    @Test func `a secret has 32 bytes or more, and does not print itself`() throws {
        #expect(IdempotencySecret(secret: [UInt8](repeating: 7, count: 31)) == nil)
        let secret = try #require(IdempotencySecret(secret: [UInt8](repeating: 122, count: 33)))
        #expect("\(secret)" == "IdempotencySecret(redacted)")
    }

    @Test func `ids of a given shard ascend with all others`() throws {
        let generator = TokenGenerator(now: { 1_700_000_000_000_000_000 }) { () throws(RandomnessError) in
            (.random(in: .min ... .max), 0, 0, 0)
        }
        var ids: [LinkSessionID] = []
        for shard in UInt8(0)..<200 {
            ids.append(try generator.makeID(shard: shard))
            #expect(ids.last?.shard == shard)
            ids.append(try generator.makeToken().id)
        }
        #expect(ids == ids.sorted() && Set(ids).count == ids.count)
        // The sequence's own shard is what it was.
        #expect(Set(ids.indices.filter { $0 % 2 == 1 }.map { ids[$0].shard }).count == 1)
    }
}
