// listen: a manufacturer's events, forwarded in order to a receiver on the same machine, whatever is restarted.

import Foundation
import LinkSessions
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(3))) struct ListenTests {
        private let key = ["LINK_SESSION_API_KEY": TestKeys.acme]

        private func listen(
            _ url: String, to receiver: String, _ options: [String] = [], environment: [String: String] = [:]
        ) throws -> ServiceProcess {
            try ServiceProcess(
                ["listen", "--url", url, "--forward-to", receiver] + options,
                environment: key.merging(environment) { $1 }, directory: URL(filePath: "/"))
        }

        private func secret(in log: String) throws -> String {
            let line = try #require(log.split(separator: "\n").first { $0.hasPrefix("signing secret ") }, "\(log)")
            return String(try #require(line.split(separator: " ").last))
        }

        private func ended(_ process: ServiceProcess, by signal: Int32) async throws {
            process.send(signal)
            #expect(try await process.waitForExit(within: 3) == 128 + signal)
            #expect(!process.log.contains(TestKeys.acme), "the key is printed")
        }

        @Test func `events come in order and signed, and none is lost where the program is killed`() async throws {
            try await Service.runAtItsURL { service in
                try await WebhookReceiver.with { receiver in
                    try await withTemporaryDirectory { directory in
                        let state = directory.appending(path: "deep/state").path
                        let options = ["--state", state, "--after", "evt_0"]
                        try await service.completedSession()
                        let first = try listen(service.url, to: receiver.url, options)
                        try await first.waitForLog("forwarding ", within: 10)
                        for _ in 0..<3 { try await service.completedSession() }
                        let events = try await service.feed(count: 8)
                        try await wait(until: "all are there") { receiver.deliveries.count >= 8 }
                        #expect(receiver.ids == events.compactMap { $0["id"]?.string })
                        #expect(receiver.deliveries.map(\.event) == events)
                        let secret = try secret(in: first.log)
                        for delivery in receiver.deliveries { #expect(delivery.isSigned(with: secret)) }
                        try await wait(until: "all are printed") {
                            first.log.split(separator: "\n").filter { $0.contains("  204  ") }.count == 8
                        }
                        let session = try #require(events.last?["data"]?["link_session"]?["id"]?.string)
                        #expect(first.log.contains("link_session.completed       \(session)  204  "), "\(first.log)")
                        try await ended(first, by: SIGKILL)
                        let mode = try FileManager.default.attributesOfItem(atPath: state)[.posixPermissions] as? Int
                        #expect(mode == 0o600)

                        try await service.completedSession()
                        // Killed while it has more to send.
                        receiver.answers { _ in .late(.milliseconds(300)) }
                        for _ in 0..<3 { try await service.completedSession() }
                        let second = try listen(service.url, to: receiver.url, ["--state", state])
                        try await wait(until: "some are there") { receiver.deliveries.count >= 11 }
                        try await ended(second, by: SIGKILL)
                        receiver.answers { _ in .status(200) }
                        let third = try listen(service.url, to: receiver.url, ["--state", state])
                        let all = try await service.feed(count: 16).compactMap { $0["id"]?.string }
                        try await wait(until: "the rest is there") { receiver.ids.last == all.last }
                        // The one that was under way came once more.
                        let ids = receiver.ids
                        #expect(ids.count - Set(ids).count <= 1, "\(ids)")
                        var seen: Set<String> = []
                        #expect(ids.filter { seen.insert($0).inserted } == all)
                        #expect(try self.secret(in: third.log) == secret)
                        try await ended(third, by: SIGINT)
                    }
                }
            }
        }

        @Test func `a receiver that is down, then refuses, gets all in order when it is back`() async throws {
            try await Service.runAtItsURL { service in
                try await withTemporaryDirectory { directory in
                    let port = try await Service.freePort()
                    let options = ["--state", directory.appending(path: "state").path, "--after", "evt_0"]
                    let process = try listen(service.url, to: "http://localhost:\(port)/hooks", options)
                    for _ in 0..<2 { try await service.completedSession() }
                    try await process.waitForLog("nothing listens there", within: 10)
                    try await process.waitForLog("what follows waits", within: 10)
                    try await WebhookReceiver.with(port: port) { receiver in
                        receiver.answers { _ in .status(receiver.deliveries.count < 3 ? 500 : 200) }
                        let events = try await service.feed(count: 4)
                        let ids = events.compactMap { $0["id"]?.string }
                        try await wait(until: "all are there", within: .seconds(30)) {
                            receiver.ids.last == ids.last
                        }
                        #expect(receiver.ids == [ids[0], ids[0]] + ids)
                        #expect(Set(receiver.deliveries.map(\.timestamp)).count > 1, "of each try")
                    }
                    // Of many tries that fail in the same way the first is told, and how to pass over the event once.
                    for told in ["  500  ", "what follows waits"] {
                        #expect(process.log.split(separator: "\n").filter { $0.contains(told) }.count == 1, "\(told)")
                    }
                    try await ended(process, by: SIGINT)
                }
            }
        }

        @Test func `it begins at the present end, keeps its place by itself, and outlives restarts of the service`()
            async throws
        {
            try await TestDatabase.with { database in
                try await database.addManufacturers()
                let address = try await Service.addressEnvironment()
                try await WebhookReceiver.with { receiver in
                    try await withTemporaryDirectory { home in
                        let url = address["PUBLIC_BASE_URL"] ?? ""
                        let environment = ["HOME": home.path]
                        let process = try listen(url, to: receiver.url, environment: environment)
                        try await process.waitForLog("gives no answer: nothing listens there", within: 10)
                        try await Service.serving(database, environment: address) { service in
                            try await service.completedSession()
                            _ = try await service.feed(count: 2)
                            try await process.waitForLog("forwarding ", within: 15)
                            try await Task.sleep(for: .seconds(1))
                            try await service.completedSession()
                            let ids = try await service.feed(count: 4).compactMap { $0["id"]?.string }
                            try await wait(until: "the new ones are there") { receiver.ids.last == ids.last }
                        }
                        try await process.waitForLog("answers again", within: 10)
                        try await Service.serving(database, environment: address) { service in
                            try await service.completedSession()
                            let ids = try await service.feed(count: 6).compactMap { $0["id"]?.string }
                            try await wait(until: "later ones, too", within: .seconds(20)) {
                                receiver.ids.last == ids.last
                            }
                            #expect(receiver.ids == Array(ids.suffix(receiver.ids.count)) && receiver.ids.count >= 4)
                            try await ended(process, by: SIGINT)
                            let files = try FileManager.default.contentsOfDirectory(
                                atPath: home.appending(path: ".local/state/link-session-service").path)
                            #expect(files.count == 1 && files[0].hasPrefix("listen-"), "\(files)")

                            let before = receiver.ids.count
                            try await service.completedSession()
                            let again = try listen(
                                url, to: receiver.url, ["--types", "link_session.completed"],
                                environment: environment)
                            let last = try await service.feed(count: 8).last?["id"]?.string
                            try await wait(until: "what came meanwhile is there") { receiver.ids.last == last }
                            #expect(receiver.ids.count == before + 1)
                            try await ended(again, by: SIGTERM)
                        }
                    }
                }
            }
        }

        @Test func `a service that has enough or cannot answer is asked again when it says`() async throws {
            // It plays the service: what it takes are requests.
            try await WebhookReceiver.with { service in
                service.answers { _ in
                    switch service.deliveries.count {
                    case 1: .status(429, headers: [("Retry-After", "2")])
                    case 2: .status(503, headers: [("Retry-After", "1")])
                    default: .status(200, body: #"{"data":[],"has_more":false,"next":"evt_7"}"#)
                    }
                }
                try await withTemporaryDirectory { directory in
                    let state = directory.appending(path: "state")
                    let process = try listen(
                        "http://127.0.0.1:\(service.port)", to: "http://127.0.0.1:1/", ["--state", state.path])
                    try await process.waitForLog("is asked too often with this key (429)", within: 10)
                    try await process.waitForLog("cannot answer at the moment (503)", within: 10)
                    try await process.waitForLog("answers again", within: 10)
                    let times = service.deliveries.map(\.at)
                    #expect(times[1] - times[0] >= .seconds(2) && times[2] - times[1] >= .seconds(1))
                    try await wait(until: "the place is kept") {
                        try String(contentsOf: state, encoding: .utf8) == "evt_7\n"
                    }
                    let asked = service.deliveries.count
                    try await Task.sleep(for: .seconds(2))
                    #expect(service.deliveries.count - asked <= 3, "a service that holds no answer is not hurried")
                    try await ended(process, by: SIGINT)
                }
            }
        }

        @Test func `what it cannot do is said in a sentence`() async throws {
            try await Service.runAtItsURL { service in
                try await withTemporaryDirectory { directory in
                    try directory.write("evt_1x\n", to: "broken")
                    try directory.write("evt_1\n", to: "state")
                    // It is written under another name first.
                    try FileManager.default.createSymbolicLink(
                        atPath: directory.appending(path: "full.new").path, withDestinationPath: "/dev/full")
                    let state = ["--state", directory.appending(path: "state").path]
                    let live = TestKeys.manufacturer("acme", for: .live)
                    for (options, key, status, sentence) in [
                        (state, TestKeys.manufacturer("nobody"), 1, "does not accept the key"),
                        (state, live, 1, "does not accept the key"),
                        (state, "", 1, "LINK_SESSION_API_KEY expects a manufacturer's API key, whole"),
                        (state + ["--types", "x"], TestKeys.acme, 1, "types must be a comma-separated list of:"),
                        (state + ["--after", "7"], TestKeys.acme, 64, "--after expects the id of an event"),
                        (
                            state + ["--forward-to", "localhost:3000"], TestKeys.acme, 64,
                            "--forward-to expects an http or https URL"
                        ),
                        (state + ["--url", "http://auth.example"], TestKeys.acme, 64, "--url expects"),
                        (
                            ["--state", directory.appending(path: "broken").path], TestKeys.acme, 1,
                            "holds no event's id"
                        ),
                        (["--state", directory.appending(path: "full").path], TestKeys.acme, 1, "cannot be written"),
                        (["--state", "/proc/none/state"], TestKeys.acme, 1, "the state file /proc/none/state"),
                        ([], TestKeys.acme, 1, "name a file with --state"),
                    ] as [([String], String, Int32, String)] {
                        let run = try await Command.run(
                            ["listen", "--url", service.url, "--forward-to", "http://127.0.0.1:1/"] + options,
                            environment: ["LINK_SESSION_API_KEY": key], directory: URL(filePath: "/"))
                        #expect(run.status == status, "\(options): \(run.summary)")
                        #expect(run.errorLines.count == 1 && run.errors.contains(sentence), "\(run.summary)")
                        #expect(key.isEmpty || !run.summary.contains(key))
                    }
                }
            }
        }
    }
}
