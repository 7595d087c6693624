internal import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
internal import ReturnLinks

/// The third step of a sign-in: its user sees the account and confirms, which completes the session.
extension AuthenticatorUI {
    /// What came of a sign-in, for the browser that began it.
    @Sendable func showSignIn(_ request: PageRequest) async throws -> Response {
        guard let (signIn, snapshot) = try await find(SignIn.ID(request.http.parameter), request) else {
            throw UnknownPageError()
        }
        let language = request.chosenLanguage ?? signIn.language
        guard let secret = cookies.secret(of: signIn.id.stateDigest, in: request.http) else {
            return otherBrowserPage(.forbidden, snapshot, request, in: language)
        }
        return try await signInPage(
            signIn,
            PageContext(request: request, snapshot: snapshot, token: secret.token, language: language) {
                PageURL.signIn(signIn.id, $0)
            })
    }

    private func signInPage(_ signIn: SignIn, _ context: PageContext) async throws -> Response {
        guard context.session.status == .open else { return try endedPage(context) }
        guard let supplier = try usableSupplier(signIn.supplier) else {
            return try await linkPage(context, status: .conflict)
        }
        let url = PageURL.signIn(signIn.id, context.language)
        switch signIn.outcome {
        case .signedIn(_, let account):
            var page = Page(
                "confirm",
                ["supplier": Bidirectional.isolated(supplier.name), "action": url].merging(
                    timeLeft(context)
                ) { own, _ in own })
            page.hasScript = true
            switch MaskedAccount.Shown(account) {
            case .text(let text): page.values["account"] = text
            case .numberEnding(let end): page.values["number"] = end
            case .unnamed: page.values["unnamed"] = true
            }
            page.again = context.linkURL
            page.back = try returnLink(.cancelled, context.snapshot, at: supplier.slug)
            return response(page, context)
        case .declined:
            return try failedPage(.declined, supplier, context)
        case nil where !signIn.hasCallback:
            // The user is still at the supplier, or came back from there by the browser's own button.
            return try await linkPage(context)
        case nil where signIn.isCallbackBeingProcessed:
            var page = Page(notice: .pending, status: .ok)
            page.values["supplier"] = Bidirectional.isolated(supplier.name)
            page.reload = url
            page.back = context.session.redirectURL.text
            return response(page, context)
        case .failed, nil:
            return try failedPage(.failed, supplier, context)
        }
    }

    /// The user confirmed on our page.
    @Sendable func confirm(_ request: PageRequest) async throws -> Response {
        guard let (signIn, snapshot) = try await find(SignIn.ID(request.http.parameter), request) else {
            throw UnknownPageError()
        }
        let language = request.chosenLanguage ?? signIn.language
        let secret = cookies.secret(of: signIn.id.stateDigest, in: request.http)
        guard originCheck.isOwn(request.http) else {
            await record(.completionRefused(.crossOrigin, at: signIn.supplier), snapshot, request)
            return refusedPage(.crossOrigin, .forbidden, snapshot, in: language, beginAgainWith: secret?.token)
        }
        guard let secret else {
            await record(.completionRefused(.otherBrowser, at: signIn.supplier), snapshot, request)
            return otherBrowserPage(.forbidden, snapshot, request, in: language)
        }
        let context = PageContext(request: request, snapshot: snapshot, token: secret.token, language: language) {
            PageURL.signIn(signIn.id, $0)
        }
        guard case .signedIn(let identity, _) = signIn.outcome else { return try await signInPage(signIn, context) }
        return try await complete(context, as: identity, signIn.id)
    }

    private func complete(
        _ context: PageContext, as identity: SupplierIdentity, _ id: SignIn.ID
    ) async throws -> Response {
        let request = context.request
        let supplier = try usableSupplier(identity.supplier)
        // Enabled, but without its client secret here: nobody signs in there, nor confirms.
        if supplier == nil, context.session.status == .open {
            return try await supplierDisabledPage(context, identity.supplier)
        }
        let outcome = try await sessions.complete(
            context.snapshot, as: identity, signIn: id.stateDigest, requestID: request.http.id,
            until: request.http.deadline)
        switch outcome {
        case .completed:
            let context = try await afterwards(context, id)
            guard let result = try resultLink(context) else { return try endedPage(context) }
            var page = Page(
                "returning", ["supplier": Bidirectional.isolated(supplier?.name ?? identity.supplier.text)])
            page.goTo = result
            return pages.response(page, of: context.snapshot.manufacturer, in: context.language)
        case .completedByAnother(let session):
            var page = Page(notice: .taken, name: "completed", status: .conflict)
            page.back = session.redirectURL.text
            return pages.response(page, of: context.snapshot.manufacturer, in: context.language)
        case .expired:
            return try endedPage(try await afterwards(context, id))
        // The latter cannot be: nobody signs in where the session does not offer it.
        case .supplierDisabled, .supplierNotOffered:
            return try await supplierDisabledPage(context, identity.supplier)
        case .blocked, .unknown:
            throw UnknownPageError()
        }
    }

    private func supplierDisabledPage(_ context: PageContext, _ supplier: Supplier.Slug) async throws -> Response {
        await record(.completionRefused(.supplierDisabled, at: supplier), context.snapshot, context.request)
        return try await linkPage(context, status: .conflict)
    }

    /// The context with the session as it is after the completion, unless it was deleted meanwhile.
    private func afterwards(_ context: PageContext, _ id: SignIn.ID) async throws -> PageContext {
        guard let found = try await signIns.find(id, until: context.request.http.deadline) else {
            throw UnknownPageError()
        }
        var context = context
        context.snapshot = found.snapshot
        return context
    }
}
