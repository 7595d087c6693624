// Least privilege: what the service's role and the operator's role may not do, tried on the database.

import Foundation
import PostgresClient
import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(1))) struct RoleTests {
        private static let denied = ["permission denied", "must be owner"]

        /// Neither role may do these.
        private static let forbiddenToBoth = [
            "ALTER TABLE link_sessions ADD x int", "ALTER TABLE manufacturers DISABLE TRIGGER ALL",
            "DROP TABLE link_session_events", "TRUNCATE link_sessions", "TRUNCATE manufacturers CASCADE",
            "CREATE TABLE mine ()", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "CREATE SCHEMA mine",
            "DELETE FROM link_sessions", "DELETE FROM link_session_events",
            "UPDATE link_session_events SET reason = NULL",
            "UPDATE link_sessions SET user_id = 'x'", "UPDATE link_sessions SET token_hash = sha256('x')",
            "DROP TABLE link_sessions_default", "DELETE FROM link_sessions_default", "SELECT * FROM sign_ins_default",
            "SELECT add_partition('link_sessions', current_date)", "DELETE FROM manufacturers",
            "SELECT * FROM other.secrets", "INSERT INTO schema_migrations VALUES ('schema', 99, 'x', '')",
            "DELETE FROM operator_actions", "UPDATE operator_actions SET login = 'other'", "TRUNCATE operator_actions",
            "INSERT INTO operator_actions (action) VALUES ('x')", "SELECT record_change()",
            "ALTER TABLE manufacturers DISABLE TRIGGER manufacturers_record_change",
            "DELETE FROM deployment_migrations", "UPDATE deployment_migrations SET checksum = ''",
            "INSERT INTO deployment_migrations (history, version, name, checksum, applied_at) VALUES ('a', 1, 'x', '', now())",
            "UPDATE control_plane_version SET version = 1", "CREATE ROLE mine", "SET ROLE postgres",
            "CREATE OR REPLACE FUNCTION ensure(condition boolean, otherwise text) RETURNS void LANGUAGE sql AS ''",
        ]

        @Test func `the service's role may neither change the schema nor read or write more than it needs`()
            async throws
        {
            try await TestDatabase.with { database in
                try await Self.expectForbidden(
                    in: database, as: database.serviceURL,
                    Self.forbiddenToBoth + [
                        "SELECT label FROM api_keys", "SELECT * FROM api_keys", "UPDATE api_keys SET revoked_at = NULL",
                        "UPDATE api_keys SET key_hash = sha256('x')", "UPDATE manufacturers SET enabled = true",
                        "INSERT INTO manufacturers (name) VALUES ('x')",
                        "INSERT INTO api_keys (manufacturer_id, key_hash, label) VALUES (1, sha256('x'), 'x')",
                        "SELECT * FROM erase_user(1, 'x', NULL)", "SELECT * FROM erase_supplier_user('x', 'x', NULL)",
                        "SELECT * FROM erasures", "SELECT * FROM operator_actions",
                        "SELECT record_operator_action('x', 1, NULL)", "DELETE FROM sign_ins", "DELETE FROM nox_users",
                        "INSERT INTO suppliers (slug) VALUES ('x')",
                        "UPDATE suppliers SET issuer = 'https://evil.example'",
                        "UPDATE sign_ins SET state_hash = sha256('x')", "UPDATE nox_users SET id = gen_random_uuid()",
                        "INSERT INTO nox_users (id, manufacturer_id, user_id) VALUES (gen_random_uuid(), 1, 'x')",
                    ])
            }
        }

        @Test func `a deployment's migrations may change rows of manufacturers and keys, and no tables`() async throws {
            try await TestDatabase.with { database in
                try await Self.expectForbidden(
                    in: database, as: database.operatorURL,
                    Self.forbiddenToBoth + [
                        "INSERT INTO link_sessions SELECT * FROM link_sessions",
                        "UPDATE link_sessions SET completed_at = now()", "DELETE FROM suppliers",
                        "UPDATE sign_ins SET outcome = 'signed_in'", "UPDATE nox_users SET user_id = 'x'",
                        "SELECT * FROM maintain_partitions(1)",
                    ])
                let asOperator = TestDatabase(name: database.name, url: database.operatorURL)
                try await asOperator.execute(
                    """
                    INSERT INTO manufacturers (name) VALUES ('x');
                    INSERT INTO api_keys (manufacturer_id, key_hash, label) SELECT id, sha256('x'), 'x' FROM manufacturers;
                    UPDATE manufacturers SET enabled = false; UPDATE api_keys SET revoked_at = now();
                    DELETE FROM api_keys;
                    """)
                #expect(try await database.count("SELECT version FROM control_plane_version") == 6)
            }
        }

        @Test func `migrate says what to do where the roles are missing, and create-roles can be repeated`()
            async throws
        {
            try await PostgresServer.with { server in
                func run(_ arguments: String...) async throws -> Command {
                    try await Command.run(arguments, environment: ["DATABASE_URL": server.url], within: 30)
                }
                let early = try await run("migrate")
                #expect(early.status == 1 && early.errorLines.count == 1, "\(early.summary)")
                #expect(early.errors.contains("run link-session-service admin create-roles"), "\(early.summary)")
                let first = try await run("admin", "create-roles")
                #expect(
                    first.output == "created  link_session_service\ncreated  link_session_operator\n",
                    "\(first.summary)")
                let second = try await run("admin", "create-roles")
                #expect(
                    second.output == "exists   link_session_service\nexists   link_session_operator\n",
                    "\(second.summary)")
                let migrated = try await run("migrate")
                #expect(migrated.status == 0, "\(migrated.summary)")
                let database = TestDatabase(name: "postgres", url: server.url)
                // Rights on a database are not copied with it from a template.
                for role in ["link_session_service", "link_session_operator"] {
                    #expect(
                        try await database.value("SELECT has_database_privilege('\(role)', 'postgres', 'TEMPORARY')")
                            == "false")
                }
                #expect(
                    try await database.rows(
                        "SELECT rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname LIKE 'link_session_%'"
                    ) == [["false"], ["false"]])
                for (change, back) in [
                    ("ALTER ROLE link_session_service CREATEROLE", "ALTER ROLE link_session_service NOCREATEROLE"),
                    ("ALTER ROLE link_session_service LOGIN", "ALTER ROLE link_session_service NOLOGIN"),
                    (
                        "GRANT pg_read_all_data TO link_session_service",
                        "REVOKE pg_read_all_data FROM link_session_service"
                    ),
                ] {
                    try await database.execute(change)
                    let refused = try await run("admin", "create-roles")
                    #expect(refused.status == 1 && refused.errorLines.count == 1, "\(change): \(refused.summary)")
                    #expect(refused.errors.contains("may do more than it should"), "\(change): \(refused.summary)")
                    try await database.execute(back)
                }
            }
        }

        @Test func `a schema in which everybody may create objects is refused`() async throws {
            try await PostgresServer.with { server in
                let cluster = TestDatabase(name: "postgres", url: server.url)
                try await cluster.execute("CREATE ROLE owner LOGIN CREATEROLE")
                try await cluster.execute("CREATE DATABASE owned OWNER owner")
                // As it is before PostgreSQL 15, where the database's owner does not own its schema.
                try await TestDatabase(name: "owned", url: server.url.replacing("/postgres?", with: "/owned?")).execute(
                    "ALTER SCHEMA public OWNER TO postgres; GRANT ALL ON SCHEMA public TO PUBLIC")
                let url = server.url.replacing("postgres@/postgres", with: "owner@/owned")
                let roles = try await Command.run(["admin", "create-roles"], environment: ["DATABASE_URL": url])
                #expect(roles.status == 0, "\(roles.summary)")
                let run = try await Command.run(["migrate"], environment: ["DATABASE_URL": url], within: 30)
                #expect(run.status == 1 && run.errorLines.count == 1, "\(run.summary)")
                #expect(run.errors.contains("everybody may create objects in this schema"), "\(run.summary)")
            }
        }

        private static func expectForbidden(in database: TestDatabase, as url: String, _ statements: [String])
            async throws
        {
            try await database.execute("CREATE SCHEMA other; CREATE TABLE other.secrets (a int)")
            let restricted = TestDatabase(name: database.name, url: url)
            for sql in statements {
                await #expect("\(sql)") {
                    try await restricted.execute("BEGIN; \(sql); ROLLBACK")
                } throws: { error in
                    let message = (error as? ConnectionError)?.message ?? ""
                    return denied.contains { message.contains($0) }
                }
            }
        }
    }
}
