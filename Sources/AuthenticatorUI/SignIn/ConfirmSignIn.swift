// The third step of a sign-in: its user sees the account and confirms, which completes the session.

internal import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
internal import ReturnLinks

extension AuthenticatorUI {
    /// What came of a sign-in, for the browser that began it.
    @Sendable func showSignIn(_ request: PageRequest) async throws -> Response {
        guard let id = SHA256Digest(hex: request.http.parameter), let (signIn, snapshot) = try await find(id, request)
        else {
            return unknownPage(request)
        }
        let language = request.chosenLanguage ?? signIn.language
        guard let secret = cookies.secret(of: id, in: request.http) else {
            return refusedPage(.otherBrowser, .forbidden, snapshot, in: language)
        }
        return try await signInPage(
            signIn, PageContext(request: request, snapshot: snapshot, token: secret.token, language: language))
    }

    private func signInPage(_ signIn: SignIn, _ context: PageContext) async throws -> Response {
        let url = { PageURL.signIn(signIn.id, $0) }
        guard context.session.status == .open else { return try endedPage(context, url: url) }
        guard let supplier = try await usableSupplier(signIn.supplier, context.request) else {
            return try await linkPage(context, status: .conflict)
        }
        switch signIn.outcome {
        case .signedIn(_, let account): return try confirmPage(account, supplier, context, url: url)
        case .declined: return try failedPage(.declined, supplier, context, url: url)
        case .failed: return try failedPage(.failed, supplier, context, url: url)
        case nil where !signIn.hasCallback:
            // The user is still at the supplier, or came back from there by the browser's own button.
            return try await linkPage(context)
        case nil where signIn.isCallbackBeingProcessed: return pendingPage(supplier, context, url: url)
        case nil: return try failedPage(.failed, supplier, context, url: url)
        }
    }

    private func confirmPage(
        _ account: String, _ supplier: Supplier, _ context: PageContext, url: @escaping (Language) -> String
    ) throws -> Response {
        var page = Page(
            "confirm",
            [
                "brand": context.session.displayName, "supplier": supplier.name, "account": account,
                "action": url(context.language),
            ])
        page.again = context.linkURL
        page.back = try returnLink(.cancelled, context.snapshot, at: supplier.slug)
        page.url = url
        return pages.response(page, in: context.language)
    }

    /// The callback came a moment ago, and is being evaluated.
    private func pendingPage(
        _ supplier: Supplier, _ context: PageContext, url: @escaping (Language) -> String
    ) -> Response {
        var page = Page(notice: .pending, status: .ok)
        page.reload = url(context.language)
        page.back = context.session.redirectURL.text
        page.values["brand"] = context.session.displayName
        page.values["supplier"] = supplier.name
        page.url = url
        return pages.response(page, in: context.language)
    }

    /// The user confirmed on our page.
    @Sendable func confirm(_ request: PageRequest) async throws -> Response {
        guard let id = SHA256Digest(hex: request.http.parameter), let (signIn, snapshot) = try await find(id, request)
        else {
            return unknownPage(request)
        }
        let language = request.chosenLanguage ?? signIn.language
        let secret = cookies.secret(of: id, in: request.http)
        guard originCheck.isOwn(request.http) else {
            await record(.completionRefused(.crossOrigin), snapshot, request)
            return refusedPage(.crossOrigin, .forbidden, snapshot, in: language, beginAgainWith: secret?.token)
        }
        guard let secret else {
            await record(.completionRefused(.otherBrowser), snapshot, request)
            return refusedPage(.otherBrowser, .forbidden, snapshot, in: language)
        }
        let context = PageContext(request: request, snapshot: snapshot, token: secret.token, language: language)
        guard case .signedIn(let identity, _) = signIn.outcome else { return try await signInPage(signIn, context) }
        return try await complete(context, as: identity, signIn.id)
    }

    private func complete(
        _ context: PageContext, as identity: SupplierIdentity, _ id: SHA256Digest
    ) async throws -> Response {
        let request = context.request
        let supplier = try await usableSupplier(identity.supplier, request)
        // Enabled, but without its client secret here: nobody signs in there, nor confirms.
        if supplier == nil, context.session.status == .open { return try await supplierDisabledPage(context) }
        let outcome = try await sessions.complete(
            tokenDigest: context.snapshot.tokenDigest, Completion(identity: identity, signIn: id),
            requestID: request.http.id, until: request.http.deadline)
        switch outcome {
        case .completed(let session):
            guard let context = try await afterwards(context, id) else { return unknownPage(request) }
            guard isCompleter(context) else { return try endedPage(context) { PageURL.signIn(id, $0) } }
            var page = Page(
                "returning",
                ["brand": session.displayName, "supplier": supplier?.name ?? identity.supplier.text])
            page.goTo = try completedLink(context.snapshot)
            return pages.response(page, in: context.language)
        case .completedByAnother(let session):
            var page = Page(notice: .taken, name: "completed", status: .conflict)
            page.values["brand"] = session.displayName
            page.back = session.redirectURL.text
            return pages.response(page, in: context.language)
        case .expired:
            guard let context = try await afterwards(context, id) else { return unknownPage(request) }
            return try endedPage(context) { PageURL.signIn(id, $0) }
        case .supplierDisabled:
            return try await supplierDisabledPage(context)
        case .blocked, .unknown:
            return unknownPage(request)
        }
    }

    private func supplierDisabledPage(_ context: PageContext) async throws -> Response {
        await record(.completionRefused(.supplierDisabled), context.snapshot, context.request)
        return try await linkPage(context, status: .conflict)
    }

    /// The context with the session as it is after the completion; `nil` where it was deleted meanwhile.
    private func afterwards(_ context: PageContext, _ id: SHA256Digest) async throws -> PageContext? {
        guard let found = try await signIns.find(id, until: context.request.http.deadline) else { return nil }
        var context = context
        context.snapshot = found.snapshot
        return context
    }
}
