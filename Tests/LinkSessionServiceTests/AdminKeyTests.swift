// API keys as an operator adds, rotates and revokes them.

import Foundation
import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct AdminKeyTests {
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
                        """) == [["production", "8760"], ["backup", "1"], ["backup", "2"], ["backup", "10"]])
            }
        }

        @Test func `a key ends after a year, unless another term is said or none, and the list shows which end soon`()
            async throws
        {
            try await Deployment.withAcme { deployment, _ in
                for (label, options) in [
                    ("soon", ["--expires-in", "30d"]), ("later", ["--expires-in", "31d"]), ("endless", ["--never"]),
                ] {
                    let run = try await deployment.admin(["add-key", "Acme", "--label", label, "--apply"] + options)
                    #expect(run.status == 0, "\(run.summary)")
                }
                let both = try await deployment.admin(
                    "add-key", "Acme", "--label", "both", "--never", "--expires-in", "1d", "--apply")
                #expect(both.status == 64 && both.errors.contains("--never expects to be alone"), "\(both.summary)")
                let days = """
                    SELECT label, round(extract(epoch FROM expires_at - created_at) / 86400)::text FROM api_keys ORDER BY id
                    """
                #expect(
                    try await deployment.database.rows(days)
                        == [["production", "365"], ["soon", "30"], ["later", "31"], ["endless", nil]])
                let list = try await deployment.admin("list")
                for line in ["  soon        ending  20", "  later       usable  20", "  endless     usable  20"] {
                    #expect(list.output.contains(line), "\(line) in\n\(list.output)")
                }
                // What had no end has one after its rotation, unless that is said.
                for (options, expected) in [([], "365"), (["--never"], nil), (["--expires-in", "2d"], "2")] {
                    let run = try await deployment.admin(
                        ["rotate-key", "Acme", "--label", "endless", "--overlap", "0s", "--apply"] + options)
                    #expect(run.status == 0, "\(run.summary)")
                    #expect(try await deployment.database.rows(days).last == ["endless", expected])
                }
            }
        }

        @Test func `a key's form is checked, and a key of the other environment is unknown`() async throws {
            try await Deployment.withAcme { deployment, key in
                #expect(key.wholeMatch(of: /nox_test_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}/) != nil)
                let live = try await deployment.key(
                    "add-key", "Acme", "--label", "live",
                    environment: ["LINK_SESSION_ENV": "production", "DATABASE_URL": "", "OPERATOR_DATABASE_URL": ""])
                #expect(live.wholeMatch(of: /nox_live_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}/) != nil)
                #expect(try await deployment.migrate().status == 0)
                // A digest in the table makes no key of what has not the form of one.
                try await deployment.database.addKey("any-other-form", manufacturer: "Acme")
                try await Service.serving(deployment.database) { service in
                    for (key, status) in [
                        (key, 201), ("any-other-form", 401), (live, 401), (String(key.dropLast()), 401),
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
    }
}
