// Administration as an operator does it: commands write migrations, migrate applies them, replicas follow.

import Foundation
import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct AdminTests {
        private static let create = #"{"user_id":"zq7user-1","redirect_url":"https://your-app.com/callback"}"#

        // MARK: From nothing to a session

        @Test func `a new manufacturer's first session takes three commands`() async throws {
            try await Deployment.with { deployment in
                try await Service.serving(deployment.database, waitsForKeys: false) { service in
                    let added = try await deployment.admin(
                        "add-manufacturer", "--name", "New Heat", "--brand", "new heat", "--redirect-url",
                        "https://your-app.com/callback", "--apply")
                    #expect(added.status == 0, "\(added.summary)")
                    #expect(added.output == "\(deployment.path)/0001_add_manufacturer.sql\n")
                    let key = try await deployment.key("add-key", "New Heat", "--label", "production", "--apply")
                    let response = try await service.create(Self.create, key: key)
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
                    "https://ohara.example/back", environment: ["DATABASE_URL": ""])
                #expect(added.status == 0, "\(added.summary)")
                let key = try await deployment.key(
                    "add-key", name, "--label", "it's", "--expires-in", "90d", environment: ["DATABASE_URL": ""])
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

        // MARK: Keys

        @Test func `of a rotated key the old one works until the overlap is over, the new one all along`() async throws
        {
            try await Deployment.withAcme { deployment, old in
                try await Service.serving(deployment.database) { service in
                    #expect(try await service.create(key: old).status == 201)
                    let new = try await deployment.key("rotate-key", "Acme", "--overlap", "4s", "--apply")
                    #expect(try await service.create(key: new).status == 201)
                    #expect(try await service.create(key: old).status == 201)
                    try await wait(until: "the old key ends", within: .seconds(5)) {
                        try await service.create(key: old).status == 401
                    }
                    #expect(try await service.create(key: new).status == 201)
                    // The leaked key's case: no overlap.
                    let newest = try await deployment.key("rotate-key", "Acme", "--overlap", "0s", "--apply")
                    try await wait(until: "the key before ends", within: .seconds(2)) {
                        try await service.create(key: new).status == 401
                    }
                    #expect(try await service.create(key: newest).status == 201)
                }
            }
        }

        @Test func `a key can be revoked by its label or its digest, once, and where it is the only such one`()
            async throws
        {
            try await Deployment.withAcme { deployment, first in
                let second = try await deployment.key("add-key", "Acme", "--label", "production", "--apply")
                for (arguments, sentence) in [
                    (["--label", "production"], "this is more than one key: choose it by its digest"),
                    (["--label", "other"], "this manufacturer has no such key that is not revoked already"),
                    (["--digest", "00000000"], "this manufacturer has no such key that is not revoked already"),
                ] {
                    try await deployment.expectRefusal(["revoke-key", "Acme"] + arguments + ["--apply"], sentence)
                }
                let digest = String(TestKeys.digest(first).prefix(12)).uppercased()
                let revoked = try await deployment.admin("revoke-key", "Acme", "--digest", digest, "--apply")
                #expect(revoked.status == 0, "\(revoked.summary)")
                try await deployment.expectRefusal(
                    ["revoke-key", "Acme", "--digest", digest, "--apply"],
                    "this manufacturer has no such key that is not revoked already")
                #expect(
                    try await deployment.database.rows(
                        "SELECT encode(key_hash, 'hex') FROM api_keys WHERE revoked_at IS NULL")
                        == [[TestKeys.digest(second)]])
            }
        }

        @Test func `a rotation needs one label that is in use`() async throws {
            try await Deployment.withAcme { deployment, _ in
                _ = try await deployment.key("add-key", "Acme", "--label", "backup", "--apply")
                try await deployment.expectRefusal(
                    ["rotate-key", "Acme", "--overlap", "1h", "--apply"],
                    "this manufacturer's keys have several labels: choose one")
                try await deployment.expectRefusal(
                    ["rotate-key", "Acme", "--overlap", "1h", "--label", "none", "--apply"],
                    "this manufacturer has no such key that is in use")
                _ = try await deployment.key(
                    "rotate-key", "Acme", "--overlap", "1h", "--label", "backup", "--expires-in", "10h", "--apply")
                // A second rotation while the first one's overlap lasts prolongs nothing; a lifetime is inherited.
                _ = try await deployment.key("rotate-key", "Acme", "--overlap", "2h", "--label", "backup", "--apply")
                #expect(
                    try await deployment.database.rows(
                        """
                        SELECT label, round(extract(epoch FROM expires_at - now()) / 3600)::text FROM api_keys
                        ORDER BY id
                        """) == [["production", nil], ["backup", "1"], ["backup", "2"], ["backup", "10"]])
            }
        }

        @Test func `a key's form is checked, and a key of the other environment is unknown`() async throws {
            try await Deployment.withAcme { deployment, key in
                #expect(key.wholeMatch(of: /nox_test_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}/) != nil)
                let live = try await deployment.key(
                    "add-key", "Acme", "--label", "live",
                    environment: ["LINK_SESSION_ENV": "production", "DATABASE_URL": ""])
                #expect(live.wholeMatch(of: /nox_live_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}/) != nil)
                #expect(try await deployment.migrate().status == 0)
                try await deployment.database.addKey("made-before-the-form", manufacturer: "Acme")
                try await Service.serving(deployment.database) { service in
                    for (key, status) in [
                        (key, 201), ("made-before-the-form", 201), (live, 401), (String(key.dropLast()), 401),
                    ] {
                        let response = try await service.create(key: key)
                        #expect(response.status == status)
                    }
                }
            }
        }

        @Test func `the list shows when a key was last used, within seconds`() async throws {
            try await Deployment.withAcme { deployment, key in
                try await Service.serving(deployment.database) { service in
                    #expect(try await service.create(key: key).status == 201)
                    try await wait(until: "the use is recorded") {
                        try await deployment.database.count("SELECT count(last_used_at) FROM api_keys") == 1
                    }
                }
            }
        }

        // MARK: Taking a manufacturer offline

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

        // MARK: Redirect URLs

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

        // MARK: Reports

        @Test func `the list shows manufacturers, redirect URLs and keys to people and to programs`() async throws {
            try await Deployment.withAcme { deployment, key in
                let ended = try await deployment.key("add-key", "Acme", "--label", "old", "--apply")
                #expect(try await deployment.admin("revoke-key", "Acme", "--label", "old", "--apply").status == 0)
                #expect(
                    try await deployment.admin("add-manufacturer", "--name", "Wild", "--unrestricted", "--apply").status
                        == 0)
                #expect(try await deployment.admin("disable", "Wild", "--apply").status == 0)
                let list = try await deployment.admin("list")
                #expect(list.status == 0 && list.errors.isEmpty, "\(list.summary)")
                for text in [
                    "Acme\n", "https://your-app.com/callback", "Wild (DISABLED", "UNRESTRICTED", "  no keys",
                    String(TestKeys.digest(key).prefix(12)) + "  production  usable",
                    String(TestKeys.digest(ended).prefix(12)) + "  old         revoked 20",
                ] {
                    #expect(list.output.contains(text), "\(text) in\n\(list.output)")
                }
                let json = try await deployment.admin("list", "--json")
                let parsed = try #require(
                    JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: [[String: Any]]])
                let manufacturers = try #require(parsed["manufacturers"])
                #expect(manufacturers.map { $0["name"] as? String } == ["Acme", "Wild"])
                #expect(manufacturers.map { $0["redirect_policy"] as? String } == ["registered", "unrestricted"])
                #expect(manufacturers.map { $0["enabled"] as? Bool } == [true, false])
                let keys = try #require(manufacturers.first?["keys"] as? [[String: Any]])
                try #require(keys.count == 2)
                #expect(keys.map { $0["state"] as? String } == ["usable", "revoked"])
                #expect(
                    keys.map { $0["digest_prefix"] as? String }
                        == [key, ended].map { String(TestKeys.digest($0).prefix(12)) })
                #expect(keys[0]["expires_at"] is NSNull && keys[0]["created_at"] is Int)
                for output in [list.output, json.output] {
                    #expect(!output.contains(key) && !output.contains(ended))
                    #expect(!output.contains(TestKeys.digest(key)))
                }
            }
        }

        @Test func `a support question is answered with the user's sessions and what happened to them`() async throws {
            try await Deployment.withAcme { deployment, key in
                try await Service.serving(deployment.database) { service in
                    let token = try #require(try await service.create(Self.create, key: key).json["link_token"]?.string)
                    let path = "\(Service.authenticatorSessions)/\(token)"
                    func asAuthenticator(_ method: String, _ path: String, _ id: String) async throws -> Int {
                        try await service.request(
                            method, path, headers: [("x-api-key", TestKeys.authenticator), ("X-Request-Id", id)]
                        ).status
                    }
                    #expect(try await asAuthenticator("GET", path, "look-1") == 200)
                    #expect(try await asAuthenticator("GET", path, "look-2") == 200)
                    #expect(try await service.expire(token, key: key).status == 200)
                    #expect(try await asAuthenticator("POST", path + "/complete", "late-1") == 410)
                    // Sessions are in the order of their seconds.
                    try await Task.sleep(for: .milliseconds(1000))
                    let second = try #require(
                        try await service.create(Self.create, key: key).json["link_token"]?.string)
                    #expect(try await service.complete(second).status == 200)

                    let report = try await deployment.admin(
                        "sessions", "--manufacturer", "Acme", "--user-id", "zq7user-1")
                    #expect(report.status == 0, "\(report.summary)")
                    let words = [
                        "created", "looked up", "look-1", "expired early", "  expired", "completion refused", "late-1",
                        "completed",
                    ]
                    var rest = report.output[...]
                    for word in words {
                        let range = try #require(rest.range(of: word), "\(word) in order in\n\(report.output)")
                        rest = rest[range.upperBound...]
                    }
                    #expect(!report.output.contains("look-2") && !report.output.contains(token))
                    let json = try await deployment.admin(
                        "sessions", "--manufacturer", "Acme", "--user-id", "zq7user-1", "--json")
                    let parsed = try #require(
                        JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: [[String: Any]]])
                    let sessions = try #require(parsed["link_sessions"])
                    #expect(sessions.map { $0["status"] as? String } == ["expired", "completed"])
                    let events = try #require(sessions[0]["events"] as? [[String: Any]])
                    #expect(
                        events.map { $0["event"] as? String } == ["looked_up", "expired_early", "completion_refused"])
                    #expect(events.map { $0["reason"] as? String } == [nil, nil, "expired"])

                    let none = try await deployment.admin("sessions", "--manufacturer", "Acme", "--user-id", "other")
                    #expect(none.output == "no link sessions\n", "\(none.summary)")
                    try await deployment.expectRefusal(
                        ["sessions", "--manufacturer", "Nobody", "--user-id", "u"],
                        "there is no manufacturer of this name")
                }
            }
        }

        @Test func `an erasure takes the user id from standard input and leaves no trace`() async throws {
            try await Deployment.withAcme { deployment, key in
                try await Service.serving(deployment.database) { service in
                    for body in [Self.create, Self.create, Self.create, Service.publishedRequest] {
                        let response = try await service.create(body, key: key)
                        #expect(response.status == 201)
                    }
                }
                let files = try deployment.files()
                let json = try await deployment.admin(
                    "erase-user", "--manufacturer", "Acme", "--json", input: "zq7user-1\n")
                let receipt = try #require(JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
                #expect(receipt["link_sessions"] as? Int == 3, "\(json.summary)")
                #expect(receipt["manufacturer"] as? String == "Acme")
                #expect(abs((receipt["erased_at"] as? Double ?? 0) - Date().timeIntervalSince1970) < 60)
                let again = try await deployment.admin("erase-user", "--manufacturer", "Acme", input: "zq7user-1\r\n")
                #expect(again.status == 0 && again.output.contains("link sessions        0"), "\(again.summary)")
                #expect(try deployment.files() == files, "an erasure writes no migration")
                #expect(try await deployment.dump().contains("zq7user-1") == false)
                #expect(try await deployment.database.count("SELECT count(*) FROM link_sessions") == 1)
                for (input, code) in [
                    ("", 64), ("\n", 64), (String(repeating: "x", count: 257), 64),
                    (String(repeating: "x", count: 5000), 64),
                ] {
                    let run = try await deployment.admin("erase-user", "--manufacturer", "Acme", input: input)
                    #expect(run.status == Int32(code) && run.errorLines.count == 1, "\(run.summary)")
                    #expect(run.errors.hasPrefix("link-session-service: standard input expects"), "\(run.summary)")
                }
                try await deployment.expectRefusal(
                    ["erase-user", "--manufacturer", "Nobody"], "there is no manufacturer of this name", input: "u")
            }
        }

        // MARK: Secrets

        @Test func `a dump, the logs and the migrations together hold no key and no token`() async throws {
            try await Deployment.withAcme { deployment, key in
                let rotated = try await deployment.key("rotate-key", "Acme", "--overlap", "1h", "--apply")
                var tokens: [String] = []
                var log = ""
                try await Service.serving(deployment.database, environment: ["LOG_LEVEL": "trace"]) { service in
                    for key in [key, rotated] {
                        tokens.append(try await service.createdToken(key: key))
                        _ = try await service.request(
                            "GET", "/health/live", headers: [("X-Request-Id", key), ("x-api-key", rotated)])
                    }
                    for token in tokens { _ = try await service.complete(token) }
                    log = service.process.log
                }
                let everything = try await deployment.dump() + log + deployment.files().values.joined()
                #expect(everything.contains(TestKeys.digest(key)) && everything.contains("add_key"))
                for secret in [key, rotated] + tokens {
                    #expect(!everything.contains(secret))
                    #expect(!everything.contains(secret.dropFirst(9).prefix(20)))
                }
            }
        }

        // MARK: Refusals

        @Test func `a wrong argument gets one line that names it, exit code 64, and no file`() async throws {
            try await Deployment.with { deployment in
                let url = ["--redirect-url", "https://a.example/"]
                for (arguments, start) in [
                    (["add-manufacturer", "--name", ""] + url, "--name expects"),
                    (
                        ["add-manufacturer", "--name", "a\u{202E}b"] + url,
                        "--name expects text without control, bidirectional"
                    ),
                    (["add-manufacturer", "--name", "a\nb"] + url, "--name expects text without control"),
                    (["add-manufacturer", "--name", "a", "--brand", "-"] + url, "--brand expects"),
                    (["add-manufacturer", "--name", "a"], "add-manufacturer expects either --redirect-url"),
                    (["add-manufacturer", "--name", "a", "--unrestricted"] + url, "add-manufacturer expects either"),
                    (
                        ["add-manufacturer", "--name", "a", "--redirect-url", "http://a.example/"],
                        "--redirect-url expects"
                    ),
                    (
                        ["add-manufacturer", "--name", "a", "--redirect-url", "https://a.example/?q"],
                        "--redirect-url expects a URL without a query"
                    ),
                    (["add-manufacturer", "--name", "a"] + url + url, "--redirect-url expects each URL once"),
                    (["add-key", "a", "--label", " "], "--label expects"),
                    (["add-key", "a", "--label", "x", "--expires-in", "0s"], "--expires-in expects"),
                    (["add-key", "a", "--label", "x", "--expires-in", "90"], "--expires-in expects"),
                    (["add-key", "a", "--label", "x", "--expires-in", "3651d"], "--expires-in expects"),
                    (
                        ["add-key", "a", "--label", "x", "--expires-in", "99999999999999999999d"],
                        "--expires-in expects"
                    ),
                    (["rotate-key", "a", "--overlap=-1"], "--overlap expects a whole number with a unit"),
                    (["rotate-key", "a", "--overlap=-1h"], "--overlap expects"),
                    (["rotate-key", "a", "--overlap", "h"], "--overlap expects"),
                    (["revoke-key", "a"], "revoke-key expects either --label or --digest"),
                    (["revoke-key", "a", "--label", "x", "--digest", "00000000"], "revoke-key expects either"),
                    (["revoke-key", "a", "--digest", "0000000"], "--digest expects 8 to 64"),
                    (["revoke-key", "a", "--digest", "0000000%"], "--digest expects"),
                    (["disable", ""], "MANUFACTURER expects"),
                    (["allow-redirect", "a", "javascript:x"], "URL expects"),
                    (["sessions", "--manufacturer", "a", "--user-id", ""], "--user-id expects"),
                ] {
                    let run = try await deployment.admin(arguments)
                    #expect(run.status == 64, "\(arguments): \(run.summary)")
                    #expect(run.errorLines.count == 1, "\(arguments): \(run.summary)")
                    #expect(run.errors.hasPrefix("link-session-service: " + start), "\(arguments): \(run.summary)")
                    #expect(run.output.isEmpty, "\(arguments): \(run.summary)")
                }
                let policy = try await deployment.admin("redirect-policy", "a", "any")
                #expect(policy.status == 64, "\(policy.summary)")
                #expect(try deployment.files().isEmpty)
            }
        }

        @Test func `what the database refuses changes nothing and leaves no file`() async throws {
            try await Deployment.withAcme { deployment, _ in
                for (arguments, sentence) in [
                    (
                        ["add-manufacturer", "--name", "Acme", "--unrestricted"],
                        "there is a manufacturer of this name already"
                    ),
                    (["add-key", "Nobody", "--label", "x"], "there is no manufacturer of this name"),
                    (["rotate-key", "Nobody", "--overlap", "1h"], "this manufacturer has no such key that is in use"),
                    (["disable", "Nobody"], "there is no enabled manufacturer of this name"),
                    (["enable", "Acme"], "there is no disabled manufacturer of this name"),
                ] {
                    try await deployment.expectRefusal(arguments + ["--apply"], sentence)
                }
            }
        }

        @Test func `what is pending already is not applied by the way`() async throws {
            try await Deployment.withAcme { deployment, _ in
                #expect(try await deployment.admin("disable", "Acme").status == 0)
                let files = try deployment.files()
                let run = try await deployment.admin("add-key", "Acme", "--label", "x", "--apply")
                #expect(run.status == 1 && run.output.isEmpty && run.errorLines.count == 1, "\(run.summary)")
                #expect(run.errors.contains("_disable.sql") && run.errors.contains("run link-session-service migrate"))
                #expect(try deployment.files() == files)
            }
        }

        @Test func `a database that is down gets one line, exit code 1, and no file`() async throws {
            try await Deployment.with { deployment in
                let dead = ["DATABASE_URL": "postgres://zq7:zq7password@127.0.0.1:1/none"]
                for arguments in [
                    ["add-manufacturer", "--name", "a", "--unrestricted", "--apply"],
                    ["add-key", "a", "--label", "x", "--apply"], ["list"],
                    ["sessions", "--manufacturer", "a", "--user-id", "u"], ["erase-user", "--manufacturer", "a"],
                    ["create-roles"],
                ] {
                    let run = try await deployment.admin(arguments, environment: dead, input: "u")
                    #expect(
                        run.status == 1 && run.errorLines.count == 1 && run.output.isEmpty,
                        "\(arguments): \(run.summary)")
                    #expect(run.errors.contains("cannot connect to the database"), "\(arguments): \(run.summary)")
                    #expect(!run.errors.contains("zq7password"))
                }
                #expect(try deployment.files().isEmpty)
                let purge = try await Command.run(["purge"], environment: dead)
                #expect(purge.status == 1 && purge.errorLines.count == 1, "\(purge.summary)")
            }
        }

        @Test func `a directory that cannot be written gets one line and exit code 1`() async throws {
            let arguments = ["admin", "add-manufacturer", "--name", "a", "--unrestricted"]
            for (directories, words) in [
                // Nobody can make a file there, not even root.
                ("migrations,/proc/self", "cannot write /proc/self/0001_add_manufacturer.sql: "),
                ("migrations,/nowhere", "cannot open the directory /nowhere: No such file or directory"),
                ("migrations", "MIGRATIONS_DIRECTORIES expects the deployment's own directory after the product's"),
            ] {
                let run = try await Command.run(arguments, environment: ["MIGRATIONS_DIRECTORIES": directories])
                #expect(run.status == 1 && run.errorLines.count == 1 && run.output.isEmpty, "\(run.summary)")
                #expect(run.errors.contains(words), "\(run.summary)")
            }
        }

        @Test func `a disk that is full gets one line and leaves no file behind`() async throws {
            try await Deployment.with { deployment in
                // The shell's file size limit stands for the full disk: the program's write fails half way.
                let process = try ServiceProcess(
                    ["admin", "add-key", "a", "--label", "x"],
                    environment: ["MIGRATIONS_DIRECTORIES": "migrations,\(deployment.path)"],
                    shell: "trap '' 25; ulimit -f 0")
                #expect(try await process.waitForExit() == 1, "\(process.log)")
                #expect(process.log.split(separator: "\n").count == 1, "\(process.log)")
                #expect(
                    process.log.contains("cannot write") && process.log.contains("File too large"), "\(process.log)")
                #expect(try FileManager.default.contentsOfDirectory(atPath: deployment.path).isEmpty)
            }
        }

        @Test(arguments: ["exec >/dev/full", "exec >&-"])
        func `a key that cannot be printed never comes into force`(output: String) async throws {
            try await Deployment.withAcme { deployment, _ in
                let before = try deployment.files()
                let process = try ServiceProcess(
                    ["admin", "rotate-key", "Acme", "--overlap", "0s", "--apply"],
                    environment: [
                        "DATABASE_URL": deployment.database.url,
                        "MIGRATIONS_DIRECTORIES": "migrations,\(deployment.path)",
                    ], shell: output)
                #expect(try await process.waitForExit() == 1, "\(process.log)")
                #expect(process.log.contains("cannot print the key; nothing was changed"), "\(process.log)")
                #expect(try deployment.files() == before)
                #expect(
                    try await deployment.database.count("SELECT count(*) FROM api_keys WHERE expires_at IS NULL") == 1)
            }
        }

        @Test func `a key is not printed before the database has taken its migration`() async throws {
            try await Deployment.withAcme { deployment, _ in
                let lock = try OpenTransaction(in: deployment.database, "LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
                let process = try ServiceProcess(
                    ["admin", "add-key", "Acme", "--label", "x", "--apply"],
                    environment: [
                        "DATABASE_URL": deployment.database.url,
                        "MIGRATIONS_DIRECTORIES": "migrations,\(deployment.path)",
                    ])
                try await deployment.database.waitForBlocked()
                try await Task.sleep(for: .milliseconds(200))
                #expect(process.log.isEmpty, "\(process.log)")
                try lock.end("ROLLBACK")
                #expect(try await process.waitForExit() == 0, "\(process.log)")
                #expect(process.log.hasPrefix("nox_test_"), "\(process.log)")
            }
        }

        @Test func `a checkout that lacks what the database has is told so, and nothing is applied`() async throws {
            try await Deployment.withAcme { deployment, _ in
                let mine = try deployment.files()
                #expect(
                    try await deployment.admin("allow-redirect", "Acme", "https://b.example/", "--apply").status == 0)
                let theirs = try #require(try deployment.files().keys.sorted().last)
                // The colleague's file has not reached this checkout yet.
                try FileManager.default.removeItem(atPath: deployment.path + "/" + theirs)
                try await deployment.expectRefusal(
                    ["disable", "Acme", "--apply"], "the database has the migration \(theirs), which")
                // Nor does another file under the same number pass for it.
                #expect(try await deployment.admin("disable", "Acme").status == 0)
                let migrated = try await deployment.migrate()
                #expect(migrated.status == 1, "\(migrated.summary)")
                #expect(migrated.errors.contains("\(theirs) was applied, and 0003_disable.sql has its number"))
                #expect(try deployment.files().count == mine.count + 1)
                #expect(try await deployment.database.count("SELECT count(*) FROM manufacturers WHERE enabled") == 1)
            }
        }

        @Test func `two in one directory do not apply or refuse each other's changes`() async throws {
            try await Deployment.withAcme { deployment, _ in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<6 {
                        group.addTask {
                            let name = number.isMultiple(of: 2) ? "Acme" : "Nobody"
                            let run = try await deployment.admin("add-key", name, "--label", "n\(number)", "--apply")
                            #expect((run.status == 0) == (name == "Acme"), "\(run.summary)")
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await deployment.database.count("SELECT count(*) FROM api_keys") == 4)
                #expect(try deployment.files().count == 5)
            }
        }

        @Test func `ten at once get ten numbers`() async throws {
            try await Deployment.with { deployment in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for number in 0..<10 {
                        group.addTask {
                            let run = try await deployment.admin(
                                "add-manufacturer", "--name", "M\(number)", "--unrestricted")
                            #expect(run.status == 0, "\(run.summary)")
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(
                    try deployment.files().keys.sorted()
                        == (1...10).map { ($0 < 10 ? "000" : "00") + "\($0)_add_manufacturer.sql" })
                #expect(try await deployment.migrate().status == 0)
                #expect(try await deployment.database.count("SELECT count(*) FROM manufacturers") == 10)
            }
        }

        // MARK: Retention

        @Test func `purge deletes what is older than RETENTION_DAYS and prints how many, as the service's role`()
            async throws
        {
            try await Deployment.withAcme { deployment, _ in
                try await deployment.database.execute(
                    """
                    INSERT INTO link_sessions
                    SELECT sha256(n::text::bytea), (SELECT id FROM manufacturers), 'zq7user', 'https://a.example/', 'nl', t,
                           t + interval '600 seconds', NULL
                    FROM generate_series(1, 5000) n, LATERAL (SELECT now() - n % 10 * interval '1 day' - interval '1 hour') AS at (t)
                    """)
                for (days, deleted) in [("7", 1500), ("7", 0), ("3", 2000)] {
                    let run = try await Command.run(
                        ["purge"],
                        environment: ["DATABASE_URL": deployment.database.serviceURL, "RETENTION_DAYS": days],
                        within: 30)
                    #expect(run.status == 0 && run.output == "\(deleted) deleted\n", "\(run.summary)")
                }
                try await Service.serving(deployment.database, environment: ["RETENTION_DAYS": "1"]) { service in
                    try await wait(until: "serve has deleted the rest", within: .seconds(20)) {
                        try await deployment.database.count("SELECT count(*) FROM link_sessions") == 500
                    }
                    try await service.process.waitForLog("old link sessions deleted sessions=1000", within: 10)
                }
                for days in ["0", "-1", "x", ""] {
                    let run = try await Command.run(
                        ["purge"],
                        environment: ["DATABASE_URL": deployment.database.serviceURL, "RETENTION_DAYS": days])
                    #expect(run.status == 1 && run.errorLines.count == 1, "\(run.summary)")
                    #expect(run.errors.contains("RETENTION_DAYS expects a whole number"), "\(run.summary)")
                }
            }
        }
    }
}

/// A database with the product's schema, and a directory for the deployment's own migrations.
struct Deployment: Sendable {
    let database: TestDatabase
    let path: String

    static func with(_ body: (Deployment) async throws -> Void) async throws {
        try await TestDatabase.with { database in
            try await withTemporaryDirectory { directory in
                try await body(Deployment(database: database, path: directory.path))
            }
        }
    }

    /// With a manufacturer `Acme`, added by the command, and its key, labelled `production`.
    static func withAcme(_ body: (Deployment, String) async throws -> Void) async throws {
        try await with { deployment in
            let added = try await deployment.admin(
                "add-manufacturer", "--name", "Acme", "--redirect-url", "https://your-app.com/callback")
            #expect(added.status == 0, "\(added.summary)")
            let key = try await deployment.key("add-key", "Acme", "--label", "production")
            let migrated = try await deployment.migrate()
            try #require(migrated.status == 0, "\(migrated.summary)")
            try await body(deployment, key)
        }
    }

    func admin(_ arguments: String..., environment: [String: String] = [:], input: String = "") async throws -> Command
    {
        try await admin(arguments, environment: environment, input: input)
    }

    func admin(
        _ arguments: [String], environment: [String: String] = [:], input: String = ""
    ) async throws -> Command {
        try await run(["admin"] + arguments, environment, input)
    }

    func migrate() async throws -> Command { try await run(["migrate"], [:], "") }

    private func run(_ arguments: [String], _ environment: [String: String], _ input: String) async throws -> Command {
        try await Command.run(
            arguments,
            environment: ["DATABASE_URL": database.url, "MIGRATIONS_DIRECTORIES": "migrations,\(path)"]
                .merging(environment) { $1 },
            input: input, within: 30)
    }

    /// The key that a command prints, alone on standard output.
    func key(_ arguments: String..., environment: [String: String] = [:]) async throws -> String {
        let run = try await admin(arguments, environment: environment)
        #expect(run.status == 0, "\(run.summary)")
        #expect(run.errors.hasPrefix("link-session-service: \(path)/") && run.errorLines.count == 1, "\(run.summary)")
        let lines = run.output.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == 2 && lines[1].isEmpty, "\(run.summary)")
        return String(lines[0])
    }

    /// One line that holds the sentence, exit code 1, and no file.
    func expectRefusal(
        _ arguments: [String], _ sentence: String, input: String = "", sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let before = try files()
        let run = try await admin(arguments, input: input)
        #expect(
            run.status == 1 && run.output.isEmpty && run.errorLines.count == 1, "\(arguments): \(run.summary)",
            sourceLocation: sourceLocation)
        #expect(run.errors.contains(sentence), "\(arguments): \(run.summary)", sourceLocation: sourceLocation)
        #expect(try files() == before, "\(arguments) left a file", sourceLocation: sourceLocation)
    }

    /// The text of every file, drafts included, by its name.
    func files() throws -> [String: String] {
        let names = try FileManager.default.contentsOfDirectory(atPath: path)
        return try Dictionary(
            uniqueKeysWithValues: names.map { ($0, try String(contentsOfFile: path + "/" + $0, encoding: .utf8)) })
    }

    /// What `pg_dump` makes of the database.
    func dump() async throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: try TestEnvironment.postgresBinaries + "/pg_dump")
        process.arguments = ["--dbname", database.url]
        let output = FileManager.default.temporaryDirectory.appending(path: "dump-\(UUID().uuidString)")
        try Data().write(to: output)
        defer { try? FileManager.default.removeItem(at: output) }
        process.standardOutput = try FileHandle(forWritingTo: output)
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return try String(contentsOf: output, encoding: .utf8)
    }
}
