package import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
internal import ReturnLinks

/// A session's own page, where its user chooses a supplier, and its end.
extension AuthenticatorUI {
    /// What a browser finds at a link_url.
    @Sendable func showLink(_ request: PageRequest) async throws -> Response {
        guard let token = request.query.linkToken else { throw UnknownPageError() }
        let snapshot = try await snapshot(of: token, request)
        if snapshot.session.status == .open, !snapshot.isOpened {
            try await sessions.open(
                snapshot.session.id, requestID: request.http.id, until: request.http.deadline)
        }
        return try await linkPage(
            PageContext(
                request: request, snapshot: snapshot, token: token,
                language: request.chosenLanguage ?? snapshot.session.language))
    }

    /// A page about the session of the context, in its language.
    func response(_ page: Page, _ context: PageContext) -> Response {
        var page = page
        page.url = context.url
        return pages.response(page, of: context.snapshot.manufacturer, in: context.language)
    }

    /// The page that the session's state asks for.
    ///
    /// - Parameter status: what an open session's page is answered with.
    func linkPage(_ context: PageContext, status: HTTPResponseStatus = .ok) async throws -> Response {
        let (session, token) = (context.session, context.token)
        var context = context
        let search = context.request.query.search
        context.url = { PageURL.link(token, $0, search: search) }
        guard session.status == .open else { return try endedPage(context) }
        let suppliers = try suppliers(offeredIn: session)
        let list = SupplierList(suppliers, preferred: session.options.preferredSupplier, search: search)
        var page = Page("link", status: status, timeLeft(context).merging(values(of: list)) { $1 })
        page.values["token"] = token.characters
        page.values["isOffering"] = !suppliers.isEmpty
        // The one that was chosen went away, or never was there.
        page.values["isGone"] = status == .conflict
        page.values["query"] = search
        page.values["isSearched"] = !search.isEmpty
        page.values["all"] = context.linkURL
        page.values["missing"] = try returnLinks.ended(
            .failed, because: .supplierNotListed, session, now: context.snapshot.now)
        page.hasScript = true
        page.back = try returnLink(.cancelled, context.snapshot)
        return response(page, context)
    }

    private func values(of list: SupplierList) -> [String: any Sendable] {
        func values(_ supplier: Supplier) -> [String: any Sendable] {
            let name = Bidirectional.isolated(supplier.name)
            var values: [String: any Sendable] = ["slug": supplier.slug.text, "name": name, "supplier": name]
            values["logo"] = supplier.logo?.hex
            return values
        }
        return [
            "hasSearch": list.hasSearch, "hasMore": list.hasMore, "count": list.count,
            // Where all are there, a script can narrow the list.
            "canNarrow": !list.hasMore, "hasSuppliers": list.count > 0,
            "preferred": (list.preferred.map { [values($0)] } ?? []) as [[String: any Sendable]],
            "hasOthers": !list.others.isEmpty, "suppliers": list.others.map(values),
            "hasUnavailable": !list.unavailable.isEmpty, "unavailable": list.unavailable.map(values),
        ]
    }

    /// What pages say of the time that an open session has left.
    func timeLeft(_ context: PageContext) -> [String: any Sendable] {
        let seconds = max(0, context.session.expiresAt - context.snapshot.now)
        return ["seconds": seconds, "minutes": max(1, (seconds + 30) / 60), "clock": "0:00"]
    }

    /// A completed or expired session. The result of a completion goes to the browser that completed, while it is
    /// fresh; everybody else gets the plain way back.
    func endedPage(_ context: PageContext) throws -> Response {
        let session = context.session
        var page: Page
        if session.status == .completed {
            page = Page(notice: .completed, status: .ok)
            page.back = try resultLink(context) ?? session.redirectURL.text
        } else {
            page = Page(notice: .expired, status: .gone)
            page.back = try returnLink(.expired, context.snapshot)
        }
        return response(page, context)
    }

    /// The way back with the result of a completion: for the browser that completed, while the result is fresh.
    func resultLink(_ context: PageContext) throws -> String? {
        guard context.snapshot.resultIsFresh, let completer = context.snapshot.completedBy,
            cookies.secret(of: completer, in: context.request.http) != nil
        else { return nil }
        return try returnLinks.completed(context.session, of: context.snapshot.manufacturer)
    }

    /// The way back from a session that this browser did not complete.
    ///
    /// - Parameter supplier: at which it ended, if at any.
    func returnLink(
        _ end: ReturnLinks.End, _ snapshot: LinkSessionSnapshot, at supplier: Supplier.Slug? = nil
    ) throws -> String {
        try returnLinks.ended(end, snapshot.session, at: supplier, now: snapshot.now)
    }
}

/// Pages of a title and a sentence: what went wrong, and the way on.
extension AuthenticatorUI {
    /// The link, or the sign-in, is not known here (any more).
    func unknownPage(_ request: PageRequest) -> Response {
        var page = Page(notice: .unknown, status: .notFound)
        let token = request.query.linkToken
        page.url = { PageURL.link(token, $0) }
        return pages.response(page, in: request.fallbackLanguage)
    }

    /// What a browser gets in place of an error of the HTTP layer.
    package func page(for error: ErrorAnswer, _ http: Request) -> Response? {
        let request = PageRequest(http)
        let language = request.fallbackLanguage
        var page: Page
        if error.status == .tooManyRequests {
            page = Page(notice: .busy, status: error.status)
            if !http.query.isEmpty { page.reload = "?\(http.query)" }
        } else {
            page = Page(notice: .notFound, status: error.status)
            page.isBeginning = true
            // A link with a character too many, or the address of a step that was a form's.
            page.again = (request.query.linkToken ?? cookies.latestToken(in: http)).map { PageURL.link($0, language) }
            page.url = { "?language=\($0.rawValue)" }
        }
        var response = pages.response(page, in: language)
        response.headers.add(contentsOf: error.headers)
        return response
    }

    /// The request could not be answered now; the cause is for the log alone.
    func unavailablePage(_ status: HTTPResponseStatus, _ request: PageRequest, cause: String) -> Response {
        request.http.record.cause = cause
        var page = Page(notice: .unavailable, status: status)
        if let token = request.query.linkToken { page.url = { PageURL.link(token, $0) } }
        var response = pages.response(page, in: request.fallbackLanguage)
        response.headers.add(name: "retry-after", value: "1")
        return response
    }

    /// Nobody signed in at the supplier: its user may try again, or go back to the app.
    func failedPage(
        _ notice: Notice, _ supplier: Supplier, _ context: PageContext, status: HTTPResponseStatus = .ok
    ) throws -> Response {
        var page = Page(notice: notice, name: "failed", status: status)
        page.values["supplier"] = Bidirectional.isolated(supplier.name)
        page.again = context.linkURL
        page.back = try returnLink(.failed, context.snapshot, at: supplier.slug)
        return response(page, context)
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
        page.again = token.map { PageURL.link($0, language) }
        page.isBeginning = true
        page.back = snapshot.session.redirectURL.text
        return pages.response(page, of: snapshot.manufacturer, in: language)
    }

    /// An answer that came to another browser than the one in which its sign-in began, such as the one that a supplier's
    /// app opened, or to one that keeps no cookies.
    ///
    /// Whoever has a sign-in's state, the supplier among others, must not come to its session by it: it is begun again
    /// here only where this browser has been given the session's link itself, and else in the manufacturer's app.
    func otherBrowserPage(
        _ status: HTTPResponseStatus, _ snapshot: LinkSessionSnapshot, _ request: PageRequest, in language: Language
    ) -> Response {
        refusedPage(
            .otherBrowser, status, snapshot, in: language,
            beginAgainWith: cookies.token(of: snapshot.session.id, in: request.http))
    }
}
