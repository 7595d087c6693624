// Pages of a title and a sentence: what went wrong, and the way on.

internal import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
internal import ReturnLinks

extension AuthenticatorUI {
    /// The link, or the sign-in, is not known here (any more).
    func unknownPage(_ request: PageRequest) -> Response {
        var page = Page(notice: .unknown, status: .notFound)
        let token = request.query.linkToken
        page.url = { language in token.map { PageURL.link($0, language) } ?? PageURL.unknown(language) }
        return pages.response(page, in: request.fallbackLanguage)
    }

    /// The request could not be answered now.
    func unavailablePage(_ status: HTTPResponseStatus, _ request: PageRequest) -> Response {
        var page = Page(notice: .unavailable, status: status)
        if let token = request.query.linkToken { page.url = { PageURL.link(token, $0) } }
        var response = pages.response(page, in: request.fallbackLanguage)
        response.headers.add(name: "retry-after", value: "1")
        return response
    }

    /// Nobody signed in at the supplier: its user may try again, or go back to the app.
    ///
    /// - Parameter url: as ``Page/url``.
    func failedPage(
        _ notice: Notice, _ supplier: Supplier, _ context: PageContext, status: HTTPResponseStatus = .ok,
        url: ((Language) -> String)? = nil
    ) throws -> Response {
        var page = Page(notice: notice, name: "failed", status: status)
        page.values["supplier"] = supplier.name
        page.values["brand"] = context.session.displayName
        page.again = context.linkURL
        page.back = try returnLink(.failed, context.snapshot, at: supplier.slug)
        page.url = url
        return pages.response(page, in: context.language)
    }

    /// A request that its user cannot have wanted, or that is not this browser's to make. Whoever sent it gets the
    /// plain way back, and no signed result.
    ///
    /// - Parameter token: where this browser is known to have it: the page leads to where one begins again.
    func refusedPage(
        _ notice: Notice, _ status: HTTPResponseStatus, _ snapshot: LinkSessionSnapshot, in language: Language,
        beginAgainWith token: LinkToken? = nil
    ) -> Response {
        var page = Page(notice: notice, name: "refused", status: status)
        page.values["brand"] = snapshot.session.displayName
        page.again = token.map { PageURL.link($0, language) }
        page.back = snapshot.session.redirectURL.text
        return pages.response(page, in: language)
    }
}
