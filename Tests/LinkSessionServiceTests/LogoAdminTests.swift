// Logos as an operator sets them, and as browsers get them.

import Foundation
import LinkSessions
@testable import TestSupport
import Testing

extension ProgramTests {
    @Suite(.timeLimit(.minutes(2))) struct LogoAdminTests {
        private static let svg =
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\"><path d=\"M0 0h9v9z\" fill=\"#0b5d3f\"/></svg>\n"

        @Test func `a logo is beside its name within a second, under its digest, until it is removed`() async throws {
            try await Deployment.withAcme { deployment, key in
                let file = FileManager.default.temporaryDirectory.appending(path: "logo-\(UUID().uuidString).svg")
                defer { try? FileManager.default.removeItem(at: file) }
                try Data(Self.svg.utf8).write(to: file)
                let digest = TestKeys.digest(Self.svg)
                let added = try await deployment.admin(
                    "add-supplier", "green-grid", "--name", "Green Grid", "--issuer", "https://login.example/realm",
                    "--client-id", "nox", "--client-secret-name", "SUPPLIER_GREEN_GRID_SECRET", "--apply",
                    "--unchecked")
                #expect(added.status == 0, "\(added.summary)")
                try await Service.serving(
                    deployment.database, environment: ["SUPPLIER_GREEN_GRID_SECRET": "zq7secret"]
                ) { service in
                    let browser = TestBrowser(service)
                    let token = try await service.createdToken(key: key)
                    func page() async throws -> String { try await browser.get("/ui?token=\(token)").response.text }
                    let url = "/ui/logos/\(digest)"
                    #expect(try await browser.get(url).status == 404)
                    let (supplier, manufacturer) = (
                        ["set-logo", "--supplier", "green-grid"], ["set-logo", "--manufacturer", "Acme"]
                    )
                    for owner in [supplier, manufacturer] {
                        let set = try await deployment.admin(owner + [file.path, "--apply"])
                        #expect(set.output.hasSuffix("_set_logo.sql\n"), "\(set.summary)")
                    }
                    try await service.catchUp()
                    let shown = try await page()
                    #expect(shown.components(separatedBy: "<img src=\"\(url)\" alt=\"\"").count == 3)
                    #expect(!shown.contains("M0 0h9v9z"), "never inline")
                    let image = try await browser.get(url)
                    #expect((image.status, image.response.text) == (200, Self.svg))
                    for (name, value) in [
                        ("Content-Type", "image/svg+xml"), ("Cache-Control", "public, max-age=31536000, immutable"),
                        ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
                        ("X-Content-Type-Options", "nosniff"),
                    ] { #expect(image.response.header(name) == value) }
                    let head = try await browser.send("HEAD", url)
                    #expect(head.status == 200 && head.response.body.isEmpty)
                    #expect(head.response.lastingHeaders == image.response.lastingHeaders)
                    for other in [
                        digest.uppercased(), String(digest.dropLast()), digest + "0", TestKeys.digest("x"), "x",
                        "..%2Fstyle.css",
                    ] { #expect(try await browser.get("/ui/logos/\(other)").status == 404, "\(other)") }

                    // It stays while one of the two has it.
                    for (owner, status) in [(supplier, 200), (manufacturer, 404)] {
                        let removed = try await deployment.admin(owner + ["--remove", "--apply"])
                        #expect(removed.output.hasSuffix("_remove_logo.sql\n"), "\(removed.summary)")
                        try await service.catchUp()
                        #expect(try await browser.get(url).status == status)
                    }
                    #expect(try await !page().contains("/ui/logos/"))
                    #expect(try await deployment.database.count("SELECT count(*) FROM logos") == 0)
                    let again = try await deployment.admin(supplier + ["--remove", "--apply"])
                    #expect(again.status != 0 && again.errors.contains("there is no supplier of this slug with a logo"))
                }
            }
        }

        @Test func `what is no logo is refused with a sentence, and nothing is written`() async throws {
            try await Deployment.withAcme { deployment, _ in
                let file = FileManager.default.temporaryDirectory.appending(path: "logo-\(UUID().uuidString)")
                defer { try? FileManager.default.removeItem(at: file) }
                let before = try FileManager.default.contentsOfDirectory(atPath: deployment.path)
                let supplier = ["set-logo", "--supplier", "green-grid"]
                for (content, sentence) in [
                    ("hello", "a PNG, or an SVG that begins with <svg"),
                    (Self.svg.replacing("<path", with: "<script/><path"), "without <script>"),
                    (String(repeating: "x", count: 40_000), "at most 32 kB"),
                    (
                        Self.svg.replacing("#0b5d3f", with: "url(https://evil.example)"),
                        "refers to nothing outside of itself"
                    ),
                ] {
                    try Data(content.utf8).write(to: file)
                    let refused = try await deployment.admin(supplier + [file.path])
                    #expect(refused.status == 64 && refused.errors.contains(sentence), "\(refused.summary)")
                }
                for arguments in [
                    ["set-logo", file.path], supplier, supplier + [file.path, "--remove"],
                    supplier + ["--manufacturer", "Acme", file.path], ["set-logo", "--supplier", "No", file.path],
                ] {
                    let refused = try await deployment.admin(arguments)
                    #expect(refused.status == 64, "\(arguments): \(refused.summary)")
                }
                let missing = try await deployment.admin(supplier + ["/nowhere/logo.svg"])
                #expect(missing.status == 1, "\(missing.summary)")
                #expect(try FileManager.default.contentsOfDirectory(atPath: deployment.path) == before)
            }
        }
    }
}
