// Admin commands that are refused: one line, an exit code, and nothing changed.

import Foundation
import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct AdminRefusalTests {
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

        @Test func `distribute says what a database without Citus lacks, and which numbers of shards there are`()
            async throws
        {
            try await Deployment.with { deployment in
                try await deployment.expectRefusal(["distribute"], "the database lacks the extension citus")
                for shards in ["0", "257"] {
                    let run = try await deployment.admin("distribute", "--shards", shards)
                    #expect(run.status == 64 && run.errorLines.count == 1, "\(run.summary)")
                    #expect(run.errors.contains("--shards expects 1 to 256"), "\(run.summary)")
                }
            }
        }

        @Test func `a database that is down gets one line, exit code 1, and no file`() async throws {
            try await Deployment.with { deployment in
                let nowhere = "postgres://zq7:zq7password@127.0.0.1:1/none"
                let dead = ["DATABASE_URL": nowhere, "OPERATOR_DATABASE_URL": nowhere]
                for arguments in [
                    ["add-manufacturer", "--name", "a", "--unrestricted", "--apply"],
                    ["add-key", "a", "--label", "x", "--apply"], ["list"],
                    ["sessions", "--manufacturer", "a", "--user-id", "u"], ["erase-user", "--manufacturer", "a"],
                    ["create-roles"], ["distribute"],
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
    }
}
