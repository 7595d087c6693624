// The keys that sign return links, as an operator makes them.

import Foundation
import LinkSessions
import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct SigningKeyTests {
        @Test func `a generated signing key is one line of 43 characters, another each time, and good for serve`()
            async throws
        {
            var keys: [String] = []
            for _ in 0..<3 {
                // It needs neither configuration nor a database.
                let run = try await Command.run(["generate-signing-key"], directory: URL(filePath: "/"))
                #expect(run.status == 0 && run.errors.isEmpty, "\(run.summary)")
                let lines = run.output.split(separator: "\n", omittingEmptySubsequences: false)
                try #require(lines.count == 2 && lines[1].isEmpty)
                #expect(lines[0].utf8.count == 43)
                #expect(Base64URL.decode(lines[0])?.count == 32)
                keys.append(String(lines[0]))
            }
            #expect(Set(keys).count == 3)
            let (first, second, sandbox) = (keys[0], keys[1], keys[2])
            try await Service.run(
                environment: ["RETURN_SIGNING_KEYS": "\(first),\(second)", "SANDBOX_SIGNING_KEY": sandbox]
            ) { service in
                let ids = try (keys + [TestKeys.webhookSigning]).map { JSONValue.string(try keyID(of: $0)) }
                #expect(try await service.keys().compactMap { $0["kid"] } == ids)
            }
            let closed = try ServiceProcess(["generate-signing-key"], environment: [:], shell: "exec >/dev/full")
            #expect(try await closed.waitForExit() == 1, "\(closed.log)")
            #expect(closed.log == "link-session-service: cannot print the key\n")
        }

        @Test func `production refuses the sandbox's key`() async throws {
            try await TestDatabase.with { database in
                var environment = Service.environment(of: database)
                environment["LINK_SESSION_ENV"] = "production"
                for key in [TestKeys.sandboxSigning, "nonsense"] {
                    environment["SANDBOX_SIGNING_KEY"] = key
                    let run = try await Command.run(["serve"], environment: environment, within: 5)
                    #expect(run.status == 1 && run.errorLines.count == 1, "\(run.summary)")
                    #expect(
                        run.errors.hasPrefix(
                            "link-session-service: SANDBOX_SIGNING_KEY expects to be unset in production"),
                        "\(run.summary)")
                    #expect(!run.errors.contains(key))
                }
            }
        }
    }
}
