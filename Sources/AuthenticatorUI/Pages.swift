// The pages: templates, texts, and the headers that every page carries.

internal import Foundation
internal import HTTPServer
internal import LinkSessions
internal import Mustache
internal import NIOHTTP1

/// What a page says. `{{…}}` in a template escapes what stands for it (HTML, section 13.2.5).
struct Page {
    let name: String
    let template: String
    let status: HTTPResponseStatus
    var values: [String: any Sendable] = [:]
    /// Where the browser goes on to by itself: only right after its user's own click.
    var goTo: String?
    /// Where the user looks again.
    var reload: String?
    /// Where the user chooses a supplier again.
    var again: String?
    /// The way back to the manufacturer's app.
    var back: String?
    /// This very page in a language; `nil` where it cannot be asked for again.
    var url: ((Language) -> String)?

    init(_ name: String, status: HTTPResponseStatus = .ok, _ values: [String: any Sendable] = [:]) {
        self.name = name
        template = name
        self.status = status
        self.values = values
    }

    /// A page of a title and a sentence.
    ///
    /// - Parameter text: the prefix of their keys in the catalogues.
    init(notice text: String, name: String? = nil, status: HTTPResponseStatus) {
        self.name = name ?? text
        template = "notice"
        self.status = status
        values = ["title": "text/\(text).title", "what": "text/\(text).what"]
    }
}

/// Escapes each Unicode scalar for itself. The library's own escape works on characters: `<` that is one character with a
/// prepended mark such as U+0600 passes it.
private struct EscapedByScalar: MustacheContentType {
    func escapeText(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "&": escaped += "&amp;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}

/// Renders pages in every language.
struct Pages: Sendable {
    private let libraries: [Language: MustacheLibrary]
    private let languageNames: [Language: String]
    private let stylesheetURL: String
    private let headers: HTTPHeaders

    /// - Parameter isSecure: whether browsers reach us by https.
    init(isSecure: Bool) throws {
        // By name, because a template chooses by name.
        MustacheContentTypes.register(EscapedByScalar(), named: "PAGE")
        let escaped = "{{% CONTENT_TYPE:PAGE}}"
        var libraries: [Language: MustacheLibrary] = [:]
        var languageNames: [Language: String] = [:]
        for language in Language.allCases {
            var library = MustacheLibrary()
            for (name, resource) in Resource.templates {
                try library.register(escaped + Resource.text(resource), named: name)
            }
            let catalogue = try Self.catalogue(language)
            // A text is a partial: what it names is escaped as in any template.
            for (key, text) in catalogue { try library.register(escaped + text, named: "text/\(key)") }
            libraries[language] = library
            languageNames[language] = catalogue["language"]
        }
        self.libraries = libraries
        self.languageNames = languageNames
        stylesheetURL = "/ui/style.css?v=\(Resource.version(Resource.stylesheet))"
        var headers: HTTPHeaders = [
            "content-type": "text/html; charset=utf-8",
            "cache-control": "no-store",
            "content-security-policy":
                "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            "x-frame-options": "DENY",
            // With no-referrer our own forms would send `Origin: null`.
            "referrer-policy": "strict-origin",
            "cross-origin-resource-policy": "same-origin",
        ]
        if isSecure { headers.add(name: "strict-transport-security", value: "max-age=31536000") }
        self.headers = headers
    }

    static func catalogue(_ language: Language) throws -> [String: String] {
        try JSONDecoder().decode([String: String].self, from: Data(Resource.catalogue(language)))
    }

    func response(_ page: Page, in language: Language) -> Response {
        var values = page.values
        values["page"] = page.name
        values["language"] = language.rawValue
        values["stylesheet"] = stylesheetURL
        values["goTo"] = page.goTo
        values["reload"] = page.reload
        values["again"] = page.again
        values["back"] = page.back
        values["hasLanguages"] = page.url != nil
        values["languages"] = Language.allCases.map { other in
            [
                "code": other.rawValue, "name": languageNames[other] ?? "", "href": page.url?(other) ?? "",
                "isCurrent": other == language,
            ] as [String: any Sendable]
        }
        let text = libraries[language]?.render(values, withTemplate: page.template) ?? ""
        return Response(status: page.status, headers: headers, body: Array(text.utf8))
    }

    /// RFC 9110, section 15.4.4.
    func seeOther(_ location: String) -> Response {
        var headers = headers
        headers.replaceOrAdd(name: "location", value: location)
        return Response(status: .seeOther, headers: headers, body: [])
    }
}

/// The files of Resources, which are part of the program.
enum Resource {
    static let templates: [(String, [UInt8])] = [
        ("layout", PackageResources.layout_mustache), ("link", PackageResources.link_mustache),
        ("continue", PackageResources.continue_mustache), ("sandbox", PackageResources.sandbox_mustache),
        ("confirm", PackageResources.confirm_mustache), ("returning", PackageResources.returning_mustache),
        ("notice", PackageResources.notice_mustache),
    ]
    static let stylesheet = PackageResources.style_css
    static let icon = PackageResources.icon_svg

    static func catalogue(_ language: Language) -> [UInt8] {
        switch language {
        case .nl: PackageResources.nl_json
        case .en: PackageResources.en_json
        case .fr: PackageResources.fr_json
        case .es: PackageResources.es_json
        }
    }

    static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// Another one whenever the bytes are others (FNV-1a), so that browsers may keep a file for long.
    static func version(_ bytes: [UInt8]) -> String {
        String(bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }, radix: 16)
    }

    static func response(_ bytes: [UInt8], type: String) -> Response {
        Response(
            status: .ok,
            headers: [
                "content-type": type, "cache-control": "public, max-age=86400",
            ], body: bytes)
    }
}
