// GET /v2/manufacturer/events and …/{link_token}/events: what happened, in order, and requests that wait for it.

import Foundation
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct EventFeedTests {
        @Test func `a session's whole life is told in order, to its manufacturer alone`() async throws {
            try await Service.run { service in
                let created = try await service.create()
                let token = try #require(created.json["link_token"]?.string)
                _ = try await TestBrowser(service).get("/ui?token=\(token)")
                _ = try await service.view(token)
                _ = try await service.complete(token)
                let early = try await service.createdToken()
                _ = try await TestBrowser(service).get("/ui?token=\(early)")
                _ = try await service.expire(early)

                let events = try await service.events(count: 4)
                #expect(
                    events.compactMap { $0["type"]?.string } == [
                        "link_session.opened", "link_session.completed", "link_session.opened", "link_session.expired",
                    ])
                let completed = events[1]
                let session = completed["data"]?["link_session"]
                #expect(session?["id"]?.string == created.header("Link-Session-Id"))
                #expect(session?["status"]?.string == "completed" && session?["link_token"] == nil)
                #expect(session?["confirmed_at"] == .null && completed["data"]?["reason"] == .null)
                #expect(completed["metadata"]?["external_user_id"]?.string == Secrets.publishedUserID)
                #expect(completed["metadata"]?["user_id"]?.string?.count == 36)
                #expect(completed["metadata"]?["brand"]?.string == "Acme Manufacturing")
                #expect(completed["metadata"]?["energy_supplier"] == .null)
                #expect(events[0]["metadata"]?["user_id"] == .null)
                #expect(events[3]["data"]?["reason"]?.string == "manufacturer")

                let own = try await service.get("\(Service.sessions)/\(token)/events", key: TestKeys.acme)
                #expect(own.json["data"]?.elements == Array(events[..<2]))
                let stranger = try await service.get("\(Service.sessions)/\(token)/events", key: TestKeys.beta)
                service.expect(stranger, 404, "link_session_not_found", "another's session")
                let nothing = try await service.get(Service.events, key: TestKeys.beta)
                #expect(nothing.text == #"{"data":[],"has_more":false,"next":"evt_0"}"#)
                let farAhead = try await service.get(
                    "\(Service.events)?after=evt_9223372036854775807", key: TestKeys.acme)
                #expect(farAhead.text == #"{"data":[],"has_more":false,"next":"evt_9223372036854775807"}"#)
                let page = try await service.get(
                    "\(Service.events)?limit=1&types=link_session.completed,link_session.expired", key: TestKeys.acme)
                #expect(page.json["data"]?.elements == [events[1]] && page.json["has_more"] == .bool(true))
                let next = try #require(page.json["next"]?.string)
                #expect(next == events[1]["id"]?.string)
                let rest = try await service.get("\(Service.events)?after=\(next)", key: TestKeys.acme)
                #expect(rest.json["data"]?.elements == Array(events[2...]))
            }
        }

        @Test(arguments: [
            ("after=x", "invalid_after", "after must be the next of the page before, or the id of an event"),
            ("after=evt_01", "invalid_after", "after must be …"), ("after=evt_-1", "invalid_after", "after must be …"),
            ("types=", "invalid_types", "types must be a comma-separated list of: link_session.opened, …"),
            ("types=link_session.opened,x", "invalid_types", "types must be …"),
            ("wait=56", "invalid_wait", "wait must be a whole number of seconds from 0 to 55"),
            ("wait=-1", "invalid_wait", "wait must be …"),
            ("wait=1&wait=2", "invalid_wait", "wait must be given once…"),
            ("limit=101", "invalid_limit", "limit must be …"),
        ]) func `what is asked for wrongly is refused by name`(query: String, code: String, sentence: String)
            async throws
        {
            try await Service.run { service in
                let refused = try await service.get("\(Service.events)?\(query)", key: TestKeys.acme)
                service.expect(refused, 400, code, sentence, query)
                let key = try await service.get("\(Service.events)?\(query)", key: "wrong")
                service.expect(key, 401, "unauthorized", "the key comes first")
            }
        }

        @Test func `whoever waits for an event or a session's end is answered soon after it, and not before`()
            async throws
        {
            try await Service.run { service in
                let token = try await service.createdToken()
                async let feed = timed { try await service.get("\(Service.events)?wait=20", key: TestKeys.acme) }
                async let end = timed {
                    try await service.get("\(Service.sessions)/\(token)?wait=20", key: TestKeys.acme)
                }
                async let stranger = timed { try await service.get("\(Service.events)?wait=3", key: TestKeys.beta) }
                try await Task.sleep(for: .milliseconds(700))
                _ = try await service.view(token)
                let opened = try await feed
                #expect(opened.value.json["data"]?.elements?.first?["type"]?.string == "link_session.opened")
                #expect(opened.time >= .milliseconds(600) && opened.time < .milliseconds(2200), "\(opened.time)")
                try await Task.sleep(for: .milliseconds(700))
                _ = try await service.complete(token)
                let ended = try await end
                #expect(ended.value.json["status"]?.string == "completed" && ended.time < .seconds(5))
                #expect(ended.value.json["link_token"]?.string == token)
                let nothing = try await stranger
                #expect(nothing.value.json["data"]?.elements == [] && nothing.time >= .milliseconds(2900))
                let atOnce = try await timed {
                    try await service.get("\(Service.sessions)/\(token)?wait=20", key: TestKeys.acme)
                }
                #expect(atOnce.time < .seconds(1))
            }
        }

        @Test(.disabled(if: TestEnvironment.citusNodes != nil, "a cluster's events can be read a step later"))
        func `whoever waits at the replica that orders events does not wait for its next look, too`() async throws {
            try await Service.run { service in
                var (next, times) = ("evt_0", [Duration]())
                for _ in 0..<11 {
                    let token = try await service.createdToken()
                    let path = "\(Service.events)?wait=20&after=\(next)"
                    async let answer = service.get(path, key: TestKeys.acme)
                    try await Task.sleep(for: .milliseconds(.random(in: 300..<550)))
                    let opened = ContinuousClock.now
                    _ = try await service.view(token)
                    next = try #require(try await answer.json["next"]?.string)
                    times.append(.now - opened)
                }
                // Half of 100 ms until it has its position. The look would be another half of 250 ms.
                #expect(times.sorted()[5] < .milliseconds(150), "\(times)")
            }
        }

        @Test func `a session that nobody opened is waited for until its time is over`() async throws {
            try await Service.run { service in
                let token = try await service.createdToken()
                try await service.update(
                    token,
                    ["created_at": "now() - interval '599 seconds'", "expires_at": "now() + interval '1 second'"])
                let ended = try await timed {
                    try await service.get("\(Service.sessions)/\(token)?wait=4", key: TestKeys.acme)
                }
                #expect(ended.value.json["status"]?.string == "expired")
            }
        }

        @Test func `200 requests of a manufacturer wait, one more is refused, and a drain answers them all`()
            async throws
        {
            try await TestDatabase.with { database in
                try await database.addManufacturers()
                let environment = ["SHUTDOWN_DELAY_SECONDS": "0"]
                try await ServiceProcess.serving(database, environment: environment) { process in
                    let ask = { @Sendable (query: String, key: String) in
                        try await TestConnection.with(port: process.port) {
                            try await $0.send("GET", Service.events + query, headers: [("x-api-key", key)])
                        }
                    }
                    try await withThrowingTaskGroup(of: TestResponse.self) { group in
                        for _ in 0..<205 { group.addTask { try await ask("?wait=55", TestKeys.acme) } }
                        var refused = 0
                        while refused < 5, let answer = try await group.next() {
                            #expect(answer.status == 429 && answer.json["code"]?.string == "too_many_waiting")
                            refused += 1
                        }
                        #expect(try await ask("", TestKeys.acme).status == 200, "without waiting")
                        #expect(try await ask("?wait=1", TestKeys.beta).status == 200)
                        let start = ContinuousClock.now
                        process.send(SIGTERM)
                        for try await answer in group { #expect(answer.status == 200) }
                        #expect(ContinuousClock.now - start < .seconds(5))
                    }
                    #expect(try await process.waitForExit() == 0)
                }
            }
        }

        @Test func `a client that went away waits no more`() async throws {
            try await Service.run { service in
                for _ in 0..<200 {
                    _ = try await service.raw(
                        ["GET \(Service.events)?wait=55 HTTP/1.1\r\nHost: x\r\nx-api-key: \(TestKeys.acme)\r\n\r\n"],
                        within: .milliseconds(10))
                }
                try await wait(until: "all of them are gone", within: .seconds(5)) {
                    try await service.get("\(Service.events)?wait=1", key: TestKeys.acme).status == 200
                }
            }
        }
    }
}

extension Service {
    static let events = "/v2/manufacturer/events"

    /// All events of Acme's, as soon as there are so many.
    fileprivate func events(count: Int) async throws -> [JSONValue] {
        var events: [JSONValue] = []
        try await wait(until: "there are \(count) events") {
            events = try await get(Self.events, key: TestKeys.acme).json["data"]?.elements ?? []
            return events.count >= count
        }
        return events
    }
}

private func timed<Value: Sendable>(
    _ body: () async throws -> Value
) async throws -> (value: Value, time: Duration) {
    let start = ContinuousClock.now
    let value = try await body()
    return (value, .now - start)
}
