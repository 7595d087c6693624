import LinkSessions
import Testing
import TokenGenerator
@testable import Webhooks

@Suite struct RetryScheduleTests {
    @Test func `an event is tried again after 5 seconds, and ever later, at the latest after 6 hours`() {
        let delays = (1...12).map { RetrySchedule.delay(afterAttempt: $0, random: 0.5) }
        #expect(
            delays.prefix(8) == [
                .seconds(5), .seconds(30), .seconds(120), .seconds(600), .seconds(1800), .seconds(3600),
                .seconds(10_800),
                .seconds(21_600),
            ])
        #expect(delays.dropFirst(8).allSatisfy { $0 == .seconds(21_600) })
        #expect(RetrySchedule.delay(afterAttempt: 1, random: 0) == .seconds(4))
        #expect(RetrySchedule.delay(afterAttempt: 1, random: 1) - .seconds(6) < .milliseconds(1))
    }

    @Test func `an endpoint that is down is asked after a second, and at the latest after five minutes`() {
        let pauses = [5, 6, 7, 12, 13, 14, 1000].map { RetrySchedule.pause(afterFailures: $0, random: 0.5) }
        #expect(
            pauses == [
                .seconds(1), .seconds(2), .seconds(4), .seconds(128), .seconds(256), .seconds(300), .seconds(300),
            ])
    }

    @Test(arguments: [
        ("plain, and é", "plain, and é"), ("a\u{1B}[31mb\r\n\0c", "a [31mb   c"), ("\u{202E}abc\u{2066}", " abc "),
    ]) func `an answer is kept as what a terminal can show`(given: String, kept: String) {
        #expect(WebhookSender.harmless(Array(given.utf8)) == kept)
    }

    @Test func `200 characters of an answer are kept, whatever it is`() {
        #expect(WebhookSender.harmless(Array(repeating: 0x61, count: 1000)) == String(repeating: "a", count: 200))
        let text = WebhookSender.harmless((0..<1600).map { UInt8($0 % 251 + 4) })
        #expect(text.unicodeScalars.count == 200)
    }
}

@Suite struct WebhookSignerTests {
    private static func hmac(_ byte: UInt8) throws -> HMACSHA256 {
        try #require(HMACSHA256(secret: Array(repeating: byte, count: 32)))
    }

    private let salt = [UInt8](0..<16)

    /// Computed by another implementation, Python's `hmac`: receivers keep what a replica of another build derives.
    @Test func `a secret is derived by HMAC-SHA-256 of the salt`() throws {
        let secret = try WebhookSecret(from: try Self.hmac(7), salt: salt)
        #expect(secret.text == "whsec_Uy23ic+jC8Im4u75ie8GjreytBycSFAUStuEoSDmbZo=")
    }

    @Test func `the key signs once, and every secret for every salt`() throws {
        let key = try #require(SigningKey(seed: Array(repeating: 1, count: 32)))
        let signer = WebhookSigner(key: key, secrets: [try Self.hmac(1), try Self.hmac(2)])
        let other = [UInt8](repeating: 9, count: 16)
        let one = try signer.signatures(id: "evt_1", timestamp: 5, body: Array("{}".utf8), salts: [salt])
        let two = try signer.signatures(id: "evt_1", timestamp: 5, body: Array("{}".utf8), salts: [salt, other])
        #expect(one.split(separator: " ").map { $0.prefix { $0 != "," } } == ["v1a", "v1", "v1"])
        #expect(two.hasPrefix(one + " v1,") && two.split(separator: " ").count == 5)
        for (id, time, body) in [("evt_2", 5, "{}"), ("evt_1", 6, "{}"), ("evt_1", 5, "{} ")] {
            let changed = try signer.signatures(
                id: id, timestamp: UnixSeconds(time), body: Array(body.utf8), salts: [salt])
            #expect(Set(changed.split(separator: " ")).isDisjoint(with: one.split(separator: " ")))
        }
    }
}
