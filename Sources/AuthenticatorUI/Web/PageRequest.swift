// A browser's request for a page.

internal import HTTPServer
internal import LinkSessions
internal import NIOHTTP1

/// A request together with what every page reads of it.
struct PageRequest: Sendable {
    let http: Request
    let query: FormFields
    /// The language that the query asks for; it goes before that of the session or of the sign-in.
    let chosenLanguage: Language?
    /// The language of a page that belongs to no session.
    let fallbackLanguage: Language

    init(_ http: Request) {
        self.http = http
        query = FormFields(http.query)
        chosenLanguage = query.language
        fallbackLanguage =
            chosenLanguage
            ?? Language(acceptLanguage: http.headers["accept-language"].joined(separator: ",")) ?? .default
    }

    /// The fields of the form in the body. What is no form, or is too large, has none: its sender gets the page that
    /// an unknown link gets.
    func form() async -> FormFields {
        do throws(RequestBodyError) {
            let body = try await http.body(ofType: "application/x-www-form-urlencoded")
            return FormFields(String(decoding: body, as: UTF8.self))
        } catch {
            return FormFields("")
        }
    }
}

extension FormFields {
    var linkToken: LinkToken? { self["token"].flatMap { LinkToken($0) } }
    var language: Language? { self["language"].flatMap(Language.init(rawValue:)) }
    var supplier: Supplier.Slug? { self["supplier"].flatMap { Supplier.Slug($0) } }
}
