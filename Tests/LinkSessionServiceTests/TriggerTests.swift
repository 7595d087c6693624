// trigger: a session's whole life in the sandbox, for every outcome, and where it refuses to play.

import Foundation
import LinkSessions
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct TriggerTests {
        private static let opened = "link_session.opened"
        private let key = ["LINK_SESSION_API_KEY": TestKeys.acme]

        private func trigger(
            _ outcome: String, at url: String, _ options: [String] = [], environment: [String: String]
        ) async throws -> Command {
            let run = try await Command.run(
                ["trigger", outcome, "--url", url, "--user-id", "\(Secrets.userMark)-1"] + options,
                environment: environment, directory: URL(filePath: "/"), within: 30)
            #expect(!run.summary.contains(TestKeys.acme), "\(outcome) prints the key")
            return run
        }

        @Test func `every outcome is played, verified and told`() async throws {
            try await Service.runAtItsURL { service in
                for (outcome, events, status) in [
                    ("completed", [Self.opened, "link_session.completed"], "completed"),
                    ("confirmed", [Self.opened, "link_session.completed", "link_session.confirmed"], "completed"),
                    ("declined", [Self.opened, "link_session.sign_in_failed  (declined)"], "open"),
                    ("supplier_failed", [Self.opened, "link_session.sign_in_failed  (supplier_failed)"], "open"),
                    ("expired", [Self.opened, "link_session.expired  (manufacturer)"], "expired"),
                    ("abandoned", [Self.opened], "open"),
                ] {
                    let run = try await trigger(outcome, at: service.url, environment: key)
                    #expect(run.status == 0 && run.errors.isEmpty, "\(outcome): \(run.summary)")
                    let lines = run.output.split(separator: "\n").map(String.init)
                    let told = lines.filter { $0.hasPrefix("event ") }
                        .map { $0.drop { $0 != "_" }.drop { $0 != " " }.trimmingCharacters(in: .whitespaces) }
                    #expect(told == events, "\(outcome): \(run.output)")
                    #expect(lines.last == "status       \(status)", "\(outcome): \(run.output)")
                    let id = try #require(lines.first?.split(separator: " ").dropFirst().first?.dropLast())
                    let session = try await service.find(String(id))
                    #expect(session.json["status"]?.string == status)
                    #expect((session.json["confirmed_at"]?.number != nil) == (outcome == "confirmed"))
                    #expect(!run.output.contains("token") && !run.output.contains("data="), "\(run.output)")
                }
            }
        }

        @Test func `the key is taken from a file or an option, too`() async throws {
            try await Service.runAtItsURL { service in
                try await withTemporaryDirectory { directory in
                    try directory.write(TestKeys.acme + "\n", to: "key")
                    let file = directory.appending(path: "key").path
                    let run = try await trigger(
                        "abandoned", at: service.url, environment: ["LINK_SESSION_API_KEY_FILE": file])
                    #expect(run.status == 0, "\(run.summary)")
                }
                let option = try await trigger(
                    "abandoned", at: service.url + "/", ["--key", TestKeys.acme], environment: [:])
                #expect(option.status == 0, "\(option.summary)")
            }
        }

        @Test func `with --wait the end by time is waited for`() async throws {
            try await Service.runAtItsURL { service in
                let run = try ServiceProcess(
                    ["trigger", "abandoned", "--url", service.url, "--wait", "--user-id", Secrets.userMark],
                    environment: key)
                try await wait(until: "there is a session") {
                    try await service.feed(count: 0).count == 1
                }
                try await run.waitForLog("waiting ", within: 10)
                // As if ten minutes were over.
                try await service.database.age(sessions: "completed_at IS NULL", by: "1 hour")
                try await service.database.execute(
                    """
                    INSERT INTO link_session_events (session_id, shard, manufacturer_id, event, request_id, position)
                    SELECT id, shard, manufacturer_id, 'expired', 'expiry', 0 FROM link_sessions
                    """)
                #expect(try await run.waitForExit() == 0, "\(run.log)")
                #expect(run.log.contains("link_session.expired  (time)\nstatus       expired\n"), "\(run.log)")
            }
        }

        @Test func `what cannot be played is refused in a sentence`() async throws {
            try await Service.runAtItsURL { service in
                let stranger = TestKeys.manufacturer("nobody")
                for (outcome, options, environment, status, sentence) in [
                    ("completed", [], [:], 1, "LINK_SESSION_API_KEY expects a manufacturer's API key, whole"),
                    (
                        "completed", ["--key", "nox_test_short"], [:], 1,
                        "--key expects a manufacturer's API key, whole"
                    ),
                    (
                        "completed", [], ["LINK_SESSION_API_KEY": TestKeys.manufacturer("acme", for: .live)], 64,
                        "trigger plays sessions in a sandbox alone, and the key is one of production"
                    ),
                    (
                        "completed", [], ["LINK_SESSION_API_KEY": stranger], 1,
                        "does not accept the key: it is another environment's, expired, revoked or unknown"
                    ),
                    (
                        "completed", ["--redirect-url", "https://your-app.com/other"], key, 1,
                        "redirect_url is not among the manufacturer's allowed redirect URLs"
                    ),
                    ("completed", ["--wait"], key, 64, "--wait expects an outcome that leaves the session open"),
                    ("completed", ["--user-id", ""], key, 64, "--user-id expects"),
                ] as [(String, [String], [String: String], Int32, String)] {
                    let run = try await trigger(outcome, at: service.url, options, environment: environment)
                    #expect(run.status == status, "\(options): \(run.summary)")
                    #expect(run.errorLines.count == 1 && run.errors.contains(sentence), "\(options): \(run.summary)")
                    #expect(!run.summary.contains(stranger) && !run.summary.contains("nox_test_short"))
                }
                #expect(try await service.database.rows("SELECT id::text FROM link_sessions").isEmpty)
            }
            for (url, status, sentence) in [
                ("http://127.0.0.1:1", 1, "http://127.0.0.1:1 gives no answer: nothing listens there"),
                ("http://auth.example", 64, "--url expects a URL of scheme and host alone"),
                ("https://auth.example/v2", 64, "--url expects a URL of scheme and host alone"),
            ] as [(String, Int32, String)] {
                let run = try await trigger("completed", at: url, environment: key)
                #expect(run.status == status && run.errors.contains(sentence), "\(url): \(run.summary)")
            }
            let unknown = try await trigger("won", at: "http://127.0.0.1:1", environment: key)
            #expect(unknown.status == 64 && unknown.errors.contains("supplier_failed"), "\(unknown.summary)")
        }

        @Test func `a service without the sandbox has nothing to play with`() async throws {
            try await Service.runAtItsURL(environment: ["SANDBOX_SIGNING_KEY": ""]) { service in
                let run = try await trigger("completed", at: service.url, environment: key)
                #expect(run.status == 1 && run.output.isEmpty, "\(run.summary)")
                #expect(run.errors.contains("has no supplier Sandbox Energy"), "\(run.summary)")
                #expect(try await service.database.rows("SELECT id::text FROM link_sessions").isEmpty)
            }
        }

        @Test func `pages that are not where link_url says are a sentence, too`() async throws {
            try await Service.runAtItsURL(environment: ["PUBLIC_BASE_URL": "http://127.0.0.1:1"]) { service in
                let run = try await trigger("completed", at: service.url, environment: key)
                #expect(run.status == 1, "\(run.summary)")
                #expect(run.errors.contains("the pages at http://127.0.0.1:1, where link_url leads"), "\(run.summary)")
            }
            try await WebhookReceiver.with { other in
                other.answers { _ in .status(200, body: "<title>Another service</title>") }
                let url = "http://127.0.0.1:\(other.port)"
                try await Service.runAtItsURL(environment: ["PUBLIC_BASE_URL": url]) { service in
                    let run = try await trigger("completed", at: service.url, environment: key)
                    #expect(run.status == 1, "\(run.summary)")
                    let sentence = "link_url led to no page of the service's (200), and not on"
                    #expect(run.errors.contains(sentence), "\(run.summary)")
                }
            }
        }

        @Test func `pages that lead elsewhere, or nowhere, are a sentence that says which`() async throws {
            func page(_ name: String, to url: String = "") -> WebhookReceiver.Answer {
                .status(200, body: #"<meta http-equiv="refresh" content="0;url=\#(url)"><main data-page="\#(name)">"#)
            }
            let signedIn = [
                page("link"), page("going", to: "/ui/sandbox?state=x"), page("sandbox"),
                .status(303, headers: [("location", "/ui/sign-ins/x")]), page("confirm"),
            ]
            try await WebhookReceiver.with { other in
                let url = "http://127.0.0.1:\(other.port)"
                try await Service.runAtItsURL(environment: ["PUBLIC_BASE_URL": url]) { service in
                    for (answers, sentence) in [
                        (
                            [page("link"), page("going", to: "/ui/another?state=x")],
                            "the choice of Sandbox Energy led to the page going (200), and not on"
                        ),
                        (
                            signedIn + [page("returning")],
                            "the confirmation led to the page returning (200), and not on"
                        ),
                    ] {
                        let left = Mutex(answers)
                        other.answers { _ in left.withLock { $0.isEmpty ? .status(500) : $0.removeFirst() } }
                        let run = try await trigger("completed", at: service.url, environment: key)
                        #expect(run.status == 1 && run.errors.contains(sentence), "\(run.summary)")
                    }
                }
            }
        }
    }
}
