// The texts: one catalogue per language, none of which lacks a text, has one too many, or names what is not there.

@testable import AuthenticatorUI
import Foundation
import LinkSessions
import Testing

@Suite struct CatalogueTests {
    @Test func `every catalogue has the same keys`() throws {
        let keys = Set(try Pages.catalogue(.default).keys)
        #expect(keys.count > 40)
        for language in Language.allCases {
            let others = Set(try Pages.catalogue(language).keys)
            #expect(others == keys, "\(language): \(others.symmetricDifference(keys).sorted())")
        }
    }

    @Test func `a key occurs once in its file`() throws {
        for language in Language.allCases {
            let text = Resource.text(Resource.catalogue(language))
            let names = text.matches(of: /(?m)^ *"([^"]+)":/).map { String($0.1) }
            #expect(names.count == Set(names).count, "\(language)")
            #expect(Set(names) == Set(try Pages.catalogue(language).keys), "\(language)")
        }
    }

    @Test func `no text is empty, or has a blank at its ends`() throws {
        for language in Language.allCases {
            for (key, text) in try Pages.catalogue(language) {
                #expect(
                    text == text.trimmingCharacters(in: .whitespacesAndNewlines) && !text.isEmpty, "\(language) \(key)")
            }
        }
    }

    @Test func `a text names the same values in every language`() throws {
        let texts = try Pages.catalogue(.default)
        for language in Language.allCases {
            for (key, text) in try Pages.catalogue(language) {
                #expect(Texts.placeholders(of: text) == Texts.placeholders(of: texts[key] ?? ""), "\(language) \(key)")
            }
        }
    }

    @Test func `a text is plain but for the values that it names, which are escaped`() throws {
        for language in Language.allCases {
            for (key, text) in try Pages.catalogue(language) {
                let rest = text.replacing(/\{\{[a-z]+\}\}/, with: "")
                // What would be markup, or a tag of the template that is not escaped.
                for character in "<>&\"{}" { #expect(!rest.contains(character), "\(language) \(key)") }
                #expect(
                    rest.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }, "\(language) \(key)")
            }
        }
    }

    @Test func `a text names only what its page has`() throws {
        let brand: Set = ["brand"]
        let given: [String: Set<String>] = [
            "language": [], "languages": [], "who": [], "reload": [], "again": [], "begin": [], "back": brand,
            "link": ["brand", "supplier"], "time": ["brand", "minutes", "clock"], "search": ["count"],
            "continue": ["supplier"], "sandbox": brand,
            "confirm": ["brand", "supplier", "account", "number"], "answer": ["supplier"],
            "returning": ["brand", "supplier"], "completed": brand, "taken": brand, "expired": brand, "unknown": [],
            "declined": ["brand", "supplier"], "failed": ["brand", "supplier"], "pending": ["brand", "supplier"],
            "unavailable": [],
            "cross-origin": brand, "other-browser": brand, "state": brand, "too-many": brand,
            "not-found": [], "busy": [],
        ]
        for language in Language.allCases {
            for (key, text) in try Pages.catalogue(language) {
                let page = String(key.prefix { $0 != "." })
                let values = try #require(given[page], "\(key)")
                #expect(Texts.placeholders(of: text).isSubset(of: values), "\(language) \(key)")
            }
        }
    }

    @Test func `every text that a page names is there, and every text is named by a page`() throws {
        var named: Set = ["language"]
        for (_, template) in Resource.templates { named.formUnion(Texts.named(in: Resource.text(template))) }
        for notice in Notice.allCases { named.formUnion(["\(notice.rawValue).title", "\(notice.rawValue).what"]) }
        let keys = Set(try Pages.catalogue(.default).keys)
        #expect(named.subtracting(keys).isEmpty, "missing: \(named.subtracting(keys).sorted())")
        #expect(keys.subtracting(named).isEmpty, "of no use: \(keys.subtracting(named).sorted())")
    }

    @Test func `every notice is one that a step answers with`() throws {
        #expect(try Texts.answeredNotices() == Set(Notice.allCases.map { "\($0)" }))
    }

    @Test func `a language's name is written in that language`() throws {
        let names = try Language.allCases.map { try Pages.catalogue($0)["language"] }
        #expect(Set(names).count == Language.allCases.count)
        #expect(try Pages.catalogue(.fr)["language"] == "Français")
    }
}

enum Texts {
    static func placeholders(of text: String) -> Set<String> {
        Set(text.matches(of: /\{\{([^}]*)\}\}/).map { String($0.1) })
    }

    /// The keys of the texts that a template includes.
    static func named(in template: String) -> Set<String> {
        Set(template.matches(of: /\{\{> text\/([a-z.-]+)\}\}/).map { String($0.1) })
    }

    /// The notices that the sources name where they answer.
    static func answeredNotices() throws -> Set<String> {
        let sources = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Sources/AuthenticatorUI")
        var notices: Set<String> = []
        let files = FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil)
        while let file = files?.nextObject() as? URL {
            guard file.pathExtension == "swift" else { continue }
            let text = try String(contentsOf: file, encoding: .utf8)
            for match in text.matches(of: /(?:notice: |refusedPage\(|failedPage\()\s*\.([a-zA-Z]+)/) {
                notices.insert(String(match.1))
            }
        }
        return notices
    }
}
