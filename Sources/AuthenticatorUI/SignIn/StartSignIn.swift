internal import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
internal import TokenGenerator

/// The first step of a sign-in: the user chose a supplier on our page.
extension AuthenticatorUI {
    /// Begins a sign-in, gives the browser its cookie, and leads it to the supplier.
    @Sendable func startSignIn(_ request: PageRequest) async throws -> Response {
        let form = await request.form()
        guard let token = form.linkToken else { throw UnknownPageError() }
        let snapshot = try await snapshot(of: token, request)
        let language = request.chosenLanguage ?? form.language ?? snapshot.session.language
        guard originCheck.isOwn(request.http) else {
            await record(.signInRefused(.crossOrigin), snapshot, request)
            return refusedPage(.crossOrigin, .forbidden, snapshot, in: language, beginAgainWith: token)
        }
        let context = PageContext(request: request, snapshot: snapshot, token: token, language: language)
        guard context.session.status == .open else { return try await linkPage(context) }
        guard let supplier = try usableSupplier(form.supplier) else {
            await record(.signInRefused(.supplierUnknown), snapshot, request)
            return try await linkPage(context, status: .conflict)
        }
        guard snapshot.session.options.offers(supplier.slug) else {
            await record(.signInRefused(.supplierNotOffered), snapshot, request)
            return try await linkPage(context, status: .conflict)
        }
        guard let secret = SignInSecret(try tokenGenerator.makeSecret(), token: token) else {
            throw RandomnessError()
        }
        let metadata: ProviderMetadata?
        do throws(ProviderError) {
            metadata = try await request.http.pausingDeadline { () throws(ProviderError) in
                try await self.metadata(of: supplier)
            }
        } catch {
            request.http.record.cause = "\(supplier.slug.text): \(error.reason.cause)"
            if error.isSuppliersFault { supplierHealth.note(.failed, at: supplier.slug, in: snapshot.session.id) }
            countSignIn(SignInRefusal.supplierUnavailable.rawValue, at: supplier.slug)
            await record(
                .signInRefused(.supplierUnavailable, at: supplier.slug, detail: error.reason.cause), snapshot, request)
            // No 502, nor any other status that says what a proxy says of its own: proxies replace such pages by theirs,
            // and take a replica that answers so for broken.
            return try failedPage(.failed, supplier, context, status: .failedDependency)
        }
        let start = try await signIns.start(
            secret.id, at: supplier.slug, in: language, requestID: request.http.id, until: request.http.deadline)
        guard start != .refused else { return try await notStartedPage(context) }
        countSignIn("started", at: supplier.slug)
        // A page that goes on, and no redirect: browsers hold `form-action` against every redirect that follows a form.
        var page = Page("continue", ["supplier": Bidirectional.isolated(supplier.name)])
        page.goTo = authenticationRequest(at: supplier, metadata, secret, language, isAgain: start == .again)
        var response = pages.response(page, in: language)
        for field in cookies.added(secret, to: request.http) {
            response.headers.add(name: "set-cookie", value: field)
        }
        return response
    }

    /// The session ended meanwhile, or has had as many sign-ins as a session has.
    private func notStartedPage(_ context: PageContext) async throws -> Response {
        var context = context
        context.snapshot = try await snapshot(of: context.token, context.request)
        guard context.session.status == .open else { return try await linkPage(context) }
        await record(.signInRefused(.tooManySignIns), context.snapshot, context.request)
        return refusedPage(.tooMany, .tooManyRequests, context.snapshot, in: context.language)
    }

    /// `nil` for the sandbox.
    private func metadata(of supplier: Supplier) async throws(ProviderError) -> ProviderMetadata? {
        switch supplier.signIn {
        case .sandbox: nil
        case .openIDConnect(let client): try await providers.metadata(of: client)
        }
    }

    /// Where the browser goes on to: an authentication request (OpenID Connect Core 1.0, section 3.1.2.1; RFC 7636,
    /// section 4.3), or the sandbox's page.
    ///
    /// - Parameter isAgain: the user was there before, and may want another account.
    private func authenticationRequest(
        at supplier: Supplier, _ metadata: ProviderMetadata?, _ secret: SignInSecret, _ language: Language,
        isAgain: Bool
    ) -> String {
        guard case .openIDConnect(let client) = supplier.signIn, let metadata else {
            return PageURL.sandbox(state: secret.state, language)
        }
        var fields = [
            ("response_type", "code"), ("response_mode", metadata.responseMode(for: client).rawValue),
            ("client_id", client.clientID), ("redirect_uri", redirectURI(of: supplier.slug)),
            ("scope", client.scopes.joined(separator: " ")), ("state", secret.state), ("nonce", secret.nonce),
            ("code_challenge", secret.codeChallenge), ("code_challenge_method", "S256"),
            ("ui_locales", language.rawValue),
        ]
        if let prompt = isAgain ? metadata.promptForAnotherAccount(at: client) : client.prompt {
            fields.append(("prompt", prompt.rawValue))
        }
        if let maxAge = client.maxAge { fields.append(("max_age", String(maxAge))) }
        let endpoint = metadata.authorization_endpoint
        return endpoint + (endpoint.contains("?") ? "&" : "?") + FormFields.encode(fields)
    }

    /// One for each supplier, so that no supplier's callback passes for another's (RFC 9700, section 4.4.2.2).
    func redirectURI(of supplier: Supplier.Slug) -> String {
        "\(publicBaseURL)/ui/callback/\(supplier.text)"
    }
}
