internal import Foundation
internal import HTTPServer
internal import LinkSessions
internal import Mustache
internal import NIOHTTP1

/// Renders pages in every language, with the headers that every page carries.
struct Pages: Sendable {
    private let libraries: [Language: MustacheLibrary]
    private let languageNames: [Language: String]
    private let stylesheetURL: String
    private let scriptURL: String
    private let headers: HTTPHeaders

    /// - Parameter isSecure: whether browsers reach us by https.
    init(isSecure: Bool) throws {
        // A template chooses how its values are escaped by naming a content type.
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
            // A text is registered as a template, so that the values that it names are escaped as in any other.
            for (key, text) in catalogue { try library.register(escaped + text, named: "text/\(key)") }
            libraries[language] = library
            languageNames[language] = catalogue["language"]
        }
        self.libraries = libraries
        self.languageNames = languageNames
        stylesheetURL = "/ui/style.css?v=\(Resource.version(Resource.stylesheet))"
        scriptURL = "/ui/page.js?v=\(Resource.version(Resource.script))"
        var headers: HTTPHeaders = [
            "content-type": "text/html; charset=utf-8",
            "cache-control": "no-store",
            "content-security-policy": Self.contentSecurityPolicy,
            "x-frame-options": "DENY",
            // Hides the token from other sites. `no-referrer` would, too, but our own forms send `Origin: null` with it.
            "referrer-policy": "strict-origin",
            "cross-origin-resource-policy": "same-origin",
        ]
        if isSecure { headers.add(name: "strict-transport-security", value: "max-age=31536000") }
        self.headers = headers
    }

    private static let contentSecurityPolicy =
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

    static func catalogue(_ language: Language) throws -> [String: String] {
        try JSONDecoder().decode([String: String].self, from: Data(Resource.catalogue(language)))
    }

    /// - Parameter manufacturer: whom the page names, as its user knows it.
    func response(_ page: Page, of manufacturer: Manufacturer? = nil, in language: Language) -> Response {
        var values = page.values
        if let manufacturer {
            values["brandLogo"] = manufacturer.logo?.hex
            values["brand"] = Bidirectional.isolated(manufacturer.brand?.titleCased ?? manufacturer.name)
        }
        values["page"] = page.name
        values["language"] = language.rawValue
        values["stylesheet"] = stylesheetURL
        values["goTo"] = page.goTo
        values["reload"] = page.reload
        values["again"] = page.again
        values["isBeginning"] = page.isBeginning
        values["back"] = page.back
        values["hasWays"] = page.reload != nil || page.again != nil || page.back != nil
        values["script"] = page.hasScript ? scriptURL : nil
        values["hasLanguages"] = page.url != nil
        let languages = Language.allCases.map { other in
            [
                "code": other.rawValue, "name": languageNames[other] ?? "", "href": page.url?(other) ?? "",
                "isCurrent": other == language,
            ] as [String: any Sendable]
        }
        // In pairs, which a line holds or parts between them.
        values["languages"] = stride(from: 0, to: languages.count, by: 2).map {
            ["links": languages[$0..<min($0 + 2, languages.count)].map(\.self)]
        }
        let text = libraries[language]?.render(values, withTemplate: page.template) ?? ""
        var response = Response(status: page.status, headers: headers, body: Array(text.utf8))
        if page.hasScript {
            response.headers.replaceOrAdd(
                name: "content-security-policy", value: "\(Self.contentSecurityPolicy); script-src 'self'")
        }
        return response
    }

    /// Sends the browser on with GET (RFC 9110, section 15.4.4).
    func seeOther(_ location: String) -> Response {
        var headers = headers
        headers.replaceOrAdd(name: "location", value: location)
        return Response(status: .seeOther, headers: headers, body: [])
    }
}

/// Names in a script that runs from right to left, in a sentence that does not.
enum Bidirectional {
    /// The name between FIRST STRONG ISOLATE and POP DIRECTIONAL ISOLATE (UAX #9, section 2.4), where it needs them: so
    /// it turns nothing around that stands beside it.
    static func isolated(_ name: String) -> String {
        name.unicodeScalars.contains(where: runsFromRightToLeft) ? "\u{2068}\(name)\u{2069}" : name
    }

    /// By the blocks that Unicode keeps for such scripts (DerivedBidiClass.txt).
    private static func runsFromRightToLeft(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x0590...0x08FF, 0xFB1D...0xFDFF, 0xFE70...0xFEFF, 0x10800...0x10FFF, 0x1E800...0x1EFFF: true
        default: false
        }
    }
}

/// Escapes each Unicode scalar for itself, as browsers read them. The library's own escape works on Swift's characters,
/// and lets `<` through where it makes one character with a mark before it, such as U+0600.
private struct EscapedByScalar: MustacheContentType {
    func escapeText(_ text: String) -> String {
        text.unicodeScalars.map { scalar in
            switch scalar {
            case "<": "&lt;"
            case ">": "&gt;"
            case "&": "&amp;"
            case "\"": "&quot;"
            case "'": "&#39;"
            default: String(scalar)
            }
        }.joined()
    }
}

/// What is served as it is, and what pages are made of: templates, catalogues of texts, stylesheet and icon. All is
/// embedded in the program, so that it is deployed as one file.
enum Resource {
    static let templates: [(String, [UInt8])] = [
        ("layout", PackageResources.layout_mustache), ("link", PackageResources.link_mustache),
        ("continue", PackageResources.continue_mustache), ("sandbox", PackageResources.sandbox_mustache),
        ("confirm", PackageResources.confirm_mustache), ("returning", PackageResources.returning_mustache),
        ("notice", PackageResources.notice_mustache), ("supplier", PackageResources.supplier_mustache),
        ("time", PackageResources.time_mustache), ("logo", PackageResources.logo_mustache),
        ("answer", PackageResources.answer_mustache),
    ]
    static let stylesheet = PackageResources.style_css
    static let script = PackageResources.page_js
    static let icon = PackageResources.icon_svg
    /// For browsers that ask for it whatever a page says.
    static let favicon = PackageResources.favicon_ico
    static let touchIcon = PackageResources.apple_touch_icon_png
    /// Nothing here is for search engines: what they would find are other people's links.
    static let robots = Array("User-agent: *\nDisallow: /\n".utf8)

    private static let contentSecurityPolicy =
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

    static func catalogue(_ language: Language) -> [UInt8] {
        switch language {
        case .nl: PackageResources.nl_json
        case .en: PackageResources.en_json
        case .fr: PackageResources.fr_json
        case .es: PackageResources.es_json
        }
    }

    static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// A hash of the bytes (FNV-1a) for the file's URL: a changed file has another URL, so browsers may keep each for
    /// long.
    static func version(_ bytes: [UInt8]) -> String {
        String(bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }, radix: 16)
    }

    static func response(_ bytes: [UInt8], type: String) -> Response {
        Response(
            status: .ok, headers: ["content-type": type, "cache-control": "public, max-age=86400"], body: bytes)
    }

    /// Where to report a vulnerability (RFC 9116).
    static func securityText(_ publicBaseURL: String) -> Response {
        // Half a year, less than the year that section 2.5.5 recommends at most.
        let lifetime: TimeInterval = 180 * 86_400
        let day = (Date().timeIntervalSince1970 / 86_400).rounded(.down) * 86_400
        let expires = Date(timeIntervalSince1970: day + lifetime).formatted(.iso8601)
        let text = """
            Contact: mailto:security@nox.energy
            Expires: \(expires)
            Preferred-Languages: en, nl, fr, es
            Canonical: \(publicBaseURL)/.well-known/security.txt

            """
        return response(Array(text.utf8), type: "text/plain; charset=utf-8")
    }
}
