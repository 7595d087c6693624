// Suppliers as an operator adds, disables and lists them.

import Foundation
import LinkSessions
import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct SupplierAdminTests {
        /// Its provider is nowhere, so that nobody can ask it.
        private static let client = [
            "--issuer", "https://login.green-grid.example/realm", "--client-id", "nox", "--client-secret-name",
            "SUPPLIER_GREEN_GRID_SECRET", "--unchecked",
        ]
        private static let add = ["add-supplier", "green-grid", "--name", "Green Grid"] + client

        // MARK: From nothing to a supplier on the page

        @Test func `a new supplier is on the page within a second, and off it when it is disabled`() async throws {
            try await Deployment.withAcme { deployment, key in
                try await Service.serving(
                    deployment.database, environment: ["SUPPLIER_GREEN_GRID_SECRET": "zq7secret"]
                ) { service in
                    let token = try await service.createdToken(key: key)
                    let browser = TestBrowser(service)
                    func offers() async throws -> Bool {
                        try await browser.get("/ui?token=\(token)").response.text.contains(
                            "<button name=\"supplier\" value=\"green-grid\">Green Grid</button>")
                    }
                    #expect(try await !offers())
                    let added = try await deployment.admin(Self.add + ["--apply"])
                    #expect(added.status == 0, "\(added.summary)")
                    #expect(added.output == "\(deployment.path)/0003_add_supplier.sql\n")
                    try await service.catchUp()
                    #expect(try await offers())
                    let disabled = try await deployment.admin("disable-supplier", "green-grid", "--apply")
                    #expect(disabled.output == "\(deployment.path)/0004_disable_supplier.sql\n", "\(disabled.summary)")
                    try await service.catchUp()
                    #expect(try await !offers())
                    let refused = try await browser.start(token, at: "green-grid")
                    #expect((refused.status, refused.name) == (409, "link"))
                    #expect(try await service.events(token) == ["sign_in_refused supplier_unknown"])
                    let enabled = try await deployment.admin("enable-supplier", "green-grid", "--apply")
                    #expect(enabled.output == "\(deployment.path)/0005_enable_supplier.sql\n", "\(enabled.summary)")
                    try await service.catchUp()
                    #expect(try await offers())
                }
            }
        }

        @Test func `a supplier whose secret is not configured is not offered, and nobody can sign in there`()
            async throws
        {
            try await Deployment.withAcme { deployment, key in
                #expect(try await deployment.admin(Self.add + ["--apply"]).status == 0)
                for (environment, isOffered) in [
                    ([:], false), (["SUPPLIER_GREEN_GRID_SECRET": ""], false),
                    (["SUPPLIER_GREEN_GRID": "zq7secret"], false), (["SUPPLIER_GREEN_GRID_SECRET": "zq7secret"], true),
                ] {
                    try await Service.serving(deployment.database, environment: environment) { service in
                        let token = try await service.createdToken(key: key)
                        let browser = TestBrowser(service)
                        let page = try await browser.get("/ui?token=\(token)").response.text
                        #expect(page.contains("green-grid") == isOffered, "\(environment.keys)")
                        let warning = "setting=SUPPLIER_GREEN_GRID_SECRET supplier=green-grid"
                        #expect(service.process.log.contains(warning) != isOffered, "\(environment.keys)")
                        #expect(page.contains("value=\"sandbox\""), "\(environment.keys)")
                        guard !isOffered else { return }
                        let refused = try await browser.start(token, at: "green-grid")
                        #expect((refused.status, refused.name) == (409, "link"), "\(environment.keys)")
                        #expect(try await service.events(token) == ["sign_in_refused supplier_unknown"])
                    }
                }
            }
        }

        @Test func `with no supplier at all the page says so and leads back`() async throws {
            try await Service.run(environment: ["SANDBOX_SIGNING_KEY": ""]) { service in
                let token = try await service.createdToken()
                let page = try await TestBrowser(service).get("/ui?token=\(token)&language=en")
                #expect((page.status, page.name) == (200, "link"))
                #expect(page.response.text.contains("No energy supplier can be chosen at the moment."))
                #expect(!page.response.text.contains("<form") && !page.response.text.contains("sandbox"))
                #expect(ReturnedResult(page.link("back"))?.members["status"] == .string("cancelled"))
                #expect(try await TestBrowser(service).start(token, at: "sandbox").status == 409)
            }
        }

        // MARK: Files

        @Test func `without apply each change is a file to review, in which hostile text is quoted`() async throws {
            try await Deployment.with { deployment in
                let name = "O'Hara $$ Energie; DROP TABLE suppliers; -- \\ é"
                let (issuer, scope) = ("https://login.example/o'hara", "it's")
                let added = try await deployment.admin(
                    [
                        "add-supplier", "o-hara", "--name", name, "--issuer", issuer, "--client-id", "nox';--\\",
                        "--client-secret-name", "SUPPLIER_O_HARA", "--scopes", "\(scope) email",
                    ], environment: ["DATABASE_URL": "", "OPERATOR_DATABASE_URL": ""])
                #expect(added.status == 0, "\(added.summary)")
                let disabled = try await deployment.admin(
                    ["disable-supplier", "o-hara"], environment: ["DATABASE_URL": "", "OPERATOR_DATABASE_URL": ""])
                #expect(disabled.status == 0, "\(disabled.summary)")
                #expect(try await deployment.database.count("SELECT count(*) FROM suppliers") == 0)
                let files = try deployment.files()
                #expect(files.keys.sorted() == ["0001_add_supplier.sql", "0002_disable_supplier.sql"])
                for (file, sql) in files {
                    let comments = sql.split(separator: "\n").filter { $0.hasPrefix("--") }
                    #expect(comments.count == 2, "\(file)")
                    #expect(comments.allSatisfy { !$0.contains("Hara") && !$0.contains("hara") }, "\(file)")
                }
                let migrated = try await deployment.migrate()
                #expect(migrated.status == 0, "\(migrated.summary)")
                #expect(
                    try await deployment.database.rows(
                        """
                        SELECT slug, name, issuer, client_id, client_secret_name, array_to_string(scopes, ' '), enabled
                        FROM suppliers
                        """)
                        == [["o-hara", name, issuer, "nox';--\\", "SUPPLIER_O_HARA", "openid \(scope) email", "false"]])
            }
        }

        @Test func `openid is among the scopes once, where the operator put it`() async throws {
            try await Deployment.with { deployment in
                for (number, (scopes, stored)) in [
                    (nil, "openid"), ("openid", "openid"), ("email openid", "email openid"),
                    ("  email   profile ", "openid email profile"), ("", "openid"),
                ].enumerated() {
                    let run = try await deployment.admin(
                        ["add-supplier", "s-\(number)", "--name", "S \(number)"] + Self.client
                            + (scopes.map { ["--scopes", $0] } ?? []) + ["--apply"])
                    #expect(run.status == 0, "\(run.summary)")
                    let value = try await deployment.database.value(
                        "SELECT array_to_string(scopes, ' ') FROM suppliers WHERE slug = 's-\(number)'")
                    #expect(value == stored, "\(scopes ?? "left out")")
                }
            }
        }

        @Test func `what only some providers need is stored as it was given, and nothing where it was not`()
            async throws
        {
            try await Deployment.with { deployment in
                let columns = "client_authentication, discovery_url, response_mode, prompt, max_age"
                #expect(try await deployment.admin(Self.add + ["--apply"]).status == 0)
                let none = try await deployment.database.rows("SELECT \(columns) FROM suppliers")
                #expect(none == [[nil, nil, nil, nil, nil]])
                let discovery = "https://login.blue.example/v2/.well-known/openid-configuration?p='b2c_1"
                let options = [
                    "--client-authentication", "client_secret_post", "--discovery-url", discovery, "--response-mode",
                    "form_post", "--prompt", "select_account", "--max-age", "0", "--apply",
                ]
                let run = try await deployment.admin(
                    ["add-supplier", "blue", "--name", "Blue"] + Self.client + options)
                #expect(run.status == 0, "\(run.summary)")
                let stored = try await deployment.database.rows("SELECT \(columns) FROM suppliers WHERE slug = 'blue'")
                #expect(stored == [["client_secret_post", discovery, "form_post", "select_account", "0"]])
            }
        }

        // MARK: Refusals

        @Test func `a wrong argument gets one line that names it, exit code 64, and no file`() async throws {
            try await Deployment.with { deployment in
                func with(_ option: String, _ value: String) -> [String] {
                    var arguments = Self.add
                    if let place = arguments.firstIndex(of: option) { arguments[place + 1] = value }
                    return arguments
                }
                let slug = "SLUG expects 1 to 40 of a-z, 0-9 and single inner hyphens"
                let issuer = "--issuer expects an https URL without query, or http on this machine"
                let secret = "--client-secret-name expects the name of a setting, SUPPLIER_ and 1 to 100"
                for (arguments, start) in [
                    (["add-supplier", "", "--name", "x"] + Self.client, slug),
                    (["add-supplier", "Green", "--name", "x"] + Self.client, slug),
                    (["add-supplier", "a--b", "--name", "x"] + Self.client, slug),
                    (["add-supplier", "a'b", "--name", "x"] + Self.client, slug),
                    (["add-supplier", String(repeating: "a", count: 41), "--name", "x"] + Self.client, slug),
                    (["add-supplier", "sandbox", "--name", "x"] + Self.client, "SLUG expects another one: sandbox"),
                    (with("--name", ""), "--name expects 1 to 200 characters"),
                    (with("--name", " x"), "--name expects text without blanks at its ends"),
                    (with("--name", "a\u{202E}b"), "--name expects text without control, bidirectional"),
                    (with("--name", String(repeating: "x", count: 201)), "--name expects"),
                    (with("--issuer", "http://login.example.com"), issuer), (with("--issuer", ""), issuer),
                    (with("--issuer", "login.example.com"), issuer),
                    (with("--issuer", "https://login.example.com?x"), issuer),
                    (with("--issuer", "https://login.example.com/#x"), issuer),
                    (with("--issuer", "https://user@login.example.com"), issuer),
                    (with("--issuer", "com.acme.app:/login"), issuer),
                    (with("--issuer", "javascript:alert(1)"), issuer),
                    (with("--client-id", ""), "--client-id expects 1 to 255 visible ASCII characters"),
                    (with("--client-id", "a b"), "--client-id expects"),
                    (with("--client-id", "é"), "--client-id expects"),
                    (with("--client-id", String(repeating: "x", count: 256)), "--client-id expects"),
                    (with("--client-secret-name", "GREEN_GRID_SECRET"), secret),
                    (with("--client-secret-name", "SUPPLIER_"), secret),
                    (with("--client-secret-name", "SUPPLIER_secret"), secret),
                    (with("--client-secret-name", "RETURN_SIGNING_KEYS"), secret),
                    (with("--client-secret-name", "DATABASE_URL"), secret),
                    (with("--client-secret-name", "hunter2"), secret),
                    (Self.add + ["--scopes", "open\"id"], "--scopes expects scopes of visible ASCII characters"),
                    (Self.add + ["--scopes", "é"], "--scopes expects"),
                    (
                        with("--issuer", "https://login.example.com/{tenantid}/v2.0"),
                        "--issuer expects the issuer of one tenant"
                    ),
                    (
                        Self.add + ["--client-authentication", "none"],
                        "--client-authentication expects one of: client_secret_basic, "
                    ),
                    (
                        Self.add + ["--client-authentication", "private_key_jwt"],
                        "--client-authentication expects one of"
                    ),
                    (Self.add + ["--discovery-url", "login.example.com"], "--discovery-url expects an https URL"),
                    (Self.add + ["--discovery-url", "http://127.0.0.1:1/x"], "--discovery-url expects an https URL"),
                    (Self.add + ["--response-mode", "fragment"], "--response-mode expects one of: query, form_post"),
                    (Self.add + ["--prompt", "none"], "--prompt expects one of: login, select_account"),
                    (Self.add + ["--prompt", ""], "--prompt expects"),
                    (Self.add + ["--max-age", "31536001"], "--max-age expects 0 to 31536000 seconds"),
                    (["enable-supplier", "Green"], slug), (["disable-supplier", ""], slug),
                    (["disable-supplier", "a b"], slug),
                ] {
                    let run = try await deployment.admin(arguments)
                    #expect(run.status == 64, "\(arguments): \(run.summary)")
                    #expect(run.errorLines.count == 1, "\(arguments): \(run.summary)")
                    #expect(run.errors.hasPrefix("link-session-service: " + start), "\(arguments): \(run.summary)")
                    #expect(run.output.isEmpty, "\(arguments): \(run.summary)")
                }
                let wrong = try await deployment.admin(with("--client-secret-name", "hunter2"))
                #expect(!wrong.errors.contains("hunter2"), "a secret in the wrong place is not repeated")
                for missing in ["--name", "--issuer", "--client-id", "--client-secret-name"] {
                    var arguments = Self.add
                    let place = try #require(arguments.firstIndex(of: missing))
                    arguments.removeSubrange(place...place + 1)
                    let run = try await deployment.admin(arguments)
                    #expect(run.status == 64 && run.errors.contains(missing), "\(missing): \(run.summary)")
                }
                #expect(try deployment.files().isEmpty)
            }
        }

        @Test func `what the database refuses changes nothing and leaves no file`() async throws {
            try await Deployment.with { deployment in
                #expect(try await deployment.admin(Self.add + ["--apply"]).status == 0)
                let taken = "there is a supplier of this slug or name already"
                for (arguments, sentence) in [
                    (Self.add, taken), (["add-supplier", "green-grid", "--name", "Other"] + Self.client, taken),
                    (["add-supplier", "other", "--name", "Green Grid"] + Self.client, taken),
                    (["enable-supplier", "green-grid"], "there is no disabled supplier of this slug"),
                    (["disable-supplier", "no-grid"], "there is no enabled supplier of this slug"),
                    (["enable-supplier", "no-grid"], "there is no disabled supplier of this slug"),
                    (["disable-supplier", "sandbox"], "there is no enabled supplier of this slug"),
                ] {
                    try await deployment.expectRefusal(arguments + ["--apply"], sentence)
                }
                #expect(try await deployment.admin("disable-supplier", "green-grid", "--apply").status == 0)
                try await deployment.expectRefusal(
                    ["disable-supplier", "green-grid", "--apply"], "there is no enabled supplier of this slug")
                #expect(
                    try await deployment.database.rows("SELECT slug, name, enabled FROM suppliers")
                        == [["green-grid", "Green Grid", "false"]])
            }
        }

        @Test func `a database that is down gets one line, exit code 1, and no file`() async throws {
            try await Deployment.with { deployment in
                let nowhere = "postgres://zq7:zq7password@127.0.0.1:1/none"
                let dead = ["DATABASE_URL": nowhere, "OPERATOR_DATABASE_URL": nowhere]
                for arguments in [
                    Self.add + ["--apply"], ["disable-supplier", "a", "--apply"], ["list-suppliers"],
                    ["list-suppliers", "--json"],
                ] {
                    let run = try await deployment.admin(arguments, environment: dead)
                    #expect(
                        run.status == 1 && run.errorLines.count == 1 && run.output.isEmpty,
                        "\(arguments): \(run.summary)")
                    #expect(run.errors.contains("cannot connect to the database"), "\(arguments): \(run.summary)")
                }
                #expect(try deployment.files().isEmpty)
            }
        }

        // MARK: Reports

        @Test func `the list shows suppliers to people and to programs, and no secret`() async throws {
            try await Deployment.with { deployment in
                let none = try await deployment.admin("list-suppliers")
                #expect(none.output == "no suppliers\n", "\(none.summary)")
                #expect(try await deployment.admin(Self.add + ["--scopes", "openid email", "--apply"]).status == 0)
                try await deployment.database.execute(
                    """
                    INSERT INTO suppliers (slug, name, issuer, client_id, client_secret_name, enabled)
                    VALUES ('blue-grid', E'Blue\\u00ADGrid', 'https://blue.example', 'nox', 'SUPPLIER_BLUE', false);
                    UPDATE suppliers SET prompt = 'login', max_age = 300 WHERE slug = 'blue-grid';
                    INSERT INTO supplier_outcomes VALUES
                        ('green-grid', date_trunc('minute', now() - interval '2 hours'), 7, 0, 1),
                        ('green-grid', date_trunc('minute', now() - interval '3 hours'), 0, 2, 0),
                        ('green-grid', now() - interval '25 hours', 100, 100, 100)
                    """)
                let environment = ["SUPPLIER_GREEN_GRID_SECRET": "zq7secret"]
                let list = try await deployment.admin("list-suppliers", environment: environment)
                #expect(list.status == 0 && list.errors.isEmpty, "\(list.summary)")
                for text in [
                    "green-grid\n", "Green Grid", "https://login.green-grid.example/realm",
                    "SUPPLIER_GREEN_GRID_SECRET",
                    "openid email", "blue-grid (DISABLED", "Blue\\u{AD}Grid", "  sign-ins   7 succeeded (last 20",
                    "), 2 failed (last 20", "), 1 declined within a day",
                    "  sign-ins   0 succeeded, 0 failed, 0 declined",
                    "  secret in  SUPPLIER_GREEN_GRID_SECRET\n",
                    "SUPPLIER_BLUE (WARNING: not set in this command's environment; every replica needs it)",
                    "  prompt     login\n  max age    300 s\n",
                ] {
                    #expect(list.output.contains(text), "\(text) in\n\(list.output)")
                }
                let json = try await deployment.admin("list-suppliers", "--json", environment: environment)
                let parsed = try #require(
                    JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: [[String: Any]]])
                let suppliers = try #require(parsed["suppliers"])
                let green = try #require(suppliers.first { $0["slug"] as? String == "green-grid" })
                #expect(suppliers.count == 2)
                #expect(
                    Set(green.keys) == [
                        "slug", "name", "enabled", "issuer", "client_id", "client_secret_name", "scopes", "created_at",
                        "client_secret_set_here", "client_authentication", "discovery_url", "response_mode", "prompt",
                        "max_age", "succeeded", "failed", "declined", "last_succeeded_at", "last_failed_at",
                    ])
                #expect(green["client_secret_set_here"] as? Bool == true && green["prompt"] is NSNull)
                #expect(green["succeeded"] as? Int == 7 && green["failed"] as? Int == 2)
                #expect(green["last_succeeded_at"] is Int && green["last_failed_at"] is Int)
                #expect(green["name"] as? String == "Green Grid" && green["enabled"] as? Bool == true)
                #expect(green["issuer"] as? String == "https://login.green-grid.example/realm")
                #expect(green["client_id"] as? String == "nox" && green["created_at"] is Int)
                #expect(green["client_secret_name"] as? String == "SUPPLIER_GREEN_GRID_SECRET")
                #expect(green["scopes"] as? [String] == ["openid", "email"])
                let blue = try #require(suppliers.first { $0["slug"] as? String == "blue-grid" })
                #expect(blue["enabled"] as? Bool == false)
                for output in [list.output, json.output] { #expect(!output.contains("zq7secret")) }
            }
        }

        @Test func `the list of manufacturers shows the audience of their return links`() async throws {
            try await Deployment.withAcme { deployment, key in
                let audience = try #require(try await deployment.database.value("SELECT id FROM manufacturers"))
                let list = try await deployment.admin("list")
                #expect(list.output.contains("  audience   \(audience)\n"), "\(list.summary)")
                let json = try await deployment.admin("list", "--json")
                let parsed = try #require(
                    JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: [[String: Any]]])
                #expect(parsed["manufacturers"]?.first?["audience"] as? String == audience)
                try await Service.serving(deployment.database) { service in
                    let token = try await service.createdToken(key: key)
                    let page = try await TestBrowser(service).get("/ui?token=\(token)")
                    #expect(ReturnedResult(page.link("back"))?.members["aud"] == .string(audience))
                }
            }
        }
    }
}
