// Secrets in files: each can be in one, and what is in it is the secret and nothing else.

import Foundation
@testable import LinkSessionService
import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(1))) struct SecretFileTests {
        private static let secrets = [
            "DATABASE_URL", "AUTHENTICATOR_API_KEY_DIGESTS", "RETURN_SIGNING_KEYS", "RETURN_CODE_SECRETS",
            "IDEMPOTENCY_SECRETS", "WEBHOOK_SIGNING_KEYS", "WEBHOOK_SECRETS", "SANDBOX_SIGNING_KEY",
        ]

        @Test(arguments: ["", "\n", "\r\n"])
        func `the service runs with all its secrets in files, whatever line break ends them`(end: String) async throws {
            try await TestDatabase.with { database in
                try await database.addManufacturers()
                try await withTemporaryDirectory { directory in
                    var environment = Service.environment(of: database)
                    for name in Self.secrets {
                        try directory.write((environment[name] ?? "") + end, to: name)
                        environment["\(name)_FILE"] = directory.appending(path: name).path
                        environment[name] = nil
                    }
                    let process = try ServiceProcess(["serve"], environment: environment)
                    defer { process.send(SIGKILL) }
                    try await process.waitForLog("control plane loaded", within: 10)
                    try await process.waitUntilListening()
                    let token = try await process.createdToken()
                    #expect(try await process.complete(token).status == 200)
                    try await process.waitForLog("status=200", within: 10)
                    Secrets.expectNone(in: process.log, and: [token], #_sourceLocation)
                }
            }
        }

        @Test
        func `a file that cannot be read, is empty or too large, or says what the variable says is refused by name`()
            async throws
        {
            try await withTemporaryDirectory { directory in
                try directory.write("", to: "empty")
                try directory.write("\n", to: "line")
                try directory.write(String(repeating: "zq7", count: 30_000), to: "large")
                try directory.write("zq7", to: "secret")
                try Data([0xFF, 0x7A]).write(to: directory.appending(path: "bytes"))
                var cases: [(String, [String: String], String)] = []
                for name in ServeSettings.whole.keys where Self.secrets.contains(name) {
                    let without = ServeSettings.whole.filter { $0.key != name }
                    func with(_ file: String) -> [String: String] {
                        without.merging(["\(name)_FILE": directory.appending(path: file).path]) { $1 }
                    }
                    for file in ["no-such-file", "", "large", "bytes"] {
                        cases.append(
                            ("\(name) in \(file)", with(file), "\(name)_FILE expects the path of a readable file"))
                    }
                    for file in ["empty", "line"] {
                        cases.append(
                            ("\(name) in \(file)", with(file), "\(name)_FILE expects a file that holds the secret"))
                    }
                    cases.append(
                        (
                            "\(name) twice", ServeSettings.whole.merging(with("secret")) { $1 },
                            "\(name) and \(name)_FILE are both set"
                        ))
                }
                #expect(cases.count == 49)
                try await expectRefusals(cases)
            }
        }

        @Test(arguments: ["zq7\n", "zq\u{0}7", "zq7\n\n", "zq\r7", "\tzq7", "zq7\u{7F}", "zq7\u{85}"])
        func `a secret with a control character is refused by name`(secret: String) async throws {
            try await withTemporaryDirectory { directory in
                try directory.write(secret, to: "secret")
                let path = directory.appending(path: "secret").path
                var cases: [(String, [String: String], String)] = []
                for name in Self.secrets + ["SUPPLIER_GREEN_GRID_SECRET"] {
                    let sentence = "expects a secret without control characters"
                    let without = ServeSettings.whole.filter { $0.key != name }
                    if !secret.contains("\0") {
                        cases.append((name, without.merging([name: secret]) { $1 }, "\(name) \(sentence)"))
                    }
                    // One line break at a file's end is none of its content.
                    if secret != "zq7\n" {
                        cases.append((name, without.merging(["\(name)_FILE": path]) { $1 }, "\(name)_FILE \(sentence)"))
                    }
                }
                try await expectRefusals(cases)
            }
        }

        @Test func `a supplier's client secret can be in a file, by the name that its row gives it`() throws {
            let directory = FileManager.default.temporaryDirectory
            let file = directory.appending(path: "secret-\(UUID().uuidString)")
            try Data("zq7\n".utf8).write(to: file)
            defer { try? FileManager.default.removeItem(at: file) }
            let secrets = try supplierSecrets(in: [
                "SUPPLIER_A_SECRET": "a", "SUPPLIER_B_SECRET_FILE": file.path, "SUPPLIER_B_SECRET": "",
                "SUPPLIER_C_SECRET": "", "OTHER_FILE": "nowhere",
            ])
            #expect(secrets == ["SUPPLIER_A_SECRET": "a", "SUPPLIER_B_SECRET": "zq7"])
            #expect(throws: CommandError.self) {
                try supplierSecrets(in: ["SUPPLIER_B_SECRET_FILE": file.path, "SUPPLIER_B_SECRET": "b"])
            }
        }
    }
}
