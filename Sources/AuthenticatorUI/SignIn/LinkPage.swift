// A session's own page, where its user chooses a supplier.

internal import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
internal import ReturnLinks

extension AuthenticatorUI {
    /// What a browser finds at a link_url.
    @Sendable func showLink(_ request: PageRequest) async throws -> Response {
        guard let token = request.query.linkToken, let snapshot = try await snapshot(of: token, request) else {
            return unknownPage(request)
        }
        return try await linkPage(
            PageContext(
                request: request, snapshot: snapshot, token: token,
                language: request.chosenLanguage ?? snapshot.session.language))
    }

    /// The page that the session's state asks for.
    ///
    /// - Parameter status: what an open session's page is answered with.
    func linkPage(_ context: PageContext, status: HTTPResponseStatus = .ok) async throws -> Response {
        let (session, token) = (context.session, context.token)
        let url = { PageURL.link(token, $0) }
        guard session.status == .open else { return try endedPage(context, url: url) }
        let suppliers = try await usableSuppliers(context.request)
        var page = Page(
            "link", status: status,
            [
                "brand": session.displayName, "token": token.characters,
                "minutes": max(1, (session.expiresAt - context.snapshot.now + 30) / 60),
                "hasSuppliers": !suppliers.isEmpty,
                "suppliers": suppliers.map { ["slug": $0.slug.text, "name": $0.name] },
            ])
        page.back = try returnLink(.cancelled, context.snapshot)
        page.url = url
        return pages.response(page, in: context.language)
    }

    /// A completed or expired session. The result of a completion goes to the browser that completed, while it is
    /// fresh; everybody else gets the plain way back.
    func endedPage(_ context: PageContext, url: @escaping (Language) -> String) throws -> Response {
        let session = context.session
        var page: Page
        if session.status == .completed {
            page = Page(notice: .completed, status: .ok)
            page.back = isCompleter(context) ? try completedLink(context.snapshot) : session.redirectURL.text
        } else {
            page = Page(notice: .expired, status: .gone)
            page.back = try returnLink(.expired, context.snapshot)
        }
        page.values["brand"] = session.displayName
        page.url = url
        return pages.response(page, in: context.language)
    }

    /// Whether the request comes from the browser that completed the session, and its result may still be fetched.
    func isCompleter(_ context: PageContext) -> Bool {
        guard context.snapshot.resultIsFresh, let completer = context.snapshot.completedBy else { return false }
        return cookies.secret(of: completer, in: context.request.http) != nil
    }

    /// The way back with the result of a completion: for the browser that completed.
    func completedLink(_ snapshot: LinkSessionSnapshot) throws -> String {
        try returnLinks.completed(snapshot.session, tokenDigest: snapshot.tokenDigest)
    }

    /// The way back from a session that this browser did not complete.
    ///
    /// - Parameter supplier: at which it ended, if at any.
    func returnLink(
        _ end: ReturnLinks.End, _ snapshot: LinkSessionSnapshot, at supplier: Supplier.Slug? = nil
    ) throws -> String {
        try returnLinks.ended(
            end, snapshot.session, tokenDigest: snapshot.tokenDigest, at: supplier, now: snapshot.now)
    }
}
