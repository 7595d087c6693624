// What the service promises while its database, its network and its clients misbehave.

import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct ResilienceTests {
    @Test func `a killed database costs 503s within 2 s, no session and no restart`() async throws {
        try await PostgresServer.with { server in
            try await TestDatabase.with(on: server.url) { database in
                try await database.addManufacturers()
                try await ServiceProcess.serving(database) { service in
                    let (back, load) = try await Load.creating(on: service.port, clients: 16) { _ in
                        try await Task.sleep(for: .seconds(1))
                        try server.killHard()
                        try await Task.sleep(for: .seconds(4))
                        try await server.start()
                        let back = ContinuousClock.now
                        try await Task.sleep(for: .seconds(3))
                        return back
                    }
                    let answers = load.answers
                    #expect(load.brokenOff == 0)
                    #expect(Set(answers.map(\.status)) == [201, 503])
                    let slowest = answers.map(\.duration).max() ?? .zero
                    #expect(slowest < .seconds(2), "slowest answer: \(slowest)")
                    let recovered = answers.filter { $0.status == 201 && $0.ended > back }.map(\.ended).min()
                    let recovery = (recovered ?? .now + .seconds(60)) - back
                    #expect(recovery < .seconds(2), "first 201 after the database was back: \(recovery)")
                    try await expectStored(answers, in: database)
                    #expect(try await service.request("GET", "/health/ready").status == 200)
                }
            }
        }
    }

    @Test func `cutting every database connection five times fails no create`() async throws {
        try await TestDatabase.with { database in
            try await database.addManufacturers()
            try await ServiceProcess.serving(database) { service in
                let (_, load) = try await Load.creating(on: service.port, clients: 16) { _ in
                    for _ in 0..<5 {
                        try await Task.sleep(for: .milliseconds(600))
                        #expect(try await database.cutConnections() > 0)
                    }
                    try await Task.sleep(for: .milliseconds(600))
                }
                #expect(load.brokenOff == 0)
                #expect(Set(load.answers.map(\.status)) == [201])
                try await expectStored(load.answers, in: database)
            }
        }
    }

    @Test func `a frozen database costs 503s within 2 s, and all is normal at once when it thaws`() async throws {
        try await PostgresServer.with { server in
            try await TestDatabase.with(on: server.url) { database in
                try await database.addManufacturers()
                try await ServiceProcess.serving(database) { service in
                    let (times, load) = try await Load.creating(on: service.port, clients: 16) { _ in
                        try await Task.sleep(for: .seconds(1))
                        try server.freeze()
                        let frozen = ContinuousClock.now
                        try await Task.sleep(for: .seconds(8))
                        let thawed = ContinuousClock.now
                        try server.thaw()
                        try await Task.sleep(for: .seconds(2))
                        return (frozen, thawed)
                    }
                    let (frozen, thawed) = times
                    #expect(load.brokenOff == 0)
                    let slowest = load.answers.map(\.duration).max() ?? .zero
                    #expect(slowest < .seconds(2), "slowest answer: \(slowest)")
                    let during = load.answers.filter { $0.started > frozen && $0.ended < thawed }
                    #expect(!during.isEmpty)
                    #expect(Set(during.map(\.status)) == [503])
                    let recovered = load.answers.filter { $0.status == 201 && $0.ended > thawed }.map(\.ended).min()
                    let recovery = (recovered ?? .now + .seconds(60)) - thawed
                    #expect(recovery < .seconds(1), "first 201 after the thaw: \(recovery)")
                    #expect(load.answers.last?.status == 201)
                    try await expectStored(load.answers, in: database)
                }
            }
        }
    }

    @Test func `SIGTERM under load breaks no request off, and the program ends with 0`() async throws {
        try await TestDatabase.with { database in
            try await database.addManufacturers()
            for delay in [0, 1] {
                try await ServiceProcess.serving(
                    database, environment: ["SHUTDOWN_DELAY_SECONDS": "\(delay)", "SHUTDOWN_GRACE_SECONDS": "10"]
                ) { service in
                    let (status, load) = try await Load.creating(on: service.port, clients: 16) { _ in
                        try await Task.sleep(for: .milliseconds(700))
                        service.send(SIGTERM)
                        if delay > 0 {
                            try await Task.sleep(for: .milliseconds(300))
                            let ready = try await service.request("GET", "/health/ready")
                            #expect(ready.status == 503)
                            #expect(ready.json["checks"]?["shutdown"]?["state"] == .string("shutting_down"))
                            #expect(ready.header("Connection") == nil)
                            #expect(try await service.request("GET", "/health/live").status == 200)
                        }
                        return try await service.waitForExit(within: 9)
                    }
                    #expect(status == 0, "\(service.log.suffix(500))")
                    #expect(load.brokenOff == 0)
                    #expect(Set(load.answers.map(\.status)) == [201])
                    try await expectStored(load.answers, in: database)
                }
            }
        }
    }

    @Test func `SIGTERM waits no longer than the grace for a client that does not end`() async throws {
        try await TestDatabase.with { database in
            try await database.addManufacturers()
            try await ServiceProcess.serving(database, environment: ["SHUTDOWN_GRACE_SECONDS": "2"]) { service in
                async let slow = service.raw([Array("POST /v2/manufacturer/link-sessions HTTP/1.1\r\nHost: x\r\n".utf8)]
                )
                try await Task.sleep(for: .milliseconds(300))
                let started = ContinuousClock.now
                service.send(SIGTERM)
                #expect(try await service.waitForExit(within: 5) == 0)
                #expect(ContinuousClock.now - started < .seconds(3))
                _ = try? await slow
            }
        }
    }

    @Test func `a second signal ends the program at once`() async throws {
        try await TestDatabase.with { database in
            try await ServiceProcess.serving(
                database, environment: ["SHUTDOWN_DELAY_SECONDS": "20", "SHUTDOWN_GRACE_SECONDS": "30"]
            ) { service in
                service.send(SIGTERM)
                try await Task.sleep(for: .milliseconds(500))
                #expect(service.isRunning)
                service.send(SIGTERM)
                #expect(try await service.waitForExit(within: 5) == 128 + SIGTERM)
            }
        }
    }

    @Test func `a thousand clients at one byte a second are cut off within 15 s and harm nobody`() async throws {
        try await TestDatabase.with { database in
            try await database.addManufacturers()
            try await ServiceProcess.serving(database) { service in
                let head = Array("POST /v2/manufacturer/link-sessions HTTP/1.1\r\nHost: slow.example\r\n".utf8)
                let bytes = head.map { [$0] }
                let (cutOff, load) = try await Load.creating(on: service.port, clients: 4) { _ in
                    try await withThrowingTaskGroup(of: Bool.self) { group in
                        for _ in 0..<1000 {
                            group.addTask {
                                let started = ContinuousClock.now
                                let (text, closed) = try await service.raw(bytes, pause: .seconds(1))
                                return closed && text.hasPrefix("HTTP/1.1 408 ")
                                    && ContinuousClock.now - started < .seconds(15)
                            }
                        }
                        return try await group.reduce(into: 0) { count, isCutOff in count += isCutOff ? 1 : 0 }
                    }
                }
                #expect(cutOff == 1000)
                #expect(load.brokenOff == 0)
                #expect(Set(load.answers.map(\.status)) == [201])
                let slowest = load.answers.map(\.duration).max() ?? .zero
                #expect(slowest < .seconds(2), "slowest create among them: \(slowest)")
            }
        }
    }

    @Test func `a body that does not arrive is cut off with 408 after 10 s`() async throws {
        try await TestDatabase.with { database in
            try await database.addManufacturers()
            try await ServiceProcess.serving(database) { service in
                let head = """
                    POST /v2/manufacturer/link-sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r
                    x-api-key: \(TestKeys.acme)\r\nContent-Length: 100\r\n\r\n{"user_id":
                    """
                let started = ContinuousClock.now
                let (text, closed) = try await service.raw([Array(head.utf8)])
                #expect(closed)
                #expect(text.hasPrefix("HTTP/1.1 408 "))
                #expect(text.contains("request_timeout"))
                #expect((.seconds(9) ... .seconds(12)).contains(ContinuousClock.now - started))
            }
        }
    }

    @Test func `after an early 401 at most 64 KiB more of the body are read`() async throws {
        try await TestDatabase.with { database in
            try await ServiceProcess.serving(database) { service in
                let head =
                    "POST /v2/manufacturer/link-sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
                let chunk = [UInt8](repeating: 0x20, count: 16 * 1024)
                let started = ContinuousClock.now
                let (text, closed) = try await service.raw(
                    [Array(head.utf8)] + Array(repeating: chunk, count: 200), pause: .milliseconds(20))
                #expect(closed)
                #expect(text.hasPrefix("HTTP/1.1 401 "))
                #expect(text.lowercased().contains("connection: close"))
                #expect(ContinuousClock.now - started < .seconds(3))
                #expect(try await service.request("GET", "/health/live").status == 200)
            }
        }
    }

    @Test func `keys and manufacturers change on two replicas within a second, also while one's connections are cut`()
        async throws
    {
        try await TestDatabase.with { database in
            try await database.addManufacturers()
            try await ServiceProcess.serving(database) { first in
                try await ServiceProcess.serving(database) { second in
                    let replicas = [first, second]
                    let newKey = TestKeys.manufacturer("new, for two replicas")
                    for replica in replicas { #expect(try await replica.create(key: newKey).status == 401) }
                    try await database.addKey(newKey, manufacturer: "Acme Manufacturing")
                    let added = ContinuousClock.now
                    for replica in replicas {
                        try await eventually(within: .seconds(1), of: added) {
                            try await replica.create(key: newKey).status == 201
                        }
                    }
                    try await database.execute(
                        """
                        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE datname = current_database() AND application_name LIKE 'link-session-service%';
                        UPDATE manufacturers SET enabled = false WHERE name = 'Acme Manufacturing'
                        """)
                    let disabled = ContinuousClock.now
                    for replica in replicas {
                        try await eventually(within: .seconds(1), of: disabled) {
                            try await replica.create(key: newKey).status == 401
                        }
                    }
                }
            }
        }
    }

    @Test func `connections above the bound make idle ones end, and are served`() async throws {
        try await TestDatabase.with { database in
            try await database.addManufacturers()
            // 1,100 descriptors leave 76 connections.
            try await ServiceProcess.serving(database, descriptorLimit: 1100) { service in
                let silent = try (0..<90).map { _ in try RawSocket(port: service.port) }
                for _ in 0..<10 { #expect(try await service.create().status == 201) }
                #expect(silent.count { $0.isClosed } >= 15)
            }
        }
    }

    @Test func `connections above the bound are refused with a 503 while all others are at work, which go on`()
        async throws
    {
        try await TestDatabase.with { database in
            try await database.addManufacturers()
            try await ServiceProcess.serving(database, descriptorLimit: 1100) { service in
                try await withThrowingTaskGroup(of: String?.self) { group in
                    // A client that only waits makes room; these wait for the database.
                    group.addTask {
                        try await database.execute(
                            "BEGIN; LOCK TABLE link_sessions; SELECT pg_sleep(2); COMMIT")
                        return nil
                    }
                    try await Task.sleep(for: .milliseconds(200))
                    for _ in 0..<76 { group.addTask { try await service.create().json["code"]?.string } }
                    try await Task.sleep(for: .milliseconds(500))
                    let started = ContinuousClock.now
                    let (text, closed) = try await service.raw([
                        Array("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
                    ])
                    #expect(closed)
                    #expect(text.hasPrefix("HTTP/1.1 503 "))
                    #expect(text.contains("overloaded"))
                    #expect(text.contains("retry-after: 1"))
                    #expect(ContinuousClock.now - started < .seconds(1))
                    let codes = try await group.reduce(into: []) { $0.append($1) }
                    #expect(codes.allSatisfy { $0 == nil || $0 == "unavailable" }, "as soon as it comes: \(codes)")
                }
                #expect(try await service.create().status == 201)
            }
        }
    }

    private func eventually(
        within limit: Duration, of start: ContinuousClock.Instant, _ condition: () async throws -> Bool,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        while !(try await condition()) {
            guard ContinuousClock.now - start < limit else {
                Issue.record("not within \(limit)", sourceLocation: sourceLocation)
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Every session answered 201 is in the table.
    private func expectStored(
        _ answers: [Load.Answer], in database: TestDatabase, sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let tokens = answers.compactMap(\.token)
        #expect(tokens.count == answers.count { $0.status == 201 }, sourceLocation: sourceLocation)
        #expect(Set(tokens).count == tokens.count, sourceLocation: sourceLocation)
        var stored = 0
        for start in stride(from: 0, to: tokens.count, by: 1000) {
            let values = tokens[start..<min(start + 1000, tokens.count)].map { "('\($0)')" }.joined(separator: ",")
            stored += try await database.count(
                "SELECT count(*) FROM (VALUES \(values)) v(t) JOIN link_sessions ON token_hash = sha256(t::bytea)")
        }
        #expect(!tokens.isEmpty, sourceLocation: sourceLocation)
        #expect(stored == tokens.count, sourceLocation: sourceLocation)
    }
}
