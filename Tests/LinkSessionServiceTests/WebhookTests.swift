// Webhooks: events that are sent to their manufacturers, signed, at least once each.

import Foundation
import LinkSessions
@testable import TestSupport
import Testing
import TokenGenerator
import Webhooks

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct WebhookTests {
        @Test func `a session's life is sent as the feed has it, to its manufacturer alone, and signed`()
            async throws
        {
            try await WebhookReceiver.with { receiver in
                try await WebhookReceiver.with { other in
                    try await Service.run(prepare: { database in
                        _ = try await database.addWebhook(receiver.url)
                        _ = try await database.addWebhook(other.url, of: "Beta Devices")
                    }) { service in
                        let token = try await service.createdToken()
                        _ = try await service.view(token)
                        _ = try await service.complete(token)
                        try await wait(until: "both came") { receiver.deliveries.count == 2 }
                        let feed = try await service.get(Service.events, key: TestKeys.acme).json["data"]?.elements
                        let sent = receiver.deliveries.sorted { $0.id < $1.id }.compactMap(\.event)
                        #expect(sent == feed)
                        #expect(receiver.ids == receiver.deliveries.map { $0.event?["id"]?.string })
                        let key = try await service.webhookKey()
                        let secret = try TestDatabase.webhookSecret()
                        for delivery in receiver.deliveries {
                            #expect(OpenAPIDocument.shared.problems(of: delivery) == [])
                            #expect(delivery.isSigned(by: key) && delivery.isSigned(with: secret))
                            let now = Int(Date().timeIntervalSince1970)
                            #expect(abs((Int(delivery.timestamp) ?? 0) - now) < 10)
                            #expect(!delivery.body.contains(token))
                            for changed in delivery.changes {
                                #expect(!changed.isSigned(by: key) && !changed.isSigned(with: secret))
                            }
                        }
                        try await Task.sleep(for: .seconds(1))
                        #expect(receiver.deliveries.count == 2 && other.deliveries.isEmpty)
                        let rows = try await service.database.rows(
                            "SELECT status::text, attempt::text, answer FROM webhook_deliveries ORDER BY attempted_at")
                        #expect(rows == [["204", "1", ""], ["204", "1", ""]])
                    }
                }
            }
        }

        @Test func `only what was asked for is sent, and nothing of before`() async throws {
            try await WebhookReceiver.with { receiver in
                try await Service.run { service in
                    _ = try await service.complete(try await service.createdToken())
                    try await wait(until: "it is in the feed") {
                        try await service.get(Service.events, key: TestKeys.acme).json["data"]?.elements?.count == 1
                    }
                    let types = "{link_session.completed,link_session.confirmed}"
                    _ = try await service.database.addWebhook(receiver.url, types: "'\(types)'")
                    let token = try await service.createdToken()
                    _ = try await service.view(token)
                    _ = try await service.complete(token)
                    try await wait(until: "it came") { !receiver.deliveries.isEmpty }
                    try await Task.sleep(for: .milliseconds(500))
                    #expect(receiver.deliveries.map { $0.event?["type"]?.string } == ["link_session.completed"])
                }
            }
        }

        @Test func `an event that gets 500 is sent again after seconds, and others pass it`() async throws {
            try await WebhookReceiver.with { receiver in
                try await Service.run(prepare: { _ = try await $0.addWebhook(receiver.url) }) { service in
                    let odd = try await service.create().header("Link-Session-Id") ?? ""
                    receiver.answers { delivery in
                        let isFirst = receiver.deliveries.count { $0.id == delivery.id } == 1
                        return delivery.body.contains(odd) && isFirst
                            ? .status(500, body: "no\u{1B}[31m luck") : .status(200)
                    }
                    _ = try await service.request(
                        "POST", "\(Service.sessions)/\(odd)/expire", headers: [("x-api-key", TestKeys.acme)])
                    try await wait(until: "it came") { receiver.deliveries.count == 1 }
                    for _ in 0..<3 { _ = try await service.complete(try await service.createdToken()) }
                    try await wait(until: "the others came", within: .seconds(3)) { receiver.deliveries.count == 4 }
                    try await wait(until: "it came again", within: .seconds(15)) { receiver.deliveries.count == 5 }
                    let (first, again) = (receiver.deliveries[0], receiver.deliveries[4])
                    #expect(first.id == again.id && first.body == again.body)
                    #expect((.seconds(3)...(.seconds(8))).contains(again.at - first.at), "\(again.at - first.at)")
                    try await wait(until: "nothing is to be retried") {
                        try await service.database.count("SELECT count(*) FROM webhook_retries") == 0
                    }
                    let failed = try await service.database.rows(
                        "SELECT status::text, answer FROM webhook_deliveries WHERE status <> 200")
                    #expect(failed == [["500", "no [31m luck"]])
                    #expect(service.process.log.contains("webhook not taken"))
                    #expect(!service.process.log.contains("/hooks") && !service.process.log.contains("luck"))
                }
            }
        }

        @Test func `a receiver that sends without end, elsewhere, or nothing costs its own queue alone`() async throws {
            try await WebhookReceiver.with { receiver in
                try await WebhookReceiver.with { silent in
                    try await WebhookReceiver.with { odd in
                        silent.answers { _ in .never }
                        odd.answers { delivery in
                            delivery.event?["type"]?.string == "link_session.opened"
                                ? .endless : .status(302, headers: [("location", receiver.url)])
                        }
                        try await Service.run(prepare: { database in
                            for url in [receiver.url, silent.url, odd.url] { _ = try await database.addWebhook(url) }
                        }) { service in
                            let start = ContinuousClock.now
                            for _ in 0..<10 {
                                let token = try await service.createdToken()
                                _ = try await service.view(token)
                                _ = try await service.complete(token)
                            }
                            try await wait(until: "all came", within: .seconds(5)) { receiver.deliveries.count == 20 }
                            #expect(ContinuousClock.now - start < .seconds(5))
                            try await wait(until: "as many came as may be under way") { silent.deliveries.count >= 8 }
                            try await wait(until: "the redirects failed", within: .seconds(5)) {
                                try await service.database.count(
                                    "SELECT count(*) FROM webhook_deliveries WHERE status = 302") >= 5
                            }
                            #expect(Set(receiver.ids).count == 20 && receiver.deliveries.count == 20)
                            #expect(silent.deliveries.count == 8, "no more at once")
                            #expect(
                                try await service.database.count(
                                    "SELECT count(*) FROM webhook_deliveries WHERE answer LIKE 'aaa%' AND status = 200"
                                ) > 0)
                            #expect(service.process.residentMemory < 400 << 20)
                        }
                    }
                }
            }
        }

        @Test func `410 stops a webhook, and resuming goes on where it stopped`() async throws {
            try await WebhookReceiver.with { receiver in
                receiver.answers { _ in .status(410) }
                try await Service.run(prepare: { _ = try await $0.addWebhook(receiver.url) }) { service in
                    _ = try await service.complete(try await service.createdToken())
                    try await service.process.waitForLog("webhook stopped", within: 10)
                    for _ in 0..<3 { _ = try await service.complete(try await service.createdToken()) }
                    try await Task.sleep(for: .seconds(2))
                    #expect(receiver.deliveries.count == 1)
                    receiver.answers { _ in .status(200) }
                    try await service.database.execute("UPDATE webhook_endpoints SET resumed_at = now()")
                    try await wait(until: "all came") { receiver.deliveries.count == 5 }
                    #expect(Set(receiver.ids).count == 4)
                }
            }
        }

        @Test func `a webhook that failed for three days is paused, loudly, and gets all of it when it is resumed`()
            async throws
        {
            try await WebhookReceiver.with { receiver in
                receiver.answers { _ in .status(503) }
                let prepare = { @Sendable (database: TestDatabase) in
                    _ = try await database.addWebhook(receiver.url)
                    try await database.execute(
                        """
                        UPDATE webhook_states
                        SET consecutive_failures = 20, failing_since = now() - interval '3 days 1 minute'
                        """)
                }
                try await Service.run(prepare: prepare) { service in
                    for _ in 0..<20 { _ = try await service.complete(try await service.createdToken()) }
                    try await service.process.waitForLog("webhook paused", within: 10)
                    let line = service.process.log.split(separator: "\n").first { $0.contains("webhook paused") }
                    #expect(line?.contains("error") == true && line?.contains("webhook=1") == true, "\(line ?? "")")
                    try await Task.sleep(for: .seconds(2))
                    #expect(receiver.deliveries.count == 1)
                    receiver.answers { _ in .status(200) }
                    try await service.database.execute("UPDATE webhook_endpoints SET resumed_at = now()")
                    try await wait(until: "all came") { receiver.deliveries.count == 21 }
                    #expect(Set(receiver.ids).count == 20)
                }
            }
        }

        /// One that is stopped does not know that it lost its lease.
        @Test(arguments: [SIGKILL, SIGSTOP])
        func `when a replica is gone another goes on within ten seconds, and nothing is lost`(signal: Int32)
            async throws
        {
            try await WebhookReceiver.with { receiver in
                try await TestDatabase.with { database in
                    try await database.addManufacturers()
                    _ = try await database.addWebhook(receiver.url)
                    try await ServiceProcess.serving(database) { first in
                        _ = try await first.complete(try await first.createdToken())
                        try await wait(until: "the first replica sends") { receiver.deliveries.count == 1 }
                        try await Service.serving(database) { second in
                            receiver.answers { _ in .late(.milliseconds(100)) }
                            for _ in 0..<60 { _ = try await second.complete(try await second.createdToken()) }
                            try await wait(until: "it is in the middle") { receiver.deliveries.count >= 10 }
                            first.send(signal)
                            let gone = ContinuousClock.now
                            try await wait(until: "all came", within: .seconds(12)) { Set(receiver.ids).count == 61 }
                            let next = receiver.deliveries.first { $0.at > gone + .seconds(1) }
                            if let next { #expect(next.at - gone < .seconds(10)) }
                            let twice = receiver.deliveries.count - 61
                            #expect(twice <= 8, "only what was under way came twice: \(twice)")
                            first.send(SIGCONT)
                            try await Task.sleep(for: .seconds(2))
                            #expect(receiver.deliveries.count - 61 <= 16)
                        }
                    }
                }
            }
        }

        @Test func `what a drained replica leaves goes on elsewhere at once, and comes once`() async throws {
            try await WebhookReceiver.with { receiver in
                try await TestDatabase.with { database in
                    try await database.addManufacturers()
                    _ = try await database.addWebhook(receiver.url)
                    try await ServiceProcess.serving(database) { first in
                        let token = try await first.createdToken()
                        _ = try await first.complete(token)
                        try await wait(until: "the first replica sends") { receiver.deliveries.count == 1 }
                        try await Service.serving(database) { second in
                            receiver.answers { _ in .late(.milliseconds(100)) }
                            for _ in 0..<30 { _ = try await second.complete(try await second.createdToken()) }
                            let lease = "SELECT leased_by::text FROM webhook_states"
                            let drained = try await database.value(lease)
                            first.send(SIGTERM)
                            try await wait(until: "all came", within: .seconds(6)) { receiver.deliveries.count >= 31 }
                            #expect(try await first.waitForExit() == 0)
                            let now = try await database.value(lease)
                            #expect(drained != nil && drained != now, "nobody waits for the lease to end by itself")
                            try await Task.sleep(for: .seconds(1))
                            #expect(receiver.deliveries.count == 31 && Set(receiver.ids).count == 31)
                        }
                    }
                }
            }
        }

        @Test func `an erasure leaves nothing of what was sent`() async throws {
            try await WebhookReceiver.with { receiver in
                receiver.answers { .status(500, body: $0.body) }
                try await Service.run(prepare: { _ = try await $0.addWebhook(receiver.url) }) { service in
                    _ = try await service.complete(try await service.createdToken())
                    try await wait(until: "it failed") {
                        try await service.database.count("SELECT count(*) FROM webhook_deliveries") == 1
                    }
                    #expect(try await service.database.count("SELECT count(*) FROM webhook_retries") == 1)
                    try await service.database.execute(
                        "SELECT erase_user(min(id), '\(Secrets.publishedUserID)', NULL) FROM manufacturers")
                    for table in ["webhook_deliveries", "webhook_retries"] {
                        #expect(try await service.database.count("SELECT count(*) FROM \(table)") == 0)
                    }
                    try await Task.sleep(for: .seconds(7))
                    #expect(receiver.deliveries.count == 1)
                }
            }
        }
    }
}

extension TestDatabase {
    private static let salt = [UInt8](repeating: 0x5A, count: 16)

    /// - Returns: the webhook's number.
    func addWebhook(
        _ url: String, types: String = "NULL", of manufacturer: String = "Acme Manufacturing"
    ) async throws -> Int {
        let rows = try await rows(
            """
            INSERT INTO webhook_endpoints (manufacturer_id, url, types, secret_salt)
            SELECT id, '\(url)', \(types), '\\x\(Hexadecimal.encode(Self.salt))'
            FROM manufacturers WHERE name = '\(manufacturer)' RETURNING id::text
            """)
        return try #require(rows.first?.first.flatMap { $0 }.flatMap { Int($0) })
    }

    static func webhookSecret() throws -> String {
        let secret = try #require(Base64URL.decode(TestKeys.webhookSecret).flatMap(HMACSHA256.init(secret:)))
        return try WebhookSecret(from: secret, salt: salt).text
    }
}

extension Service {
    /// That which is published and signs nothing else.
    func webhookKey() async throws -> [UInt8] {
        let seed = try #require(Base64URL.decode(TestKeys.webhookSigning))
        let key = try #require(SigningKey(seed: seed)).publicKey
        let published = try await keys().compactMap { $0["x"]?.string }
        #expect(published.contains(Base64URL.encode(key)))
        return key
    }
}

extension WebhookReceiver.Delivery {
    /// With one byte, the time, or the id changed.
    fileprivate var changes: [Self] {
        func with(id: String? = nil, timestamp: String? = nil, body: String? = nil) -> Self {
            Self(
                id: id ?? self.id, timestamp: timestamp ?? self.timestamp, signature: signature,
                body: body ?? self.body,
                at: at)
        }
        let older = String((Int(timestamp) ?? 0) - 600)
        return [with(id: id + "0"), with(timestamp: older), with(body: body.replacing("Acme", with: "Acmf"))]
            .filter { $0.id != id || $0.timestamp != timestamp || $0.body != body }
    }
}
