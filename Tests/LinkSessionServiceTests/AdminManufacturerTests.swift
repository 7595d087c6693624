// Manufacturers and their redirect URLs as an operator changes them: commands write migrations, migrate applies them,
// replicas follow.

import Foundation
import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct AdminManufacturerTests {
        @Test func `a new manufacturer's first session takes three commands`() async throws {
            try await Deployment.with { deployment in
                try await Service.serving(deployment.database, waitsForKeys: false) { service in
                    let added = try await deployment.admin(
                        "add-manufacturer", "--name", "New Heat", "--brand", "new heat", "--redirect-url",
                        "https://your-app.com/callback", "--apply")
                    #expect(added.status == 0, "\(added.summary)")
                    #expect(added.output == "\(deployment.path)/0001_add_manufacturer.sql\n")
                    let key = try await deployment.key("add-key", "New Heat", "--label", "production", "--apply")
                    let response = try await service.create(Deployment.create, key: key)
                    #expect(response.status == 201, "a key is in force when the command ends: \(response.text)")
                    #expect(response.json["brand"]?.string == "New Heat")
                }
            }
        }

        @Test func `without apply a change is a file to review, which migrate applies`() async throws {
            try await Deployment.with { deployment in
                let name = "O'Hara $$ Heat; -- \\ é"
                let added = try await deployment.admin(
                    "add-manufacturer", "--name", name, "--redirect-url", "com.ohara.app:/linked", "--redirect-url",
                    "https://ohara.example/back", environment: ["DATABASE_URL": "", "OPERATOR_DATABASE_URL": ""])
                #expect(added.status == 0, "\(added.summary)")
                let key = try await deployment.key(
                    "add-key", name, "--label", "it's", "--expires-in", "90d",
                    environment: ["DATABASE_URL": "", "OPERATOR_DATABASE_URL": ""])
                #expect(try await deployment.database.count("SELECT count(*) FROM manufacturers") == 0)
                let files = try deployment.files()
                #expect(files.keys.sorted() == ["0001_add_manufacturer.sql", "0002_add_key.sql"])
                for (file, sql) in files {
                    let comments = sql.split(separator: "\n").filter { $0.hasPrefix("--") }
                    #expect(comments.count == 2, "\(file)")
                    #expect(comments.allSatisfy { !$0.contains("Hara") && !$0.contains("it's") }, "\(file)")
                    #expect(!sql.contains(key), "\(file)")
                }
                #expect(files["0002_add_key.sql"]?.contains(TestKeys.digest(key)) == true)
                let migrated = try await deployment.migrate()
                #expect(migrated.status == 0, "\(migrated.summary)")
                #expect(
                    try await deployment.database.rows("SELECT name, brand, redirect_urls::text FROM manufacturers")
                        == [[name, nil, "{com.ohara.app:/linked,https://ohara.example/back}"]])
                #expect(
                    try await deployment.database.rows(
                        """
                        SELECT label, expires_at = created_at + interval '90 days' FROM api_keys
                        WHERE key_hash = decode('\(TestKeys.digest(key))', 'hex')
                        """) == [["it's", "true"]])
            }
        }

        @Test func `a disabled manufacturer is out on two replicas within a second, while one's connections are cut`()
            async throws
        {
            try await Deployment.withAcme { deployment, key in
                try await Service.serving(deployment.database) { first in
                    try await Service.serving(deployment.database, environment: ["PGAPPNAME": "second"]) { second in
                        for replica in [first, second] { #expect(try await replica.create(key: key).status == 201) }
                        let cut = Task {
                            var count = 0
                            while !Task.isCancelled {
                                count += try await deployment.database.rows(
                                    """
                                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                                    WHERE datname = current_database() AND application_name = 'second'
                                    """
                                ).count
                                try? await Task.sleep(for: .milliseconds(100))
                            }
                            return count
                        }
                        #expect(try await deployment.admin("disable", "Acme").status == 0)
                        let disabled = try await deployment.migrate()
                        let commit = ContinuousClock.now
                        #expect(disabled.status == 0, "\(disabled.summary)")
                        for replica in [first, second] {
                            try await wait(until: "the key is refused", within: .seconds(1)) {
                                try await replica.create(key: key).status == 401
                            }
                        }
                        #expect(ContinuousClock.now - commit < .seconds(1))
                        cut.cancel()
                        #expect(try await cut.value > 0)
                        try await deployment.expectRefusal(
                            ["disable", "Acme", "--apply"], "there is no enabled manufacturer of this name")
                        #expect(try await deployment.admin("enable", "Acme", "--apply").status == 0)
                        for replica in [first, second] {
                            try await wait(until: "the key works again", within: .seconds(2)) {
                                try await replica.create(key: key).status == 201
                            }
                        }
                    }
                }
            }
        }

        @Test func `a manufacturer is told of sessions that nobody opened where an operator said so`() async throws {
            try await Deployment.withAcme { deployment, _ in
                func isTold() async throws -> String? {
                    try await deployment.database.value("SELECT expires_unopened FROM manufacturers")
                }
                #expect(try await isTold() == "false")
                for (choice, expected) in [("on", "true"), ("off", "false")] {
                    let run = try await deployment.admin("set-unopened-expiry", "Acme", choice, "--apply")
                    #expect(run.status == 0, "\(run.summary)")
                    #expect(try await isTold() == expected)
                    try await deployment.expectRefusal(
                        ["set-unopened-expiry", "Acme", choice, "--apply"],
                        "there is no manufacturer of this name for which this is not so already")
                }
                let wrong = try await deployment.admin("set-unopened-expiry", "Acme", "perhaps")
                #expect(wrong.status == 64 && wrong.errors.contains("Please provide one of 'on' and 'off'"))
            }
        }

        @Test func `without its last redirect URL a manufacturer can send its users nowhere`() async throws {
            try await Deployment.withAcme { deployment, key in
                func urls() async throws -> [String?] {
                    try await deployment.database.rows(
                        "SELECT redirect_policy, redirect_urls::text FROM manufacturers")[0]
                }
                for arguments in [
                    ["allow-redirect", "Acme", "HTTPS://TWO.example:443/back"],
                    ["remove-redirect", "Acme", "https://your-app.com/callback"],
                    ["remove-redirect", "Acme", "https://two.example/back"],
                ] {
                    let run = try await deployment.admin(arguments + ["--apply"])
                    #expect(run.status == 0, "\(run.summary)")
                }
                #expect(try await urls() == ["registered", "{}"])
                try await deployment.expectRefusal(
                    ["remove-redirect", "Acme", "https://two.example/back", "--apply"],
                    "there is no manufacturer of this name with this redirect URL")
                try await Service.serving(deployment.database) { service in
                    let refused = try await service.create(key: key)
                    service.expect(refused, 400, "redirect_url_not_allowed", "nowhere")
                    #expect(
                        try await deployment.admin("redirect-policy", "Acme", "unrestricted", "--apply").status == 0)
                    try await wait(until: "anywhere", within: .seconds(1)) {
                        try await service.create(key: key).status == 201
                    }
                }
                try await deployment.expectRefusal(
                    ["redirect-policy", "Acme", "unrestricted", "--apply"],
                    "there is no manufacturer of this name whose redirect policy is another one")
                #expect(try await deployment.admin("redirect-policy", "Acme", "registered", "--apply").status == 0)
                #expect(
                    try await deployment.admin("allow-redirect", "Acme", "https://a.example/", "--apply").status == 0)
                try await deployment.expectRefusal(
                    ["allow-redirect", "Acme", "https://a.example/", "--apply"],
                    "there is no manufacturer of this name without this redirect URL")
                #expect(try await urls() == ["registered", "{https://a.example/}"])
            }
        }
    }
}
