// What the admin commands tell of manufacturers and users, and what an erasure leaves.

import Foundation
import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct AdminReportTests {
        @Test func `the list shows manufacturers, redirect URLs and keys to people and to programs`() async throws {
            try await Deployment.withAcme { deployment, key in
                let ended = try await deployment.key("add-key", "Acme", "--label", "old", "--apply")
                #expect(try await deployment.admin("revoke-key", "Acme", "--label", "old", "--apply").status == 0)
                #expect(
                    try await deployment.admin("add-manufacturer", "--name", "Wild", "--unrestricted", "--apply").status
                        == 0)
                #expect(try await deployment.admin("disable", "Wild", "--apply").status == 0)
                let list = try await deployment.admin("list")
                #expect(list.status == 0 && list.errors.isEmpty, "\(list.summary)")
                for text in [
                    "Acme\n", "https://your-app.com/callback", "Wild (DISABLED", "UNRESTRICTED", "  no keys",
                    String(TestKeys.digest(key).prefix(12)) + "  production  usable",
                    String(TestKeys.digest(ended).prefix(12)) + "  old         revoked 20",
                ] {
                    #expect(list.output.contains(text), "\(text) in\n\(list.output)")
                }
                let json = try await deployment.admin("list", "--json")
                let parsed = try #require(
                    JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: [[String: Any]]])
                let manufacturers = try #require(parsed["manufacturers"])
                #expect(manufacturers.map { $0["name"] as? String } == ["Acme", "Wild"])
                #expect(manufacturers.map { $0["redirect_policy"] as? String } == ["registered", "unrestricted"])
                #expect(manufacturers.map { $0["enabled"] as? Bool } == [true, false])
                let keys = try #require(manufacturers.first?["keys"] as? [[String: Any]])
                try #require(keys.count == 2)
                #expect(keys.map { $0["state"] as? String } == ["usable", "revoked"])
                #expect(
                    keys.map { $0["digest_prefix"] as? String }
                        == [key, ended].map { String(TestKeys.digest($0).prefix(12)) })
                #expect(keys[0]["expires_at"] is Int && keys[0]["created_at"] is Int)
                for output in [list.output, json.output] {
                    #expect(!output.contains(key) && !output.contains(ended))
                    #expect(!output.contains(TestKeys.digest(key)))
                }
            }
        }

        @Test func `a support question is answered with the user's sessions and what happened to them`() async throws {
            try await Deployment.withAcme { deployment, key in
                try await Service.serving(deployment.database) { service in
                    let token = try #require(
                        try await service.create(Deployment.create, key: key).json["link_token"]?.string)
                    let path = "\(Service.authenticatorSessions)/\(token)"
                    func asAuthenticator(_ method: String, _ path: String, _ id: String) async throws -> Int {
                        try await service.request(
                            method, path, headers: [("x-api-key", TestKeys.authenticator), ("X-Request-Id", id)]
                        ).status
                    }
                    #expect(try await asAuthenticator("GET", path, "look-1") == 200)
                    #expect(try await asAuthenticator("GET", path, "look-2") == 200)
                    #expect(try await service.expire(token, key: key).status == 200)
                    #expect(try await asAuthenticator("POST", path + "/complete", "late-1") == 410)
                    // Sessions are in the order of their seconds.
                    try await Task.sleep(for: .milliseconds(1000))
                    let second = try #require(
                        try await service.create(Deployment.create, key: key).json["link_token"]?.string)
                    #expect(try await service.complete(second).status == 200)

                    let report = try await deployment.admin(
                        "sessions", "--manufacturer", "Acme", "--user-id", "zq7user-1")
                    #expect(report.status == 0, "\(report.summary)")
                    let words = [
                        "created", "opened", "look-1", "expired early", "  expired", "completion refused", "late-1",
                        "completed",
                    ]
                    var rest = report.output[...]
                    for word in words {
                        let range = try #require(rest.range(of: word), "\(word) in order in\n\(report.output)")
                        rest = rest[range.upperBound...]
                    }
                    #expect(!report.output.contains("look-2") && !report.output.contains(token))
                    let json = try await deployment.admin(
                        "sessions", "--manufacturer", "Acme", "--user-id", "zq7user-1", "--json")
                    let parsed = try #require(
                        JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: [[String: Any]]])
                    let sessions = try #require(parsed["link_sessions"])
                    #expect(sessions.map { $0["status"] as? String } == ["expired", "completed"])
                    let events = try #require(sessions[0]["events"] as? [[String: Any]])
                    #expect(
                        events.map { $0["event"] as? String } == ["opened", "expired_early", "completion_refused"])
                    #expect(events.map { $0["reason"] as? String } == [nil, nil, "expired"])

                    let none = try await deployment.admin("sessions", "--manufacturer", "Acme", "--user-id", "other")
                    #expect(none.output == "no link sessions\n", "\(none.summary)")
                    try await deployment.expectRefusal(
                        ["sessions", "--manufacturer", "Nobody", "--user-id", "u"],
                        "there is no manufacturer of this name")
                }
            }
        }

        @Test func `an erasure takes the user id from standard input and leaves no trace`() async throws {
            try await Deployment.withAcme { deployment, key in
                try await Service.serving(deployment.database) { service in
                    for body in [Deployment.create, Deployment.create, Deployment.create, Service.publishedRequest] {
                        let response = try await service.create(body, key: key)
                        #expect(response.status == 201)
                    }
                }
                let files = try deployment.files()
                let json = try await deployment.admin(
                    "erase-user", "--manufacturer", "Acme", "--json", input: "zq7user-1\n")
                let receipt = try #require(JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
                #expect(receipt["link_sessions"] as? Int == 3, "\(json.summary)")
                #expect(receipt["manufacturer"] as? String == "Acme")
                #expect(abs((receipt["erased_at"] as? Double ?? 0) - Date().timeIntervalSince1970) < 60)
                let again = try await deployment.admin("erase-user", "--manufacturer", "Acme", input: "zq7user-1\r\n")
                #expect(again.status == 3 && again.output.contains("link sessions        0"), "\(again.summary)")
                #expect(try deployment.files() == files, "an erasure writes no migration")
                #expect(try await deployment.dump().contains("zq7user-1") == false)
                #expect(try await deployment.database.count("SELECT count(*) FROM link_sessions") == 1)
                for (input, code) in [
                    ("", 64), ("\n", 64), (String(repeating: "x", count: 257), 64),
                    (String(repeating: "x", count: 5000), 64),
                ] {
                    let run = try await deployment.admin("erase-user", "--manufacturer", "Acme", input: input)
                    #expect(run.status == Int32(code) && run.errorLines.count == 1, "\(run.summary)")
                    #expect(run.errors.hasPrefix("link-session-service: standard input expects"), "\(run.summary)")
                }
                try await deployment.expectRefusal(
                    ["erase-user", "--manufacturer", "Nobody"], "there is no manufacturer of this name", input: "u")
            }
        }
    }
}
