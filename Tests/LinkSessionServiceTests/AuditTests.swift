// What operators do and read is recorded, whatever they do it with.

import Foundation
import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct AuditTests {
        private static let user = NSUserName()

        @Test func `commands, migrations and psql leave a row each, with who, what and of whom, and no user's id`()
            async throws
        {
            try await Deployment.withAcme { deployment, key in
                let history = try #require(deployment.path.split(separator: "/").last)
                try await Service.serving(deployment.database) { service in
                    _ = try await service.create(Deployment.create, key: key)
                }
                try await deployment.database.execute(
                    "UPDATE operator_actions SET occurred_at = occurred_at - interval '60 days'")
                #expect(try await deployment.admin("disable", "Acme", "--apply").status == 0)
                for arguments in [
                    ["sessions", "--manufacturer", "Acme", "--user-id", "zq7user-1"],
                    ["export-user", "--manufacturer", "Acme"], ["erase-user", "--manufacturer", "Acme"],
                    ["erase-user", "--supplier", "green-grid"],
                ] {
                    let run = try await deployment.admin(arguments, input: "zq7user-1")
                    #expect([0, 3].contains(run.status), "\(arguments): \(run.summary)")
                }
                let digest = TestKeys.digest(key)
                let psql = TestDatabase(name: deployment.database.name, url: deployment.database.operatorURL)
                try await psql.execute(
                    """
                    UPDATE api_keys SET revoked_at = now(); UPDATE manufacturers SET enabled = true WHERE false;
                    SELECT * FROM erase_user((SELECT id FROM manufacturers), 'zq7user-1', NULL);
                    DELETE FROM api_keys;
                    INSERT INTO suppliers (slug, name, issuer, client_id, client_secret_name)
                    VALUES ('green-grid', 'Green Grid', 'https://login.example', 'nox', 'SUPPLIER_A_SECRET');
                    """)
                let expected = [
                    ["link-session-migrate", "migrate", "\(history)/0003_disable.sql"],
                    ["link-session-migrate", "update manufacturers", "Acme"],
                    ["link-session-admin", "sessions", "Acme"], ["link-session-admin", "export user", "Acme"],
                    ["link-session-admin", "erase user", "Acme"], ["link-session-admin", "erase user", "green-grid"],
                    ["tests", "update api_keys", "Acme/\(digest.prefix(12))"], ["tests", "erase user", "Acme"],
                    ["tests", "delete api_keys", "Acme/\(digest.prefix(12))"],
                    ["tests", "insert suppliers", "green-grid"],
                ]
                let json = try await deployment.admin("audit", "--json")
                let parsed = try #require(
                    JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: [[String: Any]]])
                let actions = try #require(parsed["operator_actions"])
                #expect(
                    actions.map { action in ["program", "action", "subject"].map { action[$0] as? String } } == expected
                )
                #expect(actions.allSatisfy { $0["login"] as? String == "test_operator" && $0["occurred_at"] is Int })
                for action in actions {
                    #expect(
                        action["os_user"] as? String == (action["program"] as? String == "tests" ? nil : Self.user))
                }
                let text = try await deployment.admin("audit", "--days", "1")
                #expect(text.output.split(separator: "\n").count == expected.count + 1, "\(text.summary)")
                // Those of before are there for as long as they are asked for.
                let all = try await deployment.admin("audit", "--days", "400")
                #expect(all.output.contains("insert manufacturers") && all.output.contains("insert api_keys"))
                for output in [json.output, all.output] {
                    #expect(!output.contains("zq7") && !output.contains(key) && !output.contains(digest))
                }
                for days in ["0", "401"] {
                    let run = try await deployment.admin("audit", "--days", days)
                    #expect(run.status == 64 && run.errors.contains("--days expects 1 to 400"), "\(run.summary)")
                }
            }
        }

        @Test func `what the service does is no operator's action, and what is older than 400 days goes`() async throws
        {
            try await Deployment.withAcme { deployment, key in
                let before = try await deployment.database.count("SELECT count(*) FROM operator_actions")
                try await deployment.database.execute(
                    """
                    UPDATE operator_actions SET occurred_at = now() - interval '401 days' WHERE action = 'migrate';
                    UPDATE operator_actions SET occurred_at = now() - interval '399 days' WHERE action <> 'migrate';
                    """)
                let old = try await deployment.database.count(
                    "SELECT count(*) FROM operator_actions WHERE action = 'migrate'")
                #expect(old == 2)
                try await Service.serving(deployment.database) { service in
                    #expect(try await service.create(key: key).status == 201)
                    try await wait(until: "the key's use is recorded") {
                        try await deployment.database.count("SELECT count(last_used_at) FROM api_keys") == 1
                    }
                    try await wait(until: "the old ones are gone") {
                        try await deployment.database.count("SELECT count(*) FROM operator_actions") == before - old
                    }
                }
            }
        }
    }
}
