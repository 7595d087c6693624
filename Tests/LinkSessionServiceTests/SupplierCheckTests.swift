// What a supplier's provider is asked before users meet it, and how a supplier is changed.

import Foundation
import Synchronization
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct SupplierCheckTests {
        private func add(_ provider: ScriptedProvider, issuer: String? = nil) -> [String] {
            [
                "add-supplier", "mock-energy", "--name", "Mock Energy", "--issuer", issuer ?? provider.issuer,
                "--client-id", "client-1", "--client-secret-name", "SUPPLIER_MOCK_SECRET", "--apply",
            ]
        }

        // MARK: Before it is applied

        @Test func `a supplier whose provider is not as it says is refused with what differs, and leaves no file`()
            async throws
        {
            try await Deployment.with { deployment in
                try await ScriptedProvider.with { provider in
                    let issuer = provider.issuer
                    let cases: [(String, (inout ScriptedProvider.Script) -> Void, String)] = [
                        (
                            "a slash too few", { $0.metadata = ["issuer": issuer + "/"] },
                            "issuer: the metadata say \(issuer)/, the supplier has \(issuer): a / at its end is missing here"
                        ),
                        (
                            "another case", { $0.metadata = ["issuer": issuer.uppercased()] },
                            "differ in upper and lower case"
                        ),
                        ("another issuer", { $0.metadata = ["issuer": "https://other.example"] }, "byte for byte"),
                        ("many tenants", { $0.metadata = ["issuer": "https://x.example/{tenantid}"] }, "many tenants"),
                        (
                            "a terminal's codes", { $0.metadata = ["issuer": "https://x.example/\u{1B}[2J"] },
                            "https://x.example/\\u{1B}[2J"
                        ),
                        (
                            "an endpoint without encryption",
                            { $0.metadata = ["token_endpoint": "http://login.example/token"] },
                            "token_endpoint: http://login.example/token is no https URL"
                        ),
                        (
                            "no code flow", { $0.metadata = ["response_types_supported": ["id_token"]] },
                            "response type code"
                        ),
                        (
                            "no keys",
                            {
                                $0.published = []; $0.oddKeys = "null"
                            }, "keys: none that could verify"
                        ),
                        ("keys that are down", { $0.answers["/keys"] = (503, [], "") }, "/keys: status 503"),
                        (
                            "no metadata", { $0.answers["/.well-known/openid-configuration"] = (404, [], "{}") },
                            "metadata: \(issuer)/.well-known/openid-configuration: status 404"
                        ),
                        (
                            "no JSON", { $0.answers["/.well-known/openid-configuration"] = (200, [], "<html>") },
                            "openid-configuration: what it publishes cannot be read"
                        ),
                    ]
                    for (what, script, sentence) in cases {
                        provider.script.withLock {
                            $0 = ScriptedProvider.Script()
                            script(&$0)
                        }
                        let run = try await deployment.admin(add(provider))
                        #expect(run.status == 1 && run.output.isEmpty, "\(what): \(run.summary)")
                        #expect(run.errors.contains("the provider is not in order: "), "\(what): \(run.summary)")
                        #expect(run.errors.contains(sentence), "\(what): \(run.summary)")
                        #expect(run.errors.contains("nothing was changed (--unchecked"), "\(what): \(run.summary)")
                        #expect(!run.errors.contains("\u{1B}"), "\(what)")
                        #expect(try deployment.files().isEmpty, "\(what)")
                    }
                    #expect(provider.count("/token") == 0, "nothing is sent there")
                    let unchecked = try await deployment.admin(add(provider) + ["--unchecked"])
                    #expect(unchecked.status == 0, "\(unchecked.summary)")
                }
            }
        }

        @Test func `the issuer's slash counts the other way round, and a provider in order is added`() async throws {
            try await Deployment.with { deployment in
                try await ScriptedProvider.with { provider in
                    let refused = try await deployment.admin(add(provider, issuer: provider.issuer + "/"))
                    #expect(refused.status == 1, "\(refused.summary)")
                    #expect(refused.errors.contains("the / at its end is too much here"), "\(refused.summary)")
                    let added = try await deployment.admin(add(provider))
                    #expect(added.status == 0, "\(added.summary)")
                    #expect(added.errors.contains("warning: PKCE: "), "\(added.summary)")
                    #expect(try deployment.files().count == 1)
                }
            }
        }

        @Test func `without apply nobody is asked`() async throws {
            try await Deployment.with { deployment in
                try await ScriptedProvider.with { provider in
                    provider.script.withLock { $0.metadata = ["issuer": "https://other.example"] }
                    let run = try await deployment.admin(add(provider).dropLast())
                    #expect(run.status == 0, "\(run.summary)")
                    #expect(provider.requests.withLock { $0.isEmpty })
                }
            }
        }

        // MARK: At any time

        @Test func `a check says what is in order, what is doubtful and what is not`() async throws {
            try await Deployment.with { deployment in
                try await ScriptedProvider.with { provider in
                    try await deployment.database.addSupplier(issuer: provider.issuer)
                    let environment = ["SUPPLIER_MOCK_SECRET": "zq7secret"]
                    provider.script.withLock {
                        $0.metadata = [
                            "scopes_supported": ["openid", "email"], "code_challenge_methods_supported": ["S256"],
                            "response_types_supported": ["code"],
                        ]
                    }
                    let good = try await deployment.admin("check-supplier", "mock-energy", environment: environment)
                    #expect(good.status == 0 && good.errors.isEmpty, "\(good.summary)")
                    let subjects = good.output.split(separator: "\n").map { $0.split(separator: " ").prefix(2) }
                    #expect(subjects.allSatisfy { $0.first == "ok" }, "\(good.summary)")
                    #expect(
                        Set(subjects.map { $0.last ?? "" }).isSuperset(of: [
                            "metadata", "issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "scopes",
                            "PKCE", "keys", "secret", "enabled",
                        ]), "\(good.summary)")
                    #expect(!good.output.contains("zq7secret"))

                    provider.script.withLock {
                        $0.metadata = ["scopes_supported": ["openid"], "code_challenge_methods_supported": ["plain"]]
                    }
                    try await deployment.database.execute("UPDATE suppliers SET enabled = false")
                    let doubtful = try await deployment.admin("check-supplier", "mock-energy")
                    #expect(doubtful.status == 0, "\(doubtful.summary)")
                    for text in [
                        "do not list email", "other methods than S256", "is not set in the environment of this command",
                        "no: nobody can sign in",
                    ] {
                        let line = doubtful.output.split(separator: "\n").first { $0.contains(text) } ?? ""
                        #expect(line.contains("warning"), "\(text): \(doubtful.summary)")
                    }

                    provider.script.withLock { $0.metadata = ["issuer": provider.issuer + "/"] }
                    let bad = try await deployment.admin("check-supplier", "mock-energy")
                    #expect(bad.status == 3 && bad.errors.contains("mock-energy is not in order"), "\(bad.summary)")
                    #expect(bad.output.contains("problem") && bad.output.contains("a / at its end"), "\(bad.summary)")

                    let unknown = try await deployment.admin("check-supplier", "no-grid")
                    #expect(unknown.status == 1 && unknown.errors.contains("there is no supplier of this slug"))
                    #expect(try await deployment.admin("check-supplier", "No Grid").status == 64)
                    #expect(try deployment.files().isEmpty)
                }
            }
        }

        // MARK: Changes

        @Test func `a supplier is edited by a migration, and what is not named stays`() async throws {
            try await Deployment.with { deployment in
                try await ScriptedProvider.with { provider in
                    try await deployment.database.addSupplier(issuer: provider.issuer)
                    let columns = """
                        SELECT name, issuer, client_id, client_secret_name, array_to_string(scopes, ' '),
                               client_authentication, discovery_url, response_mode, prompt, max_age FROM suppliers
                        """
                    let renamed = try await deployment.admin(
                        "edit-supplier", "mock-energy", "--name", "O'Mock -- $$", "--prompt", "login", "--max-age",
                        "60",
                        "--response-mode", "form_post", "--scopes", "email", "--apply")
                    #expect(renamed.status == 0, "\(renamed.summary)")
                    #expect(renamed.output == "\(deployment.path)/0001_edit_supplier.sql\n")
                    #expect(
                        try await deployment.database.rows(columns) == [
                            [
                                "O'Mock -- $$", provider.issuer, "client-1", "SUPPLIER_MOCK_SECRET", "openid email",
                                nil,
                                nil, "form_post", "login", "60",
                            ]
                        ])
                    let back = try await deployment.admin(
                        "edit-supplier", "mock-energy", "--prompt", "default", "--max-age", "default",
                        "--response-mode",
                        "default", "--client-authentication", "client_secret_post", "--discovery-url",
                        "\(provider.issuer)/.well-known/openid-configuration", "--client-id", "nox",
                        "--client-secret-name",
                        "SUPPLIER_OTHER", "--apply")
                    #expect(back.status == 0, "\(back.summary)")
                    #expect(
                        try await deployment.database.rows(columns) == [
                            [
                                "O'Mock -- $$", provider.issuer, "nox", "SUPPLIER_OTHER", "openid email",
                                "client_secret_post", "\(provider.issuer)/.well-known/openid-configuration", nil, nil,
                                nil,
                            ]
                        ])
                    let found = try await deployment.admin(
                        "edit-supplier", "mock-energy", "--discovery-url", "default", "--apply")
                    #expect(found.status == 0, "\(found.summary)")
                    #expect(try await deployment.database.rows("SELECT discovery_url FROM suppliers") == [[nil]])
                    // The same again changes nothing.
                    try await deployment.expectRefusal(
                        ["edit-supplier", "mock-energy", "--client-id", "nox", "--apply"],
                        "there is no supplier of this slug that this would change")
                    try await deployment.expectRefusal(
                        ["edit-supplier", "no-grid", "--name", "x", "--apply"], "there is no supplier of this slug")
                    try await deployment.expectRefusal(["edit-supplier", "mock-energy"], "nothing to change")
                    try await deployment.expectRefusal(
                        ["edit-supplier", "mock-energy", "--issuer", provider.issuer + "/", "--apply"],
                        "the / at its end is too much here")
                    let wrong = try await deployment.admin("edit-supplier", "mock-energy", "--prompt", "none")
                    #expect(wrong.status == 64 && wrong.errors.contains("select_account, default"), "\(wrong.summary)")
                    // A name is no business of the provider's.
                    provider.script.withLock { $0.answers["/keys"] = (503, [], "") }
                    #expect(
                        try await deployment.admin("edit-supplier", "mock-energy", "--name", "Mock", "--apply").status
                            == 0)
                    let file = try await deployment.admin("edit-supplier", "mock-energy", "--client-id", "other")
                    #expect(file.status == 0, "\(file.summary)")
                    #expect(try deployment.files().keys.sorted().last == "0005_edit_supplier.sql")
                }
            }
        }

        // MARK: Redirect URLs

        @Test func `a redirect URL is allowed, or the command says which component differs`() async throws {
            try await Deployment.withAcme { deployment, _ in
                let path = "/callback/?user=zq7"
                for (url, status, sentence) in [
                    ("https://your-app.com/callback?x=1", 0, "allowed: it is registered"),
                    ("https://your-app.com\(path)", 3, "not allowed: path: /callback/ is not /callback"),
                    ("https://www.your-app.com/callback", 3, "not allowed: host: www.your-app.com is not your-app.com"),
                    ("http://your-app.com/callback", 3, "not allowed: redirect_url must use https"),
                ] as [(String, Int32, String)] {
                    let run = try await deployment.admin("check-redirect", "Acme", url)
                    #expect(run.status == status, "\(url): \(run.summary)")
                    #expect((run.output + run.errors).contains(sentence), "\(url): \(run.summary)")
                }
                let unknown = try await deployment.admin("check-redirect", "Nobody", "https://a.example/")
                #expect(unknown.status == 1 && unknown.errors.contains("there is no manufacturer of this name"))
                try await deployment.database.execute("UPDATE manufacturers SET redirect_urls = '{}'")
                let none = try await deployment.admin("check-redirect", "Acme", "https://a.example/")
                #expect(none.status == 3 && none.errors.contains("none is registered"), "\(none.summary)")
                try await deployment.database.execute("UPDATE manufacturers SET redirect_policy = 'unrestricted'")
                let any = try await deployment.admin("check-redirect", "Acme", "https://a.example/")
                #expect(any.status == 0 && any.output.contains("UNRESTRICTED"), "\(any.summary)")
            }
        }
    }
}
