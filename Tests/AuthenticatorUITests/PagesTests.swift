// Pages as they are rendered, in every language.

@testable import AuthenticatorUI
import Foundation
@testable import HTTPServer
import LinkSessions
import NIOHTTP1
import Testing

@Suite struct PagesTests {
    private static let values: [String: any Sendable] = [
        "brand": "Acme Manufacturing", "supplier": "Green Grid", "account": "j•••@example.com", "minutes": 10,
        "number": "4321", "token": "T", "state": "S", "action": "/ui/sign-ins/x?language=nl", "clock": "0:00",
        "seconds": 590, "count": 2,
        "query": "grid", "isOffering": true, "missing": "https://your-app.com/callback?y",
        "suppliers": [["slug": "green-grid", "name": "Green Grid"], ["slug": "sandbox", "name": "Sandbox Energy"]],
    ]

    /// Every page, and the keys of its texts.
    private static func pages() throws -> [(page: Page, texts: Set<String>)] {
        func own(
            _ name: String, _ more: [String: any Sendable] = [:], without: Set<String> = [], script: Bool = false
        ) -> (Page, Set<String>) {
            let templates = [name] + (script ? ["time"] : [])
            let texts = templates.reduce(into: Set<String>()) { texts, template in
                texts.formUnion(
                    Texts.named(in: Resource.templates.first { $0.0 == template }.map { Resource.text($0.1) } ?? ""))
            }
            var page = Page(name, values.merging(more) { $1 })
            page.hasScript = script
            return (page, texts.subtracting(without))
        }
        let supplier: [[String: any Sendable]] = [
            ["slug": "down", "name": "Down Energy", "supplier": "Green Grid"]
        ]
        let search: Set = ["search.label", "search.button", "search.found", "search.all", "search.more"]
        var pages = [
            own(
                "link", ["hasSuppliers": true, "hasOthers": true],
                without: search.union(["link.nobody", "link.others", "link.preferred", "link.unavailable", "link.gone"]
                ),
                script: true),
            own(
                "link",
                [
                    "hasSuppliers": true, "hasOthers": true, "hasUnavailable": true, "preferred": supplier,
                    "unavailable": supplier, "hasSearch": true, "isSearched": true, "hasMore": true, "isGone": true,
                    "canNarrow": true, "all": "/ui?token=T",
                ], without: ["link.nobody", "link.choose"], script: true),
            own(
                "link", ["hasSuppliers": false, "isOffering": false],
                without: search.union([
                    "link.choose", "link.others", "link.preferred", "link.unavailable", "link.gone",
                ]), script: true),
            own("continue"), own("sandbox"), own("confirm", ["unnamed": true], script: true), own("returning"),
            own("answer", ["fields": [["name": "state", "value": "S"]]]),
        ]
        for notice in Notice.allCases {
            var page = Page(notice: notice, status: .ok)
            page.values.merge(values) { own, _ in own }
            pages.append((page, ["\(notice.rawValue).title", "\(notice.rawValue).what"]))
        }
        return pages.map { page, texts in
            var page = page
            (page.again, page.back, page.goTo) = (
                "/ui?token=T", "https://your-app.com/callback?x", "https://go.example/"
            )
            page.url = { "/ui?token=T&language=\($0.rawValue)" }
            return (
                page, texts.union([page.name == "confirm" ? "confirm.again" : "again", "back", "languages", "who"])
            )
        }
    }

    private static func text(_ response: Response) -> String { String(decoding: response.body, as: UTF8.self) }

    @Test func `every page is rendered in every language, with each of its texts and values`() throws {
        let pages = try Pages(isSecure: true)
        let all = try Self.pages()
        #expect(all.count > 14)
        for language in Language.allCases {
            let catalogue = try Pages.catalogue(language)
            for (page, keys) in all {
                let what = "\(language) \(page.template) \(page.name)"
                let text = Self.text(pages.response(page, in: language))
                #expect(!text.contains("{{") && !text.contains("}}"), "\(what)")
                #expect(text.hasPrefix("<!doctype html>\n<html lang=\"\(language.rawValue)\">"), "\(what)")
                #expect(text.contains("<main data-page=\"\(page.name)\">"), "\(what)")
                for key in keys {
                    let expected = (catalogue[key] ?? "{{\(key)}}").replacing(/\{\{([a-z]+)\}\}/) { match in
                        Self.values[String(match.1)].map { "\($0)" } ?? ""
                    }
                    #expect(text.contains(expected), "\(what): \(expected)")
                }
                #expect(text.matches(of: /<h1>[^<]+<\/h1>/).count == 1, "\(what)")
                #expect(text.matches(of: /<title>[^<]+ · NOX<\/title>/).count == 1, "\(what)")
            }
        }
    }

    @Test func `a page names itself in the four languages, the present one marked`() throws {
        let pages = try Pages(isSecure: true)
        for language in Language.allCases {
            var page = Page(notice: .unknown, status: .notFound)
            page.url = { "/ui?token=T&language=\($0.rawValue)" }
            let text = Self.text(pages.response(page, in: language))
            for other in Language.allCases {
                let current = other == language ? " aria-current=\"true\"" : ""
                let name = try Pages.catalogue(other)["language"] ?? ""
                let link =
                    "<a href=\"/ui?token=T&amp;language=\(other.rawValue)\" lang=\"\(other.rawValue)\" hreflang=\"\(other.rawValue)\"\(current)>\(name)</a>"
                #expect(text.contains(link), "\(language): \(link)")
            }
        }
    }

    @Test func `what a page does not have leaves nothing behind`() throws {
        let text = Self.text(try Pages(isSecure: true).response(Page(notice: .unknown, status: .notFound), in: .en))
        for word in [
            "http-equiv", "id=\"again\"", "id=\"back\"", "<nav", "<form", "<script", "<style", "style=",
        ] {
            #expect(!text.contains(word), "\(word)")
        }
    }

    @Test func `no page has a script but our own file, a style of its own, or anything from elsewhere`() throws {
        let pages = try Pages(isSecure: false)
        let script = "<script src=\"/ui/page.js?v=\(Resource.version(Resource.script))\" defer></script>"
        for (page, _) in try Self.pages() {
            let response = pages.response(page, in: .fr)
            var text = Self.text(response)
            #expect(text.contains(script) == ["link", "confirm"].contains(page.name), "\(page.name)")
            let policy = response.headers.first(name: "content-security-policy") ?? ""
            #expect(policy.hasSuffix("; script-src 'self'") == page.hasScript, "\(page.name)")
            #expect(policy.contains("script") == page.hasScript, "\(page.name)")
            text = text.replacing(script, with: "")
            for word in ["<script", "<style", "style=", "onclick", "javascript:", "<iframe", "<object"] {
                #expect(!text.contains(word), "\(page.name): \(word)")
            }
            for match in text.matches(of: /(?:src|rel="stylesheet" href|rel="icon" href)="([^"]*)"/) {
                #expect(match.1.hasPrefix("/ui/"), "\(page.name): \(match.1)")
            }
        }
    }

    @Test func `a value stands escaped wherever it stands`() throws {
        let hostile = #"<script>alert('x')</script>"&amp;{{token}}"#
        let escaped = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;amp;{{token}}"
        let pages = try Pages(isSecure: true)
        for (page, keys) in try Self.pages() {
            var page = page
            for name in [
                "brand", "supplier", "account", "token", "state", "action", "query", "missing", "all", "seconds",
            ] { page.values[name] = hostile }
            page.values["suppliers"] = [["slug": hostile, "name": hostile]]
            for name in ["preferred", "unavailable"] where page.values[name] != nil {
                page.values[name] = [["slug": hostile, "name": hostile, "supplier": hostile]]
            }
            page.hasScript = false
            (page.again, page.back, page.goTo) = (hostile, hostile, hostile)
            page.url = { _ in hostile }
            let text = Self.text(pages.response(page, in: .en))
            #expect(!text.contains("<script"), "\(page.name)")
            #expect(!text.contains("alert('"), "\(page.name)")
            #expect(text.contains("href=\"\(escaped)\""), "\(page.name)")
            // Nothing that stands in a value is a tag of the template, and no value is left out.
            #expect(text.matches(of: /\{\{token\}\}/).count > keys.count / 2, "\(page.name)")
        }
    }

    @Test func `the stylesheet's URL changes with its bytes`() throws {
        let version = Resource.version(Resource.stylesheet)
        let text = Self.text(try Pages(isSecure: true).response(Page(notice: .unknown, status: .notFound), in: .en))
        #expect(text.contains("href=\"/ui/style.css?v=\(version)\""))
        #expect(Resource.version(Resource.stylesheet) == version)
        #expect(Resource.version(Resource.stylesheet + [0x20]) != version)
        #expect(Resource.version([]) != Resource.version([0]))
        // FNV-1a of 64 bits: "a" and "foobar" of its authors' test vectors.
        #expect(Resource.version(Array("a".utf8)) == "af63dc4c8601ec8c")
        #expect(Resource.version(Array("foobar".utf8)) == "85944171f73967e8")
    }
}
