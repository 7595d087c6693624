// What is forgotten of a user's links: on request, and when it is old.

import Foundation
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite struct ForgettingTests {
        /// A session that a browser completed at the sandbox, and one that the API completed.
        private func link(_ service: Service, user: String) async throws -> [(token: String, noxUser: String)] {
            let (byBrowser, browser) = (try await service.createdToken(user: user), TestBrowser(service))
            let done = try await browser.post(try await service.sandboxSignIn(byBrowser, browser))
            let byAPI = try await service.createdToken(user: user)
            let results = [ReturnedResult(done.goTo), try await service.result(byAPI, as: "zq7user-at-the-supplier")]
            return try zip([byBrowser, byAPI], results).map { token, result in
                (token, try #require(result?.members["nox_user_id"]?.string))
            }
        }

        private func counts(_ database: TestDatabase) async throws -> [Int] {
            var counts: [Int] = []
            for table in ["link_sessions", "nox_users", "sign_ins"] {
                counts.append(try await database.count("SELECT count(*) FROM \(table)"))
            }
            return counts
        }

        @Test func `an erasure forgets a user's NOX id, sign-ins and accounts, and nobody else's`() async throws {
            try await Deployment.with { deployment in
                try await deployment.database.addManufacturers()
                try await Service.withGreenGrid(deployment.database)
                try await Service.serving(deployment.database) { service in
                    let erased = try await link(service, user: "zq7user-1")
                    let kept = try await link(service, user: "zq7user-2")
                    let elsewhere = try await service.createdToken(
                        user: "zq7user-1", redirect: "https://beta.example/", key: TestKeys.beta)
                    let beta = try await service.result(elsewhere, as: "s-1").members["nox_user_id"]
                    #expect(try await counts(service.database) == [5, 3, 2])
                    #expect(Set(erased.map(\.noxUser)).count == 1)

                    let run = try await deployment.admin(
                        "erase-user", "--manufacturer", "Acme Manufacturing", input: "zq7user-1\n")
                    #expect(run.status == 0, "\(run.summary)")
                    #expect(try await counts(service.database) == [3, 2, 1])
                    let dump = try await deployment.dump()
                    #expect(!dump.contains(erased[0].noxUser))
                    for (token, _) in erased {
                        #expect(!dump.contains(TestKeys.digest(token)))
                        #expect(try await service.find(token).status == 404)
                        let page = try await TestBrowser(service).get("/ui?token=\(token)")
                        #expect((page.status, page.name) == (404, "unknown"))
                    }
                    #expect(dump.contains(kept[0].noxUser))
                    // A new session of the user begins anew; those of others go on.
                    let (later, still) = (
                        try await link(service, user: "zq7user-1"), try await link(service, user: "zq7user-2")
                    )
                    #expect(later[0].noxUser == later[1].noxUser && later[0].noxUser != erased[0].noxUser)
                    #expect(still.map(\.noxUser) == kept.map(\.noxUser))
                    let same = try await service.result(elsewhere, as: "s-1").members["nox_user_id"]
                    #expect(same == beta, "the user of the same id at another manufacturer is another")
                }
            }
        }

        @Test func `purge deletes the sign-ins of the sessions that it deletes, and no others`() async throws {
            try await Service.run(prepare: Service.withGreenGrid) { service in
                let old = try await link(service, user: "zq7user-1")
                let begun = try await service.createdToken(user: "zq7user-1")
                _ = try await service.sandboxSignIn(begun, TestBrowser(service))
                let young = try await link(service, user: "zq7user-1")
                #expect(try await counts(service.database) == [5, 1, 3])
                // As if they had been made nine days ago.
                for token in old.map(\.token) + [begun] {
                    for (table, column) in [
                        ("link_sessions", "id"), ("link_session_events", "session_id"), ("sign_ins", "session_id"),
                    ] {
                        try await service.database.execute(
                            """
                            UPDATE \(table) SET \(column) = (left(first_id_at(now() - interval '9 days')::text, 13)
                                || right(\(column)::text, 23))::uuid WHERE \(column) = '\(sessionID(of: token))'
                            """)
                    }
                }
                let run = try await Command.run(
                    ["purge"], environment: ["DATABASE_URL": service.database.serviceURL, "RETENTION_DAYS": "7"],
                    within: 30)
                #expect(run.status == 0 && run.output == "3 deleted\n", "\(run.summary)")
                #expect(try await counts(service.database) == [2, 1, 1])
                #expect(
                    try await service.database.rows("SELECT session_id FROM sign_ins")
                        == [[sessionID(of: young[0].token)]])
                #expect(
                    try await service.database.count(
                        "SELECT count(*) FROM link_session_events WHERE session_id NOT IN (SELECT id FROM link_sessions)"
                    ) == 0)
                // The user's id outlives the sessions: the app has it.
                #expect(try await link(service, user: "zq7user-1")[0].noxUser == old[0].noxUser)
            }
        }
    }
}
