// What a wrong or missing setting says.

import Foundation
import TestSupport
import Testing

extension ProgramTests {
    @Suite struct SettingRefusalTests {
        @Test func `a wrong value stops the start with one line that names its key and what it expects`() async throws {
            let number = { (range: String) in "expects a whole number from \(range)" }
            let digests =
                "AUTHENTICATOR_API_KEY_DIGESTS expects names and SHA-256 digests of 64 hexadecimal digits, comma-separated"
            let url = "PUBLIC_BASE_URL expects a URL of scheme and host alone"
            let signing = "RETURN_SIGNING_KEYS expects private keys, comma-separated"
            let secrets = "RETURN_CODE_SECRETS expects secrets of 32 bytes or more"
            let keySecrets = "IDEMPOTENCY_SECRETS expects secrets of 32 bytes or more"
            let database = "DATABASE_URL expects a PostgreSQL URI such as postgres://user@host/database"
            let cases: [(String, String, String)] = [
                ("DATABASE_URL", "", database), ("DATABASE_URL", "zq7 and no address", database),
                ("DATABASE_URL", "mysql://zq7:\(ServeSettings.password)@host/database", database),
                ("DATABASE_URL", "host=a password=\(ServeSettings.password) zq7=1", database),
                ("DATABASE_URL", "postgres://zq7:\(ServeSettings.password)@host/database?zq7=1", database),
                (
                    "DATABASE_URL", "postgres://zq7:\(ServeSettings.password)@zq7@host/database",
                    "DATABASE_URL expects one @ before the host"
                ),
                ("AUTHENTICATOR_API_KEY_DIGESTS", "", digests), ("AUTHENTICATOR_API_KEY_DIGESTS", "zq7", digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", "web:" + ServeSettings.digest.dropLast(), digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", "web:\(ServeSettings.digest)0", digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", "web:zq" + ServeSettings.digest.dropFirst(2), digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", "web:\(ServeSettings.digest),", digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", "web:\(ServeSettings.digest),zq7", digests),
                // A digest alone has no name, and a name alone no digest.
                ("AUTHENTICATOR_API_KEY_DIGESTS", ServeSettings.digest, digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", ":\(ServeSettings.digest)", digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", "Web:\(ServeSettings.digest)", digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", "we b:\(ServeSettings.digest)", digests),
                ("AUTHENTICATOR_API_KEY_DIGESTS", "a:b:\(ServeSettings.digest)", digests),
                (
                    "AUTHENTICATOR_API_KEY_DIGESTS", "\(String(repeating: "w", count: 41)):\(ServeSettings.digest)",
                    digests
                ),
                (
                    "AUTHENTICATOR_API_KEY_DIGESTS", "web:" + TestKeys.digest(""),
                    "AUTHENTICATOR_API_KEY_DIGESTS expects digests of keys, not the one of an empty text"
                ),
                (
                    "AUTHENTICATOR_API_KEY_DIGESTS",
                    "web:\(ServeSettings.digest),app:\(TestKeys.digest("").uppercased())",
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
                ("RATE_LIMIT_CREATES", "100", "RATE_LIMIT_CREATES expects none, or so many a second"),
                ("RATE_LIMIT_CREATES", "0/10", "RATE_LIMIT_CREATES expects none, or so many a second"),
                ("RATE_LIMIT_ADDRESS", "20/10", "RATE_LIMIT_ADDRESS expects none, or so many a second"),
                ("TRUSTED_PROXIES", "10.0.0.1/8", "TRUSTED_PROXIES expects addresses and networks"),
                ("TRUSTED_PROXIES", "10.0.0.1,proxy", "TRUSTED_PROXIES expects addresses and networks"),
                ("HTTP_MANAGEMENT_HOST", "", "HTTP_MANAGEMENT_HOST expects an address to listen on"),
                ("HTTP_MANAGEMENT_PORT", "", "HTTP_MANAGEMENT_PORT \(number("0 to 65535"))"),
                ("HTTP_MANAGEMENT_PORT", "65536", "HTTP_MANAGEMENT_PORT \(number("0 to 65535"))"),
                ("HTTP_IDLE_SECONDS", "", "HTTP_IDLE_SECONDS \(number("5 to 3600"))"),
                ("HTTP_IDLE_SECONDS", "4", "HTTP_IDLE_SECONDS \(number("5 to 3600"))"),
                ("HTTP_IDLE_SECONDS", "3601", "HTTP_IDLE_SECONDS \(number("5 to 3600"))"),
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
                ("IDEMPOTENCY_SECRETS", "", keySecrets), ("IDEMPOTENCY_SECRETS", "zq7", keySecrets),
                ("IDEMPOTENCY_SECRETS", "\(TestKeys.idempotencySecret),zq7", keySecrets),
                ("WEBHOOK_SIGNING_KEYS", "", "WEBHOOK_SIGNING_KEYS expects private keys"),
                ("WEBHOOK_SIGNING_KEYS", "zq7", "WEBHOOK_SIGNING_KEYS expects private keys"),
                (
                    "WEBHOOK_SIGNING_KEYS", TestKeys.signing,
                    "WEBHOOK_SIGNING_KEYS expects each key once, and none of RETURN_SIGNING_KEYS"
                ),
                ("WEBHOOK_SECRETS", "", "WEBHOOK_SECRETS expects secrets of 32 bytes or more"),
                ("WEBHOOK_SECRETS", "zq7", "WEBHOOK_SECRETS expects secrets of 32 bytes or more"),
                ("LINK_SESSION_ENV", "", "LINK_SESSION_ENV expects local or production"),
                ("LINK_SESSION_ENV", "staging", "LINK_SESSION_ENV expects local or production"),
                ("LINK_SESSION_ENV", "../config/local", "LINK_SESSION_ENV expects local or production"),
            ]
            try await expectRefusals(cases.map { ("\($0)=\($1)", ServeSettings.with([$0: $1]), $2) })
        }

        @Test func `production is not served where a proxy is to be asked, unless NO_PROXY is for all`() async throws {
            func with(_ proxy: [String: String], _ environment: String = "production") -> [String: String] {
                ServeSettings.with([
                    "LINK_SESSION_ENV": environment, "DATABASE_URL": "postgres:///none?host=/nowhere",
                ]).merging(proxy) { $1 }
            }
            let proxy = "http://zq7:\(ServeSettings.password)@127.0.0.1:1"
            try await expectRefusals(
                ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"].map {
                    ($0, with([$0: proxy, "NO_PROXY": "127.0.0.1"]), "\($0) expects to be unset")
                })
            for environment in [
                with(["HTTPS_PROXY": proxy, "NO_PROXY": "*"]), with(["https_proxy": proxy, "no_proxy": "*"]),
                with(["HTTPS_PROXY": ""]), with(["HTTP_PROXY": proxy]), with(["HTTPS_PROXY": proxy], "local"),
            ] {
                let process = try ServiceProcess(["serve"], environment: environment)
                defer { process.send(SIGKILL) }
                try await process.waitForLog("listening", within: 10)
                let isWarned = process.log.contains("HTTPS_PROXY is not used")
                #expect(isWarned == (environment["LINK_SESSION_ENV"] == "local"))
            }
        }

        @Test func `a missing value stops the start with one line that names its key`() async throws {
            try await withTemporaryDirectory { directory in
                try directory.write("{}", to: "config/base.json")
                try directory.write("{}", to: "config/local.json")
                let cases = ServeSettings.whole.keys.sorted().map { key in
                    (
                        what: "without \(key)", environment: ServeSettings.whole.filter { $0.key != key },
                        line: "\(key) expects "
                    )
                }
                #expect(cases.count == 23)
                try await expectRefusals(cases, directory: directory)
            }
            // The project's own files know neither a database nor a key.
            try await expectRefusals([
                ("nothing at all", [:], "LINK_SESSION_ENV expects local or production"),
                ("the environment alone", ["LINK_SESSION_ENV": "local"], "DATABASE_URL expects "),
                (
                    "a database alone",
                    ["LINK_SESSION_ENV": "local", "DATABASE_URL": ServeSettings.whole["DATABASE_URL"] ?? ""],
                    "AUTHENTICATOR_API_KEY_DIGESTS expects "
                ),
            ])
        }

        @Test func `a configuration file that is missing or broken is named`() async throws {
            try await withTemporaryDirectory { directory in
                try await expectRefusals([("no files", ServeSettings.whole, "config/")], directory: directory)
                try directory.write("{}", to: "config/base.json")
                try await expectRefusals(
                    [("no local.json", ServeSettings.whole, "config/local.json ")], directory: directory)
                try directory.write("{ zq7", to: "config/local.json")
                try await expectRefusals(
                    [("a broken local.json", ServeSettings.whole, "config/local.json ")], directory: directory)
                try directory.write(#"{"http":{"port":"many"},"log":{"level":7}}"#, to: "config/base.json")
                try directory.write("{}", to: "config/local.json")
                try await expectRefusals(
                    [
                        (
                            "a port of letters in base.json", ServeSettings.whole.filter { $0.key != "HTTP_PORT" },
                            "HTTP_PORT expects "
                        ),
                        (
                            "a level that is a number", ServeSettings.whole.filter { $0.key != "LOG_LEVEL" },
                            "LOG_LEVEL expects "
                        ),
                    ], directory: directory)
            }
        }

        @Test func `an option is refused by the name of its key as well`() async throws {
            for (option, value, line) in [
                ("--http-port", "http", "HTTP_PORT expects "), ("--http-host", "", "HTTP_HOST expects "),
                ("--http-idle-seconds", "4", "HTTP_IDLE_SECONDS expects "),
                ("--public-base-url", "x", "PUBLIC_BASE_URL expects "),
                ("--database-connections", "0", "DATABASE_CONNECTIONS expects "),
                ("--migrations-directories", "", "MIGRATIONS_DIRECTORIES expects "),
                ("--log-level", "x", "LOG_LEVEL expects "),
                ("--log-format", "x", "LOG_FORMAT expects "),
                ("--shutdown-delay-seconds", "x", "SHUTDOWN_DELAY_SECONDS expects "),
                ("--shutdown-grace-seconds", "x", "SHUTDOWN_GRACE_SECONDS expects "),
            ] {
                try await expectRefusals(
                    [("\(option) \(value)", ServeSettings.whole, line)], arguments: ["serve", option, value])
            }
            // Others can list a process's arguments.
            for option in ["--database-url", "--authenticator-api-key-digests"] {
                let run = try await Command.run(["serve", option, "x"], environment: ServeSettings.whole)
                #expect(run.status == 64, "\(option): \(run.summary)")
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
                environment["HTTP_PORT"] = "0"
                environment["HTTP_MANAGEMENT_PORT"] = "\(service.port)"
                try await expectRefusals([
                    (
                        "a taken management port", environment,
                        "HTTP_MANAGEMENT_PORT expects a free port: \(service.port) on 127.0.0.1 is in use"
                    )
                ])
                environment["HTTP_MANAGEMENT_PORT"] = "0"
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
