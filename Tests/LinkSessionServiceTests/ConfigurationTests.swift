// Where settings come from, and what a wrong one says.

import Foundation
import TestSupport
import Testing

extension ProgramTests {
    @Suite struct ConfigurationTests {
        private static let password = "zq7password"
        private static let digest = TestKeys.digest(TestKeys.authenticator)

        /// Every setting, and right. Nobody listens at the database's address.
        private static let whole = [
            "DATABASE_URL": "postgres://zq7:\(password)@127.0.0.1:1/none", "AUTHENTICATOR_API_KEY_DIGESTS": digest,
            "PUBLIC_BASE_URL": "https://auth.example", "HTTP_HOST": "127.0.0.1", "HTTP_PORT": "0",
            "DATABASE_CONNECTIONS": "2",
            "LOG_LEVEL": "info", "LOG_FORMAT": "text", "MIGRATIONS_DIRECTORIES": TestDatabase.schemaDirectory,
            "RETENTION_DAYS": "30", "SHUTDOWN_DELAY_SECONDS": "0", "SHUTDOWN_GRACE_SECONDS": "5",
            "RETURN_SIGNING_KEYS": TestKeys.signing, "RETURN_CODE_SECRETS": TestKeys.codeSecret,
        ]

        /// `serve` has to end with 1 and one line on standard error that starts so, each in an environment of its own.
        private func expectRefusals(
            _ cases: [(what: String, environment: [String: String], line: String)], arguments: [String] = ["serve"],
            directory: URL = TestEnvironment.projectDirectory, sourceLocation: SourceLocation = #_sourceLocation
        ) async throws {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (index, (what, environment, line)) in cases.enumerated() {
                    if index >= 4 { try await group.next() }
                    group.addTask {
                        let run = try await Command.run(arguments, environment: environment, directory: directory)
                        let summary = "\(what): \(run.summary)"
                        #expect(run.status == 1, "\(summary)", sourceLocation: sourceLocation)
                        #expect(run.errorLines.count == 1, "\(summary)", sourceLocation: sourceLocation)
                        #expect(
                            run.errors.hasPrefix("link-session-service: \(line)"), "expected \(line); \(summary)",
                            sourceLocation: sourceLocation)
                        for secret in [Self.password, Self.digest, "zq7"] {
                            #expect(
                                !(run.errors + run.output).contains(secret), "\(summary)",
                                sourceLocation: sourceLocation)
                        }
                    }
                }
                try await group.waitForAll()
            }
        }

        private static func with(_ changes: [String: String]) -> [String: String] { whole.merging(changes) { $1 } }

        @Test func `a wrong value stops the start with one line that names its key and what it expects`() async throws {
            let number = { (range: String) in "expects a whole number from \(range)" }
            let digests =
                "AUTHENTICATOR_API_KEY_DIGESTS expects SHA-256 digests of 64 hexadecimal digits, comma-separated"
            let url = "PUBLIC_BASE_URL expects a URL of scheme and host alone"
            let signing = "RETURN_SIGNING_KEYS expects private keys, comma-separated"
            let secrets = "RETURN_CODE_SECRETS expects secrets of 32 bytes or more"
            let database = "DATABASE_URL expects a PostgreSQL URI such as postgres://user@host/database"
            let cases: [(String, String, String)] = [
                ("DATABASE_URL", "", database), ("DATABASE_URL", "zq7 and no address", database),
                ("DATABASE_URL", "mysql://zq7:\(Self.password)@host/database", database),
                ("DATABASE_URL", "host=a password=\(Self.password) zq7=1", database),
                ("DATABASE_URL", "postgres://zq7:\(Self.password)@host/database?zq7=1", database),
                (
                    "DATABASE_URL", "postgres://zq7:\(Self.password)@zq7@host/database",
                    "DATABASE_URL expects one @ before the host"
                ),
                ("AUTHENTICATOR_API_KEY_DIGESTS", "", digests), ("AUTHENTICATOR_API_KEY_DIGESTS", "zq7", digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", String(Self.digest.dropLast()), digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", Self.digest + "0", digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", "zq" + Self.digest.dropFirst(2), digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", Self.digest + ",", digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", "\(Self.digest),zq7", digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", TestKeys.digest(""), "AUTHENTICATOR_API_KEY_DIGESTS expects "),
                (
                    "AUTHENTICATOR_API_KEY_DIGESTS", "\(Self.digest),\(TestKeys.digest("").uppercased())",
                    "AUTHENTICATOR_API_KEY_DIGESTS expects "
                ),
                ("PUBLIC_BASE_URL", "", url), ("PUBLIC_BASE_URL", "auth.example", url),
                ("PUBLIC_BASE_URL", "ftp://auth.example", url),
                ("PUBLIC_BASE_URL", "https://", url), ("PUBLIC_BASE_URL", "https://auth.example/", url),
                ("PUBLIC_BASE_URL", "https://auth.example/ui", url), ("PUBLIC_BASE_URL", "https://auth.example?x", url),
                ("PUBLIC_BASE_URL", "https://zq7@auth.example", url),
                ("PUBLIC_BASE_URL", "https://auth.example#x", url),
                ("PUBLIC_BASE_URL", "https://auth example", url), ("PUBLIC_BASE_URL", "https://auth.example\nx", url),
                ("PUBLIC_BASE_URL", "https://:", url), ("PUBLIC_BASE_URL", "https://auth:example:1", url),
                ("HTTP_HOST", "", "HTTP_HOST expects an address to listen on"),
                ("HTTP_PORT", "", "HTTP_PORT \(number("0 to 65535"))"),
                ("HTTP_PORT", "http", "HTTP_PORT \(number("0 to 65535"))"),
                ("HTTP_PORT", "65536", "HTTP_PORT \(number("0 to 65535"))"),
                ("HTTP_PORT", "-1", "HTTP_PORT \(number("0 to 65535"))"),
                ("HTTP_PORT", "80.5", "HTTP_PORT \(number("0 to 65535"))"),
                ("HTTP_PORT", "99999999999999999999", "HTTP_PORT \(number("0 to 65535"))"),
                ("DATABASE_CONNECTIONS", "", "DATABASE_CONNECTIONS \(number("1 to 100"))"),
                ("DATABASE_CONNECTIONS", "0", "DATABASE_CONNECTIONS \(number("1 to 100"))"),
                ("DATABASE_CONNECTIONS", "101", "DATABASE_CONNECTIONS \(number("1 to 100"))"),
                ("LOG_LEVEL", "", "LOG_LEVEL expects trace, debug, info, notice, warning, error or critical"),
                ("LOG_LEVEL", "loud", "LOG_LEVEL expects trace, debug, info, notice, warning, error or critical"),
                ("LOG_FORMAT", "", "LOG_FORMAT expects text or json"),
                ("LOG_FORMAT", "xml", "LOG_FORMAT expects text or json"),
                ("MIGRATIONS_DIRECTORIES", "", "MIGRATIONS_DIRECTORIES expects directories"),
                ("MIGRATIONS_DIRECTORIES", "migrations,", "MIGRATIONS_DIRECTORIES expects directories"),
                ("MIGRATIONS_DIRECTORIES", "no-such-directory", "MIGRATIONS_DIRECTORIES"),
                ("RETENTION_DAYS", "", "RETENTION_DAYS \(number("1 to 36500"))"),
                ("RETENTION_DAYS", "0", "RETENTION_DAYS \(number("1 to 36500"))"),
                ("SHUTDOWN_DELAY_SECONDS", "", "SHUTDOWN_DELAY_SECONDS \(number("0 to 300"))"),
                ("SHUTDOWN_DELAY_SECONDS", "-1", "SHUTDOWN_DELAY_SECONDS \(number("0 to 300"))"),
                ("SHUTDOWN_GRACE_SECONDS", "soon", "SHUTDOWN_GRACE_SECONDS \(number("1 to 600"))"),
                ("SHUTDOWN_GRACE_SECONDS", "0", "SHUTDOWN_GRACE_SECONDS \(number("1 to 600"))"),
                ("SHUTDOWN_DELAY_SECONDS", "5", "SHUTDOWN_GRACE_SECONDS expects more than SHUTDOWN_DELAY_SECONDS"),
                ("RETURN_SIGNING_KEYS", "", signing), ("RETURN_SIGNING_KEYS", "zq7", signing),
                ("RETURN_SIGNING_KEYS", String(TestKeys.signing.dropLast()), signing),
                // Its unused last bits are set: another spelling of the same key is none.
                ("RETURN_SIGNING_KEYS", TestKeys.signing.dropLast() + "Z", signing),
                ("RETURN_SIGNING_KEYS", TestKeys.signing + ",", signing),
                (
                    "RETURN_SIGNING_KEYS", "\(TestKeys.signing),\(TestKeys.signing)",
                    "RETURN_SIGNING_KEYS expects each key once"
                ),
                ("SANDBOX_SIGNING_KEY", "zq7", "SANDBOX_SIGNING_KEY expects a private key"),
                (
                    "SANDBOX_SIGNING_KEY", TestKeys.signing,
                    "SANDBOX_SIGNING_KEY expects a key that is not among RETURN_SIGNING_KEYS"
                ),
                ("RETURN_CODE_SECRETS", "", secrets), ("RETURN_CODE_SECRETS", "zq7", secrets),
                ("RETURN_CODE_SECRETS", String(TestKeys.codeSecret.dropLast(2)), secrets),
                ("RETURN_CODE_SECRETS", "\(TestKeys.codeSecret),zq7", secrets),
                ("LINK_SESSION_ENV", "", "LINK_SESSION_ENV expects local or production"),
                ("LINK_SESSION_ENV", "staging", "LINK_SESSION_ENV expects local or production"),
                ("LINK_SESSION_ENV", "../config/local", "LINK_SESSION_ENV expects local or production"),
            ]
            try await expectRefusals(cases.map { ("\($0)=\($1)", Self.with([$0: $1]), $2) })
        }

        @Test func `a missing value stops the start with one line that names its key`() async throws {
            try await withTemporaryDirectory { directory in
                try directory.write("{}", to: "config/base.json")
                try directory.write("{}", to: "config/local.json")
                let cases = Self.whole.keys.sorted().map { key in
                    (what: "without \(key)", environment: Self.whole.filter { $0.key != key }, line: "\(key) expects ")
                }
                #expect(cases.count == 14)
                try await expectRefusals(cases, directory: directory)
            }
            // The project's own files know neither a database nor a key.
            try await expectRefusals([
                ("nothing at all", [:], "DATABASE_URL expects "),
                (
                    "a database alone", ["DATABASE_URL": Self.whole["DATABASE_URL"] ?? ""],
                    "AUTHENTICATOR_API_KEY_DIGESTS expects "
                ),
            ])
        }

        @Test func `a configuration file that is missing or broken is named`() async throws {
            try await withTemporaryDirectory { directory in
                try await expectRefusals([("no files", Self.whole, "config/")], directory: directory)
                try directory.write("{}", to: "config/base.json")
                try await expectRefusals([("no local.json", Self.whole, "config/local.json ")], directory: directory)
                try directory.write("{ zq7", to: "config/local.json")
                try await expectRefusals(
                    [("a broken local.json", Self.whole, "config/local.json ")], directory: directory)
                try directory.write(#"{"http":{"port":"many"},"log":{"level":7}}"#, to: "config/base.json")
                try directory.write("{}", to: "config/local.json")
                try await expectRefusals(
                    [
                        (
                            "a port of letters in base.json", Self.whole.filter { $0.key != "HTTP_PORT" },
                            "HTTP_PORT expects "
                        ),
                        ("a level that is a number", Self.whole.filter { $0.key != "LOG_LEVEL" }, "LOG_LEVEL expects "),
                    ], directory: directory)
            }
        }

        @Test func `an option is refused by the name of its key as well`() async throws {
            for (option, value, line) in [
                ("--http-port", "http", "HTTP_PORT expects "), ("--http-host", "", "HTTP_HOST expects "),
                ("--public-base-url", "x", "PUBLIC_BASE_URL expects "),
                ("--database-connections", "0", "DATABASE_CONNECTIONS expects "),
                ("--migrations-directories", "", "MIGRATIONS_DIRECTORIES expects "),
                ("--log-level", "x", "LOG_LEVEL expects "),
                ("--log-format", "x", "LOG_FORMAT expects "),
                ("--shutdown-delay-seconds", "x", "SHUTDOWN_DELAY_SECONDS expects "),
                ("--shutdown-grace-seconds", "x", "SHUTDOWN_GRACE_SECONDS expects "),
            ] {
                try await expectRefusals(
                    [("\(option) \(value)", Self.whole, line)], arguments: ["serve", option, value])
            }
            // Others can list a process's arguments.
            for option in ["--database-url", "--authenticator-api-key-digests"] {
                let run = try await Command.run(["serve", option, "x"], environment: Self.whole)
                #expect(run.status == 64, "\(option): \(run.summary)")
            }
        }

        @Test func `production demands https, and verify-full for a database over TCP`() async throws {
            let production = Self.with(["LINK_SESSION_ENV": "production"])
            func with(_ changes: [String: String]) -> [String: String] { production.merging(changes) { $1 } }
            let tls = "DATABASE_URL expects sslmode=verify-full in production, or a Unix socket"
            let start = "postgres://zq7:\(Self.password)@"
            try await expectRefusals([
                (
                    "http",
                    with([
                        "DATABASE_URL": "\(start)host/d?sslmode=verify-full", "PUBLIC_BASE_URL": "http://auth.example",
                    ]), "PUBLIC_BASE_URL expects https"
                ),
                ("no sslmode", with(["DATABASE_URL": "\(start)host/d"]), tls), ("127.0.0.1", production, tls),
                ("localhost", with(["DATABASE_URL": "\(start)localhost/d"]), tls),
                ("disable", with(["DATABASE_URL": "\(start)host/d?sslmode=disable"]), tls),
                ("prefer", with(["DATABASE_URL": "\(start)host/d?sslmode=prefer"]), tls),
                ("require", with(["DATABASE_URL": "\(start)host/d?sslmode=require"]), tls),
                ("verify-ca", with(["DATABASE_URL": "\(start)host/d?sslmode=verify-ca"]), tls),
                ("key words", with(["DATABASE_URL": "host=host user=zq7 password=\(Self.password)"]), tls),
                ("a socket and a host", with(["DATABASE_URL": "\(start)%2Ftmp,host/d"]), tls),
                ("hostaddr", with(["DATABASE_URL": "postgres:///d?hostaddr=127.0.0.1&password=\(Self.password)"]), tls),
                ("a socket and hostaddr", with(["DATABASE_URL": "postgres:///d?host=/tmp&hostaddr=127.0.0.1"]), tls),
                ("PGHOST", with(["DATABASE_URL": "postgres:///d", "PGHOST": "host"]), tls),
                ("PGHOSTADDR", with(["DATABASE_URL": "postgres:///d", "PGHOSTADDR": "127.0.0.1"]), tls),
                (
                    "PGSSLMODE below what the URL lacks",
                    with(["DATABASE_URL": "\(start)host/d", "PGSSLMODE": "require"]), tls
                ),
            ])
            // A service file can name any host.
            try await withTemporaryDirectory { directory in
                try directory.write("[zq7]\nhost=127.0.0.1\nport=1\n", to: "services")
                let file = directory.appending(path: "services").path
                try await expectRefusals([
                    ("service", with(["DATABASE_URL": "postgres:///d?service=zq7", "PGSERVICEFILE": file]), tls),
                    (
                        "PGSERVICE",
                        with(["DATABASE_URL": "postgres:///d", "PGSERVICE": "zq7", "PGSERVICEFILE": file]), tls
                    ),
                ])
            }
            // Elsewhere none of this is asked for.
            let elsewhere = [Self.whole, Self.with(["PUBLIC_BASE_URL": "http://127.0.0.1:8080"])]
            let encrypted = ["\(start)127.0.0.1:1/d?sslmode=verify-full", "host=127.0.0.1 port=1 sslmode=verify-full"]
                .map { with(["DATABASE_URL": $0]) }
            for environment in elsewhere + encrypted {
                let process = try ServiceProcess(["serve"], environment: environment)
                defer { process.send(SIGKILL) }
                try await process.waitForLog("listening", within: 10)
            }
        }

        @Test func `production serves over a Unix socket, logs JSON, and its links start with the published address`()
            async throws
        {
            try await TestDatabase.with { database in
                try await database.addManufacturers()
                var environment = Service.environment(of: database)
                environment["PUBLIC_BASE_URL"] = nil
                environment["LINK_SESSION_ENV"] = "production"
                environment["SANDBOX_SIGNING_KEY"] = nil
                environment["HTTP_HOST"] = "127.0.0.1"
                let process = try ServiceProcess(["serve"], environment: environment)
                defer { process.send(SIGKILL) }
                try await process.waitForLog(#""message":"API keys loaded""#, within: 10)
                try await process.waitForLog(#""message":"listening""#, within: 10)
                let port = try #require(
                    Int(process.log.split(separator: #""port":"#).last?.prefix { $0.isNumber } ?? ""))
                let response = try await TestConnection.with(port: port) {
                    try await $0.send(
                        "POST", Service.sessions,
                        headers: [("x-api-key", TestKeys.acme), ("Content-Type", "application/json")],
                        body: Array(Service.publishedRequest.utf8))
                }
                #expect(response.status == 201)
                #expect(response.json["link_url"]?.string?.hasPrefix("https://auth.nox.energy/ui?token=") == true)
                try await process.waitForLog(#""status":201"#, within: 10)
                Secrets.expectNone(in: process.log, #_sourceLocation)
            }
        }

        @Test func `an option wins over the environment, that over the named file, and that over base.json`()
            async throws
        {
            try await TestDatabase.with { database in
                try await database.addManufacturers()
                try await withTemporaryDirectory { directory in
                    func base(_ url: String) -> String { #"{"public":{"base":{"url":"\#(url)"}}}"# }
                    let common = [
                        "MIGRATIONS_DIRECTORIES": TestDatabase.schemaDirectory, "HTTP_HOST": "127.0.0.1",
                        "DATABASE_CONNECTIONS": "2",
                        "LOG_FORMAT": "text", "RETENTION_DAYS": "30", "SHUTDOWN_DELAY_SECONDS": "0",
                        "SHUTDOWN_GRACE_SECONDS": "5", "SANDBOX_SIGNING_KEY": "",
                    ]
                    try directory.write(base("https://base.example"), to: "config/base.json")
                    try directory.write(base("https://production.example"), to: "config/production.json")
                    func link(_ environment: [String: String?], _ options: [String] = []) async throws -> String? {
                        let whole = Service.environment(of: database).merging(common) { $1 }
                            .filter { environment[$0.key] != .some(nil) }.merging(environment.compactMapValues { $0 }) {
                                $1
                            }
                        let process = try ServiceProcess(["serve"] + options, environment: whole, directory: directory)
                        defer { process.send(SIGKILL) }
                        try await process.waitForLog("API keys loaded", within: 10)
                        try await process.waitUntilListening()
                        let link = try await process.create().json["link_url"]?.string
                        try await process.waitForLog("status=201", within: 10)
                        Secrets.expectNone(in: process.log, #_sourceLocation)
                        return link
                    }
                    try directory.write("{}", to: "config/local.json")
                    #expect(try await link(["PUBLIC_BASE_URL": nil])?.hasPrefix("https://base.example/ui?") == true)
                    try directory.write(base("https://local.example"), to: "config/local.json")
                    #expect(try await link(["PUBLIC_BASE_URL": nil])?.hasPrefix("https://local.example/ui?") == true)
                    #expect(
                        try await link(["PUBLIC_BASE_URL": nil, "LINK_SESSION_ENV": "production"])?
                            .hasPrefix("https://production.example/ui?") == true)
                    #expect(
                        try await link(["PUBLIC_BASE_URL": "https://environment.example"])?
                            .hasPrefix("https://environment.example/ui?") == true)
                    #expect(
                        try await link(
                            ["PUBLIC_BASE_URL": "https://environment.example", "HTTP_PORT": "none"],
                            ["--public-base-url", "https://option.example", "--http-port", "0"])?
                            .hasPrefix("https://option.example/ui?") == true)
                }
            }
        }

        @Test func `an address that nobody can listen on is one clear line`() async throws {
            try await Service.run { service in
                var environment = Service.environment(of: service.database)
                environment["HTTP_PORT"] = "\(service.port)"
                try await expectRefusals([
                    (
                        "a taken port", environment,
                        "HTTP_PORT expects a free port: \(service.port) on 127.0.0.1 is in use"
                    )
                ])
                // RFC 5737 and RFC 6761: addresses and names that no machine has.
                for host in ["203.0.113.1", "no-such-host.invalid"] {
                    environment["HTTP_PORT"] = "0"
                    environment["HTTP_HOST"] = host
                    try await expectRefusals([("HTTP_HOST=\(host)", environment, "HTTP_HOST expects an address")])
                }
            }
        }
    }
}
