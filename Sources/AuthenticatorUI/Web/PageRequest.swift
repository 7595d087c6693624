internal import HTTPServer
internal import LinkSessions
internal import NIOHTTP1

/// A request together with what every page reads of it.
struct PageRequest: Sendable {
    let http: Request
    let query: FormFields

    init(_ http: Request) {
        self.http = http
        query = FormFields(http.query)
    }

    /// The language that the query asks for; it goes before that of the session or of the sign-in.
    var chosenLanguage: Language? { query.language }

    /// The language of a page that belongs to no session.
    var fallbackLanguage: Language {
        let accepted = http.headers["accept-language"].joined(separator: ",")
        return chosenLanguage ?? Language(acceptLanguage: accepted) ?? .default
    }

    /// The fields of the form in the body. What is no form, or is too large, has none: its sender gets the page that
    /// an unknown link gets.
    func form() async -> FormFields {
        let body = try? await http.body(ofType: "application/x-www-form-urlencoded")
        return FormFields(String(decoding: body ?? [], as: UTF8.self))
    }
}

extension FormFields {
    var linkToken: LinkToken? { self["token"].flatMap { LinkToken($0) } }
    var language: Language? { self["language"].flatMap(Language.init(rawValue:)) }
    /// What is sought among the suppliers, without what stands around it; a hundred characters at most.
    var search: String {
        String((self["q"] ?? "").split(whereSeparator: \.isWhitespace).joined(separator: " ").prefix(100))
    }
    var supplier: Supplier.Slug? { self["supplier"].flatMap { Supplier.Slug($0) } }
}

extension Language {
    /// The language of the pages that the header weighs highest (RFC 9110, section 12.5.4), the first of equals; `nil`
    /// where it names none of them.
    init?(acceptLanguage: String) {
        var best: (language: Language, weight: Double)?
        for range in acceptLanguage.split(separator: ",") {
            let parts = range.split(separator: ";").map { $0.filter { $0 != " " && $0 != "\t" }.lowercased() }
            guard let tag = parts.first?.prefix(while: { $0 != "-" }), let language = Language(rawValue: String(tag))
            else { continue }
            let weight = parts.dropFirst().first { $0.hasPrefix("q=") }.map { Double($0.dropFirst(2)) ?? 0 } ?? 1
            if weight > best?.weight ?? 0 { best = (language, weight) }
        }
        guard let best else { return nil }
        self = best.language
    }
}

/// Tells requests of our own pages from those that another site's page makes in the same browser (Fetch Metadata,
/// section 2.3; RFC 6454, section 7).
struct OriginCheck: Sendable {
    private let origin: String

    init(publicBaseURL: String) {
        let lower = publicBaseURL.lowercased()
        let port = lower.hasPrefix("https:") ? ":443" : ":80"
        origin = lower.hasSuffix(port) ? String(lower.dropLast(port.count)) : lower
    }

    /// `Sec-Fetch-Site` decides where it is sent, since no page can set it; `Origin` elsewhere. A request with neither
    /// is not ours.
    func isOwn(_ request: Request) -> Bool {
        let sites = request.headers["sec-fetch-site"]
        if !sites.isEmpty { return sites == ["same-origin"] }
        return request.headers["origin"] == [origin]
    }
}
