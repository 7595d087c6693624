// What operators do with webhooks: migrations that hold no secret, reports, and what the service makes of them.

import Foundation
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(3))) struct WebhookAdminTests {
        private static let secrets = ["WEBHOOK_SECRETS": TestKeys.webhookSecret]

        @Test func `a webhook is added with a secret that is in no file and no row, shown again, and changed`()
            async throws
        {
            try await WebhookReceiver.with { receiver in
                try await Deployment.withAcme { deployment, key in
                    let secret = try await deployment.webhookSecret(
                        "add-webhook", "Acme", "--url", receiver.url, "--types", "link_session.completed", "--apply")
                    let shown = try await deployment.admin("show-webhook-secret", "1", environment: Self.secrets)
                    #expect(shown.output == secret + "\n" && shown.status == 0, "\(shown.summary)")
                    try await Service.serving(deployment.database) { service in
                        try await service.complete(key: key)
                        try await wait(until: "it came") { receiver.deliveries.count == 1 }
                        #expect(receiver.deliveries[0].isSigned(with: secret))
                        let new = try await deployment.webhookSecret(
                            "rotate-webhook-secret", "1", "--overlap", "1h", "--apply")
                        #expect(new != secret)
                        try await service.completeUntilTaken(by: receiver, key: key) { $0.isSigned(with: new) }
                        let both = try #require(receiver.deliveries.last)
                        #expect(both.isSigned(with: secret) && both.isSigned(with: new))
                        #expect(both.signature.split(separator: " ").count == 3)
                        let last = try await deployment.webhookSecret(
                            "rotate-webhook-secret", "1", "--overlap", "0s", "--apply")
                        try await service.completeUntilTaken(by: receiver, key: key) { $0.isSigned(with: last) }
                        let alone = try #require(receiver.deliveries.last)
                        #expect(!alone.isSigned(with: new) && !alone.isSigned(with: secret))
                        let dump = try await deployment.dump() + deployment.files().values.joined()
                        for secret in [secret, new, last] {
                            #expect(!dump.contains(secret) && !dump.contains(secret.dropFirst(6)))
                        }
                    }
                }
            }
        }

        @Test func `a webhook is disabled, goes on where it stopped, and gets a stretch once more`() async throws {
            try await WebhookReceiver.with { receiver in
                try await Deployment.withAcme { deployment, key in
                    let start = Int(Date().timeIntervalSince1970)
                    _ = try await deployment.webhookSecret("add-webhook", "Acme", "--url", receiver.url, "--apply")
                    try await Service.serving(deployment.database) { service in
                        for _ in 0..<3 { try await service.complete(key: key) }
                        try await wait(until: "they came") { receiver.deliveries.count == 3 }
                        try await wait(until: "it is known") {
                            try await deployment.database.count("SELECT count(*) FROM webhook_deliveries") == 3
                        }
                        #expect(try await deployment.admin("disable-webhook", "1", "--apply").status == 0)
                        try await Task.sleep(for: .seconds(2))
                        for _ in 0..<2 { try await service.complete(key: key) }
                        try await wait(until: "it is seen how far behind it is") {
                            let listed = try await deployment.webhook()
                            return listed["behind"] as? Int == 2 && listed["state"] as? String == "disabled"
                        }
                        #expect(receiver.deliveries.count == 3)
                        #expect(try await deployment.admin("resume-webhook", "1", "--apply").status == 0)
                        try await wait(until: "they came too") { receiver.deliveries.count == 5 }
                        let again = try await deployment.admin("resend", "1", "--since", "\(start)", "--apply")
                        #expect(again.status == 0, "\(again.summary)")
                        try await wait(until: "all came once more") { receiver.deliveries.count == 10 }
                        #expect(receiver.ids.suffix(5).sorted() == receiver.ids.prefix(5).sorted())
                        try await wait(until: "it is over") {
                            try await deployment.webhook()["resending"] as? Bool == false
                        }
                        let listed = try await deployment.webhook()
                        #expect(listed["state"] as? String == "active" && listed["behind"] as? Int == 0)
                        #expect(listed["last_success_at"] is Int && listed["last_error"] is NSNull)
                        let deliveries = try await deployment.admin("deliveries", "1", "--limit", "4")
                        #expect(deliveries.output.split(separator: "\n").count == 4, "\(deliveries.summary)")
                        #expect(deliveries.output.contains("attempt 1  204"), "\(deliveries.summary)")
                        let text = try await deployment.admin("list-webhooks", "Acme")
                        #expect(
                            text.output.contains("1  Acme  active\n  url           \(receiver.url)"), "\(text.output)")
                    }
                    let audit = try await deployment.admin("audit")
                    for action in ["insert webhook_endpoints", "update webhook_endpoints", "insert webhook_resends"] {
                        #expect(audit.output.contains(action), "\(audit.output)")
                    }
                }
            }
        }

        @Test func `what cannot be done is refused with a sentence, and leaves no file`() async throws {
            try await Deployment.withAcme { deployment, _ in
                let environment = Self.secrets
                for (arguments, line) in [
                    (["add-webhook", "Acme", "--url", "http://example.com/"], "--url expects an https URL"),
                    (["add-webhook", "Acme", "--url", "example.com"], "--url expects an https URL"),
                    (
                        ["add-webhook", "Acme", "--url", "https://example.com/", "--types", "opened"],
                        "--types expects each once, comma-separated, of: link_session.opened"
                    ),
                    (
                        [
                            "add-webhook", "Acme", "--url", "https://example.com/", "--types",
                            "link_session.opened,link_session.opened",
                        ], "--types expects each once, comma-separated, of: link_session.opened"
                    ),
                    (["rotate-webhook-secret", "1", "--overlap", "x"], "--overlap expects"),
                    (["resend", "1", "--since", "yesterday"], "--since expects Unix seconds"),
                    (["resend", "1", "--since", "2", "--until", "1"], "--until expects a time after --since"),
                    (["disable-webhook", "0"], "ID expects"),
                ] {
                    let run = try await deployment.admin(arguments, environment: environment)
                    #expect(run.status == 64 && run.errors.contains(line), "\(arguments): \(run.summary)")
                }
                for (arguments, line) in [
                    (
                        ["add-webhook", "Nobody", "--url", "https://example.com/"],
                        "there is no manufacturer of this name"
                    ),
                    (["disable-webhook", "7"], "there is no such webhook that is not disabled already"),
                    (["resume-webhook", "7"], "there is no such webhook that is disabled, paused or stopped"),
                    (["rotate-webhook-secret", "7", "--overlap", "1h"], "there is no such webhook"),
                    (["resend", "7", "--since", "1"], "there is no such webhook, or no event can lie in this stretch"),
                ] {
                    let before = try deployment.files()
                    let run = try await deployment.admin(arguments + ["--apply"], environment: environment)
                    #expect(run.status == 1 && run.errors.contains(line), "\(arguments): \(run.summary)")
                    #expect(try deployment.files() == before)
                }
                let unset = try await deployment.admin("add-webhook", "Acme", "--url", "https://example.com/")
                #expect(unset.errors.contains("WEBHOOK_SECRETS expects secrets"), "\(unset.summary)")
                let local = try await deployment.admin(
                    ["add-webhook", "Acme", "--url", "http://127.0.0.1/"],
                    environment: environment.merging(["LINK_SESSION_ENV": "production"]) { $1 })
                #expect(local.errors.contains("--url expects an https URL"), "\(local.summary)")
                let none = try await deployment.admin("list-webhooks")
                #expect(none.output == "no webhooks\n" && none.status == 0)
                let unknown = try await deployment.admin("deliveries", "7")
                #expect(unknown.status == 1 && unknown.errors.contains("there is no webhook of this id"))
            }
        }

        @Test func `a manufacturer has 16 webhooks at most, of which one is changed at a time`() async throws {
            try await Deployment.withAcme { deployment, _ in
                try await deployment.database.execute(
                    """
                    INSERT INTO webhook_endpoints (manufacturer_id, url, secret_salt)
                    SELECT id, 'https://example.com/' || n, decode(repeat('00', 16), 'hex')
                    FROM manufacturers, generate_series(1, 16) AS n
                    """)
                let run = try await deployment.admin(
                    ["add-webhook", "Acme", "--url", "https://example.com/", "--apply"], environment: Self.secrets)
                #expect(run.status == 1 && run.errors.contains("this manufacturer has 16 webhooks already"))
                let disabled = try await deployment.admin("disable-webhook", "7", "--apply")
                #expect(disabled.status == 0, "\(disabled.summary)")
                let ids = "SELECT id::text FROM webhook_endpoints WHERE disabled_at IS NOT NULL"
                #expect(try await deployment.database.rows(ids) == [["7"]])
            }
        }
    }
}

extension Deployment {
    /// What a command prints, alone on standard output.
    fileprivate func webhookSecret(_ arguments: String...) async throws -> String {
        let run = try await admin(arguments, environment: ["WEBHOOK_SECRETS": TestKeys.webhookSecret])
        #expect(run.status == 0 && run.errors.hasSuffix(".sql, with the webhook's secret\n"), "\(run.summary)")
        let secret = String(run.output.dropLast())
        #expect(secret.hasPrefix("whsec_") && secret.count == 50, "\(run.summary)")
        return secret
    }

    fileprivate func webhook() async throws -> [String: Any] {
        let run = try await admin("list-webhooks", "--json")
        let listed = try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: [[String: Any]]]
        return try #require(listed?["webhooks"]?.first)
    }
}

extension Service {
    fileprivate func complete(key: String) async throws {
        let created = try await create(Deployment.create, key: key)
        let token = try #require(created.json["link_token"]?.string, "\(created.text)")
        #expect(try await complete(token).status == 200)
    }

    /// The replica knows of a change within two seconds.
    fileprivate func completeUntilTaken(
        by receiver: WebhookReceiver, key: String, _ condition: (WebhookReceiver.Delivery) -> Bool
    ) async throws {
        for _ in 0..<10 {
            let before = receiver.deliveries.count
            try await complete(key: key)
            try await wait(until: "it came") { receiver.deliveries.count > before }
            if let last = receiver.deliveries.last, condition(last) { return }
            try await Task.sleep(for: .milliseconds(500))
        }
        Issue.record("nothing came that was signed so")
    }
}
