// What an operator sees of the running program, and what nobody can make it show.

import Foundation
@testable import LinkSessionService
import PrometheusMetrics
@testable import TestSupport
import Testing

extension ServiceProcess {
    /// The port of the listener for those who run the service.
    func managementPort() async throws -> Int {
        try await waitForLog("serving metrics", within: 10)
        let line = try #require(log.split(separator: "\n").first { $0.contains("serving metrics") })
        return try #require(line.split(separator: "port=").last.flatMap { Int($0.prefix { $0.isNumber }) })
    }

    func scrape(accept: String? = nil) async throws -> TestResponse {
        try await TestConnection.with(port: try await managementPort()) {
            try await $0.send("GET", "/metrics", headers: accept.map { [("Accept", $0)] } ?? [])
        }
    }
}

extension TestResponse {
    /// The value of a sample, with its labels as they are written.
    func sample(_ name: String) -> Double? {
        text.split(separator: "\n").first { $0.hasPrefix("\(name) ") }.flatMap {
            Double($0.dropFirst(name.count + 1))
        }
    }
}

extension ProgramTests {
    @Suite struct MetricsTests {
        private static let route = #"route="/v2/manufacturer/link-sessions""#

        @Test func `every metric is exposed as the documentation has it, and none besides`() async throws {
            let file = TestEnvironment.projectDirectory.appending(path: "docs/operate.md")
            let document = try String(contentsOf: file, encoding: .utf8)
            let section = try #require(
                document.components(separatedBy: "\n## Metrics\n").last?
                    .components(separatedBy: "\n## ").first)
            let rows = section.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { row in
                row.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces).replacing("`", with: "") }
            }
            #expect(rows.map { $0[0] } == MetricList.all.map(\.name))
            #expect(rows.map { $0[1] } == MetricList.all.map { $0.labels.joined(separator: ", ") })
            try await Service.run { service in
                let scraped = try await service.process.scrape()
                #expect(scraped.status == 200)
                #expect(scraped.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8")
                #expect(scraped.header("Cache-Control") == "no-store")
                let types = scraped.text.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map {
                    $0.split(separator: " ").dropFirst(2).joined(separator: " ")
                }
                #expect(types == rows.map { "\($0[0]) \($0[2].prefix { $0 != "," })" })
                for line in scraped.text.split(separator: "\n") where !line.hasPrefix("#") {
                    #expect(
                        line.wholeMatch(of: /[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [-+.e0-9]+/) != nil,
                        "\(line)")
                }
                let openMetrics = try await service.process.scrape(
                    accept: "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1")
                #expect(
                    openMetrics.header("Content-Type") == "application/openmetrics-text; version=1.0.0; charset=utf-8")
                #expect(openMetrics.text.hasSuffix("\n# EOF\n"))
                #expect(openMetrics.text.contains("# TYPE link_sessions_created counter\n"))
            }
        }

        @Test func `what happens is counted`() async throws {
            try await Service.run(environment: ["RATE_LIMIT_CREATES": "1/3"]) { service in
                let token = try await service.createdToken()
                let second = try await service.createdToken()
                #expect(try await service.view(token).status == 200)
                #expect(try await service.complete(token).status == 200)
                #expect(try await service.expire(second).status == 200)
                #expect(try await service.create("{}").status == 400)
                #expect(try await service.create().status == 429)
                try await wait(until: "events are in the feed, and the state is read") {
                    let scraped = try await service.process.scrape()
                    return scraped.sample(#"link_session_events_total{event="expired_early"}"#) == 1
                        && scraped.sample("link_session_replicas") == 1
                        && scraped.sample("link_session_retention_last_success_timestamp_seconds") != nil
                }
                let scraped = try await service.process.scrape()
                for (name, value) in [
                    (#"http_server_request_duration_seconds_count{\#(Self.route),method="POST",status="201"}"#, 2),
                    (#"http_server_request_duration_seconds_count{\#(Self.route),method="POST",status="400"}"#, 1),
                    (#"http_server_request_duration_seconds_count{\#(Self.route),method="POST",status="429"}"#, 1),
                    (
                        #"http_server_request_duration_seconds_bucket{\#(Self.route),method="POST",status="429",le="0.5"}"#,
                        0
                    ),
                    (#"http_server_rate_limited_requests_total{limit="creates"}"#, 1),
                    ("link_sessions_created_total", 2),
                    (#"link_session_events_total{event="opened"}"#, 1),
                    (#"link_session_events_total{event="completed"}"#, 1),
                    (#"link_session_events_total{event="expired"}"#, 0),
                    (#"db_client_connections{pool="requests"}"#, 8),
                    (#"db_client_connections_max{pool="requests"}"#, 8),
                    (#"db_client_connects_total{pool="keys"}"#, 1),
                    (#"db_client_connect_failures_total{pool="keys"}"#, 0),
                    (#"db_client_queue_length{pool="requests",class="second"}"#, 0),
                    (#"db_client_queue_refused_total{pool="requests",class="first"}"#, 0),
                    (#"db_client_group_size_count{statement="create_link_sessions"}"#, 2),
                    ("link_session_ready", 1), (#"link_session_health_check{check="migrations"}"#, 1),
                    ("link_session_event_feed_waiting_requests", 0), ("http_server_active_requests", 0),
                    ("link_session_default_partition_rows", 0),
                ] { #expect(scraped.sample(name) == Double(value), "\(name)") }
                let age = try #require(scraped.sample("link_session_control_plane_age_seconds"))
                #expect(age < 1)
                let now = Date.now.timeIntervalSince1970
                for name in [
                    "process_start_time_seconds", "link_session_database_state_timestamp_seconds",
                    "link_session_retention_last_success_timestamp_seconds",
                ] {
                    let time = try #require(scraped.sample(name), "\(name)")
                    #expect((now - 60...now + 1).contains(time), "\(name)")
                }
                for name in [
                    "http_server_connection_places", "process_open_fds", "process_threads",
                    "process_resident_memory_bytes",
                ] {
                    let value = try #require(scraped.sample(name), "\(name)")
                    #expect(value > 10, "\(name)")
                }
                Secrets.expectNone(in: scraped.text, and: [token, second], #_sourceLocation)
            }
        }

        @Test func `nothing that strangers send becomes a label or makes the answer larger`() async throws {
            try await Service.run { service in
                func send(_ mark: String) async throws {
                    for (method, path) in [
                        ("GET", "/\(mark)"), ("PURGE", "/ui"), ("PURGE", "/\(mark)"),
                        ("GET", "http://\(mark).example/\(mark)"),
                        ("GET", "/v2/manufacturer/link-sessions/\(mark)"), ("POST", "/ui/callback/\(mark)"),
                        ("GET", "/ui?token=\(mark)&language=\(mark)"), ("GET", "/ui/logos/\(mark)"),
                        ("DELETE", "/v2/manufacturer/link-sessions"), ("GET", "/health/live?\(mark)"),
                    ] {
                        _ = try await TestConnection.with(port: service.port) {
                            try await $0.send(
                                method, path,
                                headers: [
                                    ("x-api-key", mark), ("X-Request-Id", mark), ("User-Agent", mark),
                                    ("Forwarded", "for=\(mark)"),
                                ])
                        }
                    }
                }
                try await send("zq7first")
                let before = try await service.process.scrape()
                for number in 0..<20 { try await send("zq7label\(number)") }
                let after = try await service.process.scrape()
                #expect(!after.text.contains("zq7") && !after.text.contains("PURGE") && !after.text.contains("DELETE"))
                func names(_ response: TestResponse) -> Set<Substring> {
                    Set(response.text.split(separator: "\n").map { $0[..<($0.lastIndex(of: " ") ?? $0.endIndex)] })
                }
                let further = names(after).subtracting(names(before)).filter { $0.hasPrefix("http_server") }
                #expect(further.isEmpty, "\(further)")
                #expect(
                    after.sample(
                        #"http_server_request_duration_seconds_count{route="-",method="OTHER",status="404"}"#) == 21)
                #expect(
                    after.sample(
                        #"http_server_request_duration_seconds_count{route="/ui",method="OTHER",status="405"}"#) == 21)
            }
        }

        @Test func `sign-ins are counted by supplier and outcome`() async throws {
            try await ScriptedProvider.with { provider in
                try await Service.run(with: provider) { service in
                    let token = try await service.createdToken()
                    let browser = TestBrowser(service)
                    let first = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                    let state = first["state"]
                    _ = try await browser.get("/ui/callback/mock-energy?state=\(state)&error=access_denied")
                    let second = AuthenticationRequest(url: try await browser.start(token, at: "mock-energy").goTo)
                    _ = try await browser.get(browser.callback(provider.code(for: second), second))
                    let scraped = try await service.process.scrape()
                    for (outcome, count) in [("started", 2), ("declined", 1), ("signed_in", 1)] {
                        let name = #"link_session_sign_ins_total{supplier="mock-energy",outcome="\#(outcome)"}"#
                        #expect(scraped.sample(name) == Double(count), "\(outcome)")
                    }
                    #expect(scraped.sample(#"link_session_supplier_failing{supplier="mock-energy"}"#) == 0)
                }
            }
        }

        @Test func `while all public places are taken metrics and health are served, and within 50 ms`() async throws {
            try await Service.run(descriptorLimit: 1100) { service in
                let port = service.port
                let head = "POST /v2/manufacturer/link-sessions HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
                let sockets = try (0..<300).map { _ in try RawSocket(port: port) }
                for socket in sockets { socket.send(Array(head.utf8)) }
                var times: [Duration] = []
                for _ in 0..<20 {
                    let start = ContinuousClock.now
                    let scraped = try await service.process.scrape()
                    times.append(.now - start)
                    #expect(scraped.status == 200)
                }
                let quickest = try #require(times.min())
                #expect(quickest < .milliseconds(50), "\(times)")
                let live = try await TestConnection.with(port: try await service.process.managementPort()) {
                    try await $0.send("GET", "/health/live")
                }
                #expect(live.status == 200)
                withExtendedLifetime(sockets) {}
            }
        }

        @Test func `the listener has nothing else, and the public one has no metrics`() async throws {
            try await Service.run { service in
                let port = try await service.process.managementPort()
                #expect(try await service.get("/metrics").status == 404)
                for (method, path, status) in [
                    ("GET", "/health/ready", 200), ("GET", "/openapi.json", 404), ("POST", "/metrics", 405),
                    ("GET", "/v2/manufacturer/link-sessions", 404), ("GET", "/", 404),
                ] {
                    let response = try await TestConnection.with(port: port) {
                        try await $0.send(method, path, headers: [("x-api-key", TestKeys.acme)])
                    }
                    #expect(response.status == status, "\(method) \(path)")
                }
            }
        }

        @Test func `at the end the listener is the last to stop`() async throws {
            try await TestDatabase.with { database in
                try await database.addManufacturers()
                try await ServiceProcess.serving(
                    database, environment: ["SHUTDOWN_DELAY_SECONDS": "0", "SHUTDOWN_GRACE_SECONDS": "10"]
                ) { process in
                    let unfinished = try RawSocket(port: process.port)
                    unfinished.send(
                        Array(
                            """
                            POST /v2/manufacturer/link-sessions HTTP/1.1\r\nHost: a\r\nx-api-key: \(TestKeys.acme)\r
                            Content-Type: application/json\r\nContent-Length: 2\r\n\r\n
                            """.utf8))
                    try await wait(until: "the request is under way") {
                        try await process.scrape().sample("http_server_active_requests") == 1
                    }
                    process.send(SIGTERM)
                    try await wait(until: "the public listener takes nobody") {
                        (try? await TestConnection.with(port: process.port) {
                            try await $0.send("GET", "/health/live")
                        }) == nil
                    }
                    let scraped = try await process.scrape()
                    #expect(scraped.sample("http_server_active_requests") == 1)
                    unfinished.send(Array("{}".utf8))
                    #expect(try await process.waitForExit(within: 10) == 0)
                }
            }
        }

        @Test func `a request's trace is in its log line`() async throws {
            try await Service.run { service in
                let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
                _ = try await service.create(headers: [("traceparent", "00-\(trace)-00f067aa0ba902b7-01")])
                try await service.process.waitForLog("trace_id=\(trace)", within: 5)
                let line = service.process.log.split(separator: "\n").first { $0.contains(trace) } ?? ""
                #expect(line.contains("session=") && line.contains("status=201"), "\(line)")
            }
        }
    }
}
