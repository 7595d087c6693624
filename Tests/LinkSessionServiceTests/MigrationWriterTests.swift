// The files that admin commands write: whole or not at all, in order, and printed keys are in force.

import Foundation
import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct MigrationWriterTests {
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
                // The shell's file size limit stands for the full disk: the program's write fails half way. ThreadSanitizer
                // writes into TMPDIR before the program begins: without a directory it goes on, and without room it dies.
                let process = try ServiceProcess(
                    ["admin", "add-key", "a", "--label", "x"],
                    environment: [
                        "MIGRATIONS_DIRECTORIES": "migrations,\(deployment.path)", "TMPDIR": "/dev/null",
                    ],
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
                    environment: deployment.environment, shell: output)
                #expect(try await process.waitForExit() == 1, "\(process.log)")
                #expect(process.log.contains("cannot print the key; nothing was changed"), "\(process.log)")
                #expect(try deployment.files() == before)
                #expect(
                    try await deployment.database.count("SELECT count(*) FROM api_keys WHERE expires_at > now()") == 1)
            }
        }

        @Test func `a key is not printed before the database has taken its migration`() async throws {
            try await Deployment.withAcme { deployment, _ in
                let lock = try OpenTransaction(in: deployment.database, "LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
                let process = try ServiceProcess(
                    ["admin", "add-key", "Acme", "--label", "x", "--apply"],
                    environment: deployment.environment)
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
    }
}
