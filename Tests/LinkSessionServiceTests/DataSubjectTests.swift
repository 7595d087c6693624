// What is exported of a user, what an erasure leaves, and how it is repeated after a restore.

import Foundation
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct DataSubjectTests {
        private static let secrets = ["ERASURE_DIGEST_SECRETS": secretOf(7)]

        private func json(_ run: Command) throws -> [String: Any] {
            try #require(
                JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any], "\(run.summary)")
        }

        /// Sessions of two users, one of whom linked an account at Green Grid by the API, and signed in at the sandbox
        /// without confirming; the NOX user's id.
        private func fill(_ service: Service) async throws -> String {
            let linked = try await service.createdToken(user: "zq7user-1")
            let result = try await service.result(linked, as: "zq7user-at-green-grid")
            let begun = try await service.createdToken(user: "zq7user-1")
            _ = try await service.sandboxSignIn(begun, TestBrowser(service))
            let elsewhere = try await service.createdToken(
                user: "zq7user-1", redirect: "https://beta.example/", key: TestKeys.beta)
            _ = try await service.result(elsewhere, as: "zq7user-at-green-grid")
            _ = try await service.result(try await service.createdToken(user: "zq7user-2"), as: "zq7user-of-another")
            return try #require(result.members["nox_user_id"]?.string)
        }

        private func with(_ body: (Deployment, String) async throws -> Void) async throws {
            try await Deployment.with { deployment in
                try await deployment.database.addManufacturers()
                try await Service.withGreenGrid(deployment.database)
                let noxUser = try await Service.serving(deployment.database) { try await fill($0) }
                try await body(deployment, noxUser)
            }
        }

        @Test func `an export has all that is known of a user, and nothing of others`() async throws {
            try await with { deployment, noxUser in
                let run = try await deployment.admin(
                    "export-user", "--manufacturer", "Acme Manufacturing", input: "zq7user-1\n")
                #expect(run.status == 0, "\(run.summary)")
                let export = try json(run)
                let sessions = try #require(export["link_sessions"] as? [[String: Any]])
                #expect(sessions.map { $0["status"] as? String } == ["completed", "open"])
                #expect(sessions[0]["supplier_user_id"] as? String == "zq7user-at-green-grid")
                #expect(sessions[0]["nox_user_id"] as? String == noxUser)
                #expect(sessions[0]["manufacturer"] as? String == "Acme Manufacturing")
                #expect((sessions[0]["events"] as? [[String: Any]])?.map { $0["event"] as? String } == ["completed"])
                let signIns = try #require(export["sign_ins"] as? [[String: Any]])
                #expect(signIns.map { $0["supplier"] as? String } == ["sandbox"])
                #expect(signIns[0]["outcome"] as? String == "signed_in" && signIns[0]["account"] is String)
                #expect(signIns[0]["link_session"] as? String == sessions[1]["id"] as? String)
                let users = try #require(export["nox_users"] as? [[String: Any]])
                #expect(users.map { $0["nox_user_id"] as? String } == [noxUser])
                #expect(!run.output.contains("zq7user-2") && !run.output.contains("Beta"))

                let account = try await deployment.admin(
                    "export-user", "--supplier", "green-grid", input: "zq7user-at-green-grid")
                #expect((try json(account)["link_sessions"] as? [[String: Any]])?.count == 2, "\(account.summary)")
                #expect((try json(account)["nox_users"] as? [[String: Any]])?.count == 2)
                for arguments in [["--manufacturer", "Acme Manufacturing"], ["--supplier", "green-grid"]] {
                    let nobody = try await deployment.admin(["export-user"] + arguments, input: "nobody")
                    #expect(nobody.status == 3 && nobody.output.isEmpty, "\(nobody.summary)")
                    #expect(nobody.errors == "link-session-service: nothing is known of this user\n")
                }
                for arguments in [[], ["--manufacturer", "a", "--supplier", "b"], ["--supplier", "A B"]] {
                    let run = try await deployment.admin(["export-user"] + arguments, input: "u")
                    #expect(run.status == 64, "\(arguments): \(run.summary)")
                }
            }
        }

        @Test func `an account's erasure takes its sessions at every manufacturer, and tells the NOX users`()
            async throws
        {
            try await with { deployment, noxUser in
                let run = try await deployment.admin(
                    "erase-user", "--supplier", "green-grid", "--json", environment: Self.secrets,
                    input: "zq7user-at-green-grid\n")
                #expect(run.status == 0, "\(run.summary)")
                let receipt = try json(run)
                #expect(receipt["link_sessions"] as? Int == 2 && receipt["supplier"] as? String == "green-grid")
                let users = try #require(receipt["nox_user_ids"] as? [String])
                #expect(users.count == 2 && users.contains(noxUser))
                let dump = try await deployment.dump()
                #expect(!dump.contains("zq7user-at-green-grid") && dump.contains("zq7user-of-another"))
                // An open session of the user is not the account's; it may be completed with another one.
                #expect(try await deployment.database.count("SELECT count(*) FROM link_sessions") == 2)
                #expect(try await deployment.database.count("SELECT count(*) FROM nox_users") == 2)

                let again = try await deployment.admin(
                    "erase-user", "--supplier", "green-grid", environment: Self.secrets, input: "zq7user-at-green-grid")
                #expect(again.status == 3 && again.output.contains("link sessions        0"), "\(again.summary)")
                #expect(again.errors == "link-session-service: nothing is known of this user\n")
            }
        }

        @Test func `what a restore brought back is erased again, by kept digests and by those of receipts`()
            async throws
        {
            try await with { deployment, noxUser in
                let backup = try await deployment.database.rows("SELECT * FROM link_sessions ORDER BY id")
                try await deployment.database.execute(
                    """
                    CREATE TABLE backup_sessions AS SELECT * FROM link_sessions;
                    CREATE TABLE backup_users AS SELECT * FROM nox_users
                    """)
                let user = try await deployment.admin(
                    "erase-user", "--manufacturer", "Acme Manufacturing", "--json", environment: Self.secrets,
                    input: "zq7user-1")
                #expect(try json(user)["nox_user_ids"] as? [String] == [noxUser], "\(user.summary)")
                #expect(try json(user)["sign_ins"] as? Int == 1)
                let account = try await deployment.admin(
                    "erase-user", "--supplier", "green-grid", "--json", environment: Self.secrets,
                    input: "zq7user-of-another")
                let digest = try #require(try json(account)["digest"] as? String)
                #expect(try await deployment.database.count("SELECT count(*) FROM erasures") == 2)

                // A restore that knows of the first erasure only.
                try await deployment.database.execute(
                    """
                    TRUNCATE link_sessions, link_session_events, sign_ins, nox_users;
                    INSERT INTO link_sessions SELECT * FROM backup_sessions;
                    INSERT INTO nox_users SELECT * FROM backup_users;
                    DELETE FROM erasures WHERE digest = '\\x\(digest)'
                    """)
                #expect(try await deployment.database.rows("SELECT * FROM link_sessions ORDER BY id") == backup)
                let first = try await deployment.admin("erase-again", environment: Self.secrets)
                #expect(first.status == 0 && first.output.contains("found and erased again 1\n"), "\(first.summary)")
                #expect(try await deployment.database.count("SELECT count(*) FROM link_sessions") == 2)
                let other = ["ERASURE_DIGEST_SECRETS": secretOf(8)]
                let none = try await deployment.admin("erase-again", environment: other, input: digest)
                #expect(none.output == "looked for 2, found and erased again 0\n", "\(none.summary)")
                // After a rotation the old secret still finds what it made.
                let rotated = ["ERASURE_DIGEST_SECRETS": "\(secretOf(8)),\(secretOf(7))"]
                let second = try await deployment.admin(
                    "erase-again", "--json", environment: rotated, input: digest + "\n")
                let receipts = try #require(try json(second)["erased"] as? [[String: Any]])
                #expect(receipts.map { $0["digest"] as? String } == [digest], "\(second.summary)")
                #expect(try await deployment.database.rows("SELECT user_id FROM link_sessions") == [["zq7user-1"]])
                #expect(try await deployment.database.count("SELECT count(*) FROM erasures") == 2)
                let wrong = try await deployment.admin("erase-again", environment: Self.secrets, input: "zq7\n")
                #expect(wrong.status == 64 && !wrong.errors.contains("zq7"), "\(wrong.summary)")
            }
        }

        @Test func `production erases nobody without a secret for the digests`() async throws {
            try await with { deployment, _ in
                let production = ["LINK_SESSION_ENV": "production", "DATABASE_URL": "postgres:///none?host=/nowhere"]
                for arguments in [["erase-user", "--manufacturer", "Acme Manufacturing"], ["erase-again"]] {
                    let run = try await deployment.admin(arguments, environment: production, input: "zq7user-1")
                    #expect(run.status == 1 && run.errorLines.count == 1, "\(run.summary)")
                    #expect(run.errors.contains("ERASURE_DIGEST_SECRETS expects secrets"), "\(run.summary)")
                }
                let local = try await deployment.admin("erase-again")
                #expect(local.status == 1, "\(local.summary)")
                #expect(local.errors.contains("ERASURE_DIGEST_SECRETS expects"), "\(local.summary)")
            }
        }
    }
}
