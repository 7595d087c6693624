// Rate limits of the running service: of manufacturers, and of addresses without a usable key.

import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct RateLimitTests {
        @Test func `a manufacturer beyond its rate is told when to come again, and nobody else is held back`()
            async throws
        {
            try await Service.run(environment: ["RATE_LIMIT_CREATES": "1/5"]) { service in
                for left in (0..<5).reversed() {
                    let created = try await service.create()
                    #expect(created.status == 201)
                    #expect(created.header("RateLimit-Policy") == #""creates";q=5;w=5"#)
                    #expect(created.header("RateLimit")?.hasPrefix(#""creates";r=\#(left);t="#) == true)
                }
                let start = ContinuousClock.now
                let refused = try await service.create()
                service.expect(refused, 429, "rate_limited", "the sixth at once")
                #expect(refused.header("Retry-After") == "1")
                #expect(refused.header("RateLimit")?.hasPrefix(#""creates";r=0;t="#) == true)
                #expect(ContinuousClock.now - start >= .seconds(1))
                #expect(try await service.create(key: TestKeys.beta).status == 201)
                let found = try await service.find(try await service.createdToken())
                #expect(found.status == 200, "a second later one more passes, and look-ups count apart")
                #expect(found.header("RateLimit-Policy") == #""requests";q=50;w=5"#)
                let refusedBody = try await service.create("{", key: TestKeys.beta)
                #expect(refusedBody.status == 400 && refusedBody.header("RateLimit") != nil)
            }
        }

        @Test func `an operator's limit is in force within a second`() async throws {
            try await Deployment.withAcme { deployment, key in
                try await Service.serving(
                    deployment.database,
                    environment: [
                        "RATE_LIMIT_CREATES": "100/200", "MIGRATIONS_DIRECTORIES": "migrations,\(deployment.path)",
                    ]
                ) { service in
                    let policy = { try await service.create(key: key).header("RateLimit-Policy") }
                    #expect(try await policy() == #""creates";q=200;w=2"#)
                    for (limit, expected) in [("7/70", #""creates";q=70;w=10"#), ("default", #""creates";q=200;w=2"#)] {
                        let set = try await deployment.admin("set-rate-limit", "Acme", limit, "--apply")
                        #expect(set.status == 0, "\(set.summary)")
                        try await wait(until: "the limit is in force") { try await policy() == expected }
                    }
                }
            }
        }

        @Test func `an address without a usable key waits beyond its rate, and callers with a key do not`() async throws
        {
            try await Service.run(environment: ["RATE_LIMIT_ADDRESS": "1/6"]) { service in
                #expect(try await service.create(key: "wrong").status == 401)
                #expect(try await service.get("/v2/nothing").status == 404)
                let browser = [("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")]
                for _ in 0..<4 {
                    let page = try await TestConnection.with(port: service.port) {
                        try await $0.send("GET", "/ui", headers: browser)
                    }
                    #expect(page.status == 404)
                }
                let start = ContinuousClock.now
                async let page = TestConnection.with(port: service.port) {
                    try await $0.send("GET", "/ui?token=x&language=fr", headers: browser)
                }
                async let wrongKey = service.create(key: "wrong")
                async let unknown = service.get("/v2/nothing")
                async let noKey = service.get("\(Service.sessions)/x")
                for _ in 0..<20 {
                    #expect(try await service.create().status == 201)
                    #expect(try await service.get("/health/live").status == 200)
                }
                #expect(ContinuousClock.now - start < .seconds(1), "they are not held back for what others do")
                let (limited, refusals) = (try await page, try await [wrongKey, unknown, noKey])
                #expect(ContinuousClock.now - start >= .seconds(1))
                #expect(limited.status == 429 && limited.header("Retry-After") != nil)
                #expect(limited.header("Content-Type") == "text/html; charset=utf-8")
                #expect(limited.text.contains("lang=\"fr\"") && limited.text.contains("data-page=\"busy\""))
                for refusal in refusals { service.expect(refusal, 429, "rate_limited", "without a usable key") }
            }
        }

        @Test
        func `a client behind a trusted proxy is counted by its own address, and a forged header changes nothing`()
            async throws
        {
            try await Service.run(
                environment: ["RATE_LIMIT_ADDRESS": "1/3", "TRUSTED_PROXIES": "127.0.0.0/8,2001:db8::/32"]
            ) { service in
                func status(_ headers: [(String, String)]) async throws -> Int {
                    try await service.request("GET", "/v2/nothing", headers: headers).status
                }
                for client in ["198.51.100.7", "198.51.100.8", "2001:4860::1"] {
                    for _ in 0..<3 {
                        #expect(try await status([("X-Forwarded-For", "1.2.3.4, \(client), 127.0.0.9")]) == 404)
                    }
                }
                let forged = "\(Int.random(in: 1...99)).2.3.4"
                async let list = status([("X-Forwarded-For", "\(forged), 198.51.100.7")])
                async let elements = status([("Forwarded", "for=\(forged), for=198.51.100.8")])
                let statuses = try await [list, elements]
                #expect(statuses == [429, 429])
                try await service.process.waitForLog("client=198.51.100.0/24", within: 5)
                #expect(!service.process.log.contains("198.51.100.7"))
            }
        }

        @Test func `a browser gets a page for whatever is not there, and an API client JSON`() async throws {
            try await Service.run { service in
                for (method, path, status) in [
                    ("GET", "/", 404), ("GET", "/nothing.ico", 404), ("POST", "/ui", 405), ("GET", "/ui/sign-ins", 405),
                    ("GET", "/UI", 404),
                ] {
                    let page = try await TestConnection.with(port: service.port) {
                        try await $0.send(method, path, headers: [("Accept", "text/html"), ("Accept-Language", "es")])
                    }
                    #expect(page.status == status, "\(method) \(path)")
                    #expect(page.text.contains("data-page=\"not-found\""), "\(method) \(path)")
                    #expect((page.header("Allow") != nil) == (status == 405))
                }
                service.expect(try await service.get("/"), 404, "not_found", "without Accept")
                let api = try await service.request("GET", "/v2/nothing", headers: [("Accept", "text/html")])
                service.expect(api, 404, "not_found", "below /v2")
            }
        }
    }
}
