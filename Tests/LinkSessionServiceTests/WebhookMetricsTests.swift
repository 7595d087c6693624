// What metrics tell of webhooks.

import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct WebhookMetricsTests {
        @Test func `deliveries, what waits, and how webhooks are is counted, by the program's own words`() async throws
        {
            try await WebhookReceiver.with { receiver in
                try await WebhookReceiver.with { refusing in
                    refusing.answers { _ in .status(500) }
                    try await Service.run(prepare: { database in
                        for url in [receiver.url, refusing.url] { _ = try await database.addWebhook(url) }
                        let paused = try await database.addWebhook(receiver.url)
                        _ = try await database.addWebhook(receiver.url)
                        try await database.execute(
                            """
                            UPDATE webhook_states SET state = 'paused' WHERE endpoint_id = \(paused);
                            UPDATE webhook_endpoints SET disabled_at = now() WHERE id > \(paused);
                            INSERT INTO webhook_retries (endpoint_id, position, session_id, attempts, first_failed_at)
                            VALUES (\(paused), 1, gen_random_uuid(), 20, now())
                            """)
                    }) { service in
                        _ = try await service.complete(try await service.createdToken())
                        _ = try await service.complete(try await service.createdToken())
                        try await wait(until: "one took them, and the other did not") {
                            let scraped = try await service.process.scrape()
                            return scraped.sample(#"link_session_webhook_deliveries_total{outcome="taken"}"#) == 2
                                && scraped.sample(#"link_session_webhook_deliveries_total{outcome="failed"}"#) == 2
                                && scraped.sample(#"link_session_webhook_endpoints{state="paused"}"#) == 1
                        }
                        let scraped = try await service.process.scrape()
                        for (name, value) in [
                            (#"link_session_webhook_deliveries_total{outcome="gone"}"#, 0),
                            (#"link_session_webhook_deliveries_total{outcome="not_sent"}"#, 0),
                            ("link_session_webhook_delivery_duration_seconds_count", 4),
                            (#"link_session_webhook_delivery_duration_seconds_bucket{le="10.0"}"#, 4),
                            ("link_session_webhook_leases", 2), ("link_session_webhook_backlog_events", 2),
                            (#"link_session_webhook_endpoints{state="stopped"}"#, 0),
                            ("link_session_webhook_given_up_events", 1),
                        ] { #expect(scraped.sample(name) == Double(value), "\(name)") }
                        let oldest = try #require(scraped.sample("link_session_webhook_oldest_seconds"))
                        #expect((0.001...10).contains(oldest), "\(oldest)")
                        #expect(!scraped.text.contains("127.0.0.1") && !scraped.text.contains("Acme"))
                        refusing.answers { _ in .status(204) }
                        try await wait(until: "nothing waits", within: .seconds(15)) {
                            let scraped = try await service.process.scrape()
                            return scraped.sample("link_session_webhook_backlog_events") == 0
                                && scraped.sample("link_session_webhook_oldest_seconds") == 0
                                && scraped.sample("link_session_webhook_endpoints_without_lease") == 0
                        }
                    }
                }
            }
        }
    }
}
