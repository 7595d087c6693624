// Where settings come from, and what production demands of them.

import Foundation
import LinkSessions
import TestSupport
import Testing

extension ProgramTests {
    @Suite struct SettingSourceTests {
        private static let live = TestKeys.manufacturer("acme", for: .live)

        @Test func `an option wins over the environment, that over the named file, and that over base.json`()
            async throws
        {
            try await TestDatabase.with { database in
                try await database.addManufacturers()
                try await database.addKey(Self.live, manufacturer: "Acme Manufacturing")
                func key(_ environment: [String: String]) -> String {
                    environment["LINK_SESSION_ENV"] == "production" ? Self.live : TestKeys.acme
                }
                try await withTemporaryDirectory { directory in
                    func base(_ url: String) -> String { #"{"public":{"base":{"url":"\#(url)"}}}"# }
                    let common = [
                        "MIGRATIONS_DIRECTORIES": TestDatabase.schemaDirectory, "HTTP_HOST": "127.0.0.1",
                        "HTTP_MANAGEMENT_HOST": "127.0.0.1", "HTTP_IDLE_SECONDS": "75",
                        "DATABASE_CONNECTIONS": "2",
                        "LOG_FORMAT": "text", "RETENTION_DAYS": "30", "SHUTDOWN_DELAY_SECONDS": "0",
                        "SHUTDOWN_GRACE_SECONDS": "5", "SANDBOX_SIGNING_KEY": "",
                        "RATE_LIMIT_CREATES": "none", "RATE_LIMIT_ADDRESS": "none",
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
                        try await process.waitForLog("control plane loaded", within: 10)
                        try await process.waitUntilListening()
                        let link = try await process.create(key: key(whole)).json["link_url"]?.string
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

        @Test func `production demands https, and verify-full for a database over TCP`() async throws {
            let production = ServeSettings.with(["LINK_SESSION_ENV": "production"])
            func with(_ changes: [String: String]) -> [String: String] { production.merging(changes) { $1 } }
            let tls = "DATABASE_URL expects sslmode=verify-full in production, or a Unix socket"
            let start = "postgres://zq7:\(ServeSettings.password)@"
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
                ("key words", with(["DATABASE_URL": "host=host user=zq7 password=\(ServeSettings.password)"]), tls),
                ("a socket and a host", with(["DATABASE_URL": "\(start)%2Ftmp,host/d"]), tls),
                (
                    "hostaddr",
                    with(["DATABASE_URL": "postgres:///d?hostaddr=127.0.0.1&password=\(ServeSettings.password)"]), tls
                ),
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
            let elsewhere = [ServeSettings.whole, ServeSettings.with(["PUBLIC_BASE_URL": "http://127.0.0.1:8080"])]
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
                try await database.addKey(Self.live, manufacturer: "Acme Manufacturing")
                var environment = Service.environment(of: database)
                environment["PUBLIC_BASE_URL"] = nil
                environment["LINK_SESSION_ENV"] = "production"
                environment["SANDBOX_SIGNING_KEY"] = nil
                environment["HTTP_HOST"] = "127.0.0.1"
                let process = try ServiceProcess(["serve"], environment: environment)
                defer { process.send(SIGKILL) }
                try await process.waitForLog(#""message":"control plane loaded""#, within: 10)
                try await process.waitForLog(#""message":"listening""#, within: 10)
                let port = try #require(
                    Int(process.log.split(separator: #""port":"#).last?.prefix { $0.isNumber } ?? ""))
                let response = try await TestConnection.with(port: port) {
                    try await $0.send(
                        "POST", Service.sessions,
                        headers: [("x-api-key", Self.live), ("Content-Type", "application/json")],
                        body: Array(Service.publishedRequest.utf8))
                }
                #expect(response.status == 201)
                #expect(response.json["link_url"]?.string?.hasPrefix("https://auth.nox.energy/ui?token=") == true)
                try await process.waitForLog(#""status":201"#, within: 10)
                Secrets.expectNone(in: process.log, #_sourceLocation)
            }
        }

        @Test func `an idle connection is kept for HTTP_IDLE_SECONDS and no longer`() async throws {
            try await TestDatabase.with { database in
                try await Service.serving(
                    database, environment: ["HTTP_IDLE_SECONDS": "5"], waitsForKeys: false
                ) { service in
                    let socket = try RawSocket(port: service.port)
                    socket.send(Array("GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
                    let (early, isClosedEarly) = socket.receive(withinMilliseconds: 4000)
                    #expect(early.hasPrefix("HTTP/1.1 200 ") && !isClosedEarly)
                    let (late, isClosed) = socket.receive(withinMilliseconds: 4000)
                    #expect(late.isEmpty && isClosed)
                }
            }
        }
    }
}
