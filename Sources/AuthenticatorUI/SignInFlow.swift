// A sign-in: from the choice of a supplier to the completed session.

internal import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
internal import ReturnLinks
internal import TokenGenerator

// MARK: Begin

extension AuthenticatorUI {
    /// The user chose a supplier on our page.
    func startSignIn(_ visitor: Visitor) async throws(PageError) -> Response {
        let request = visitor.request
        let form: FormFields
        do throws(RequestBodyError) {
            let body = try await request.body(ofType: "application/x-www-form-urlencoded")
            form = FormFields(String(decoding: body, as: UTF8.self))
        } catch {
            form = FormFields("")
        }
        guard let token = form["token"].flatMap({ LinkToken($0) }), let snapshot = try await snapshot(token) else {
            return unknown(visitor)
        }
        let session = snapshot.session
        let language = form["language"].flatMap(Language.init(rawValue:)) ?? session.language
        guard originCheck.isOwn(request) else {
            await record(.signInRefused(.crossOrigin), snapshot.tokenDigest, request)
            return try refused("cross-origin", .forbidden, snapshot, language, token)
        }
        guard session.status == .open else {
            return try await page(of: snapshot, token, visitor, language: language)
        }
        let supplier = try await enabledSupplier(form["supplier"].flatMap { Supplier.Slug($0) })
        guard let supplier else {
            await record(.signInRefused(.supplierUnknown), snapshot.tokenDigest, request)
            return try await page(of: snapshot, token, visitor, language: language, status: .conflict)
        }
        guard let value = try? tokenGenerator.makeSecret(), let secret = SignInSecret(value, token: token) else {
            throw .bug(cause: "no secret could be made")
        }
        let goTo: String
        do throws(ProviderError) {
            goTo = try await signInURL(at: supplier, secret, language)
        } catch {
            request.record.cause = "\(supplier.slug.text): \(error.cause)"
            await record(.signInRefused(.supplierUnavailable), snapshot.tokenDigest, request)
            return try failed("failed", supplier, snapshot, token, language, status: .badGateway)
        }
        let new = NewSignIn(
            id: secret.id, tokenDigest: snapshot.tokenDigest, supplier: supplier.slug,
            language: language)
        let isStarted = try await translating { () throws(RepositoryError) in
            try await signIns.start(new, requestID: request.id, until: .requestDeadline)
        }
        guard isStarted else {
            guard let snapshot = try await self.snapshot(token) else { return unknown(visitor) }
            guard snapshot.session.status == .open else {
                return try await page(of: snapshot, token, visitor, language: language)
            }
            await record(.signInRefused(.tooManySignIns), snapshot.tokenDigest, request)
            return try refused("too-many", .tooManyRequests, snapshot, language, nil)
        }
        // A page that goes on, and no redirect: browsers hold `form-action` against every redirect that follows a form.
        var page = Page("continue", ["supplier": supplier.name])
        page.goTo = goTo
        var response = pages.response(page, in: language)
        for field in cookies.added(secret, to: request) {
            response.headers.add(name: "set-cookie", value: field)
        }
        return response
    }

    private func enabledSupplier(_ slug: Supplier.Slug?) async throws(PageError) -> Supplier? {
        guard let slug else { return nil }
        let supplier = try await translating { () throws(RepositoryError) in
            try await suppliers.enabled(slug, until: .requestDeadline)
        }
        return supplier.flatMap { isUsable($0) ? $0 : nil }
    }

    /// An authentication request (OpenID Connect Core 1.0, section 3.1.2.1; RFC 7636, section 4.3).
    private func signInURL(
        at supplier: Supplier, _ secret: SignInSecret, _ language: Language
    ) async throws(ProviderError) -> String {
        switch supplier.signIn {
        case .sandbox:
            return "/ui/sandbox?state=\(secret.state)&language=\(language.rawValue)"
        case .openIDConnect(let client):
            let metadata = try await providers.metadata(of: client)
            guard let challenge = secret.codeChallenge else { throw .unavailable("OpenSSL gave no digest") }
            let query = FormFields.encode([
                ("response_type", "code"), ("response_mode", "query"), ("client_id", client.clientID),
                ("redirect_uri", redirectURI(of: supplier.slug)), ("scope", client.scopes.joined(separator: " ")),
                ("state", secret.state), ("nonce", secret.nonce), ("code_challenge", challenge),
                ("code_challenge_method", "S256"), ("ui_locales", language.rawValue),
            ])
            let endpoint = metadata.authorization_endpoint
            return endpoint + (endpoint.contains("?") ? "&" : "?") + query
        }
    }

    /// One per supplier, so that no supplier's answer passes for another's (RFC 9700, section 4.4.2.2).
    private func redirectURI(of supplier: Supplier.Slug) -> String {
        "\(publicBaseURL)/ui/callback/\(supplier.text)"
    }
}

// MARK: The supplier's answer

extension AuthenticatorUI {
    /// The browser comes back from a supplier.
    func takeAnswer(_ visitor: Visitor) async throws(PageError) -> Response {
        let request = visitor.request
        guard let state = visitor.fields["state"], let id = try? SHA256.digest(of: state),
            let (signIn, snapshot) = try await find(id), snapshot.isServed
        else {
            // What this browser was at is the best guess at what was meant.
            guard let token = cookies.latestToken(in: request), let snapshot = try await self.snapshot(token) else {
                return unknown(visitor)
            }
            await record(.signInRefused(.stateUnknown), snapshot.tokenDigest, request)
            return try refused("state", .badRequest, snapshot, snapshot.session.language, token)
        }
        guard let secret = cookies.secret(of: id, in: request) else {
            await record(.signInRefused(.otherBrowser), snapshot.tokenDigest, request)
            return try refused("other-browser", .badRequest, snapshot, signIn.language, nil)
        }
        guard let taker = try? tokenGenerator.makeSecret() else { throw .bug(cause: "no secret could be made") }
        let isFirst = try await translating { () throws(RepositoryError) in
            try await signIns.answer(id, taker: taker, until: .requestDeadline)
        }
        guard isFirst else {
            await record(.signInRefused(.stateUsed), snapshot.tokenDigest, request)
            return pages.seeOther(Self.signInURL(id, signIn.language))
        }
        let result = try await judge(visitor.fields, of: signIn, secret, for: Supplier.Slug(request.parameter), request)
        if result.isLate {
            // What the sandbox plays: the ten minutes were over before the answer came.
            _ = try await translating { () throws(RepositoryError) in
                try await sessions.expire(
                    tokenDigest: snapshot.tokenDigest, of: snapshot.session.manufacturer.id, requestID: request.id,
                    until: .requestDeadline)
            }
        }
        try await translating { () throws(RepositoryError) in
            try await signIns.conclude(
                id, result.outcome, because: result.refusal, requestID: request.id, until: .requestDeadline)
        }
        // What is in this URL is used up: the page has one of its own, which may be loaded again.
        return pages.seeOther(Self.signInURL(id, signIn.language))
    }

    private func find(
        _ id: SHA256Digest
    ) async throws(PageError) -> (signIn: SignIn, snapshot: LinkSessionSnapshot)? {
        try await translating { () throws(RepositoryError) in
            try await signIns.find(id, until: .requestDeadline)
        }
    }

    private struct Judgement {
        let outcome: SignIn.Outcome
        var refusal: SignInRefusal?
        var isLate = false

        static func failed(_ refusal: SignInRefusal) -> Judgement { Judgement(outcome: .failed, refusal: refusal) }
    }

    /// What a supplier's answer comes to (RFC 6749, section 4.1.2; RFC 9207, section 2.4).
    private func judge(
        _ fields: FormFields, of signIn: SignIn, _ secret: SignInSecret, for slug: Supplier.Slug?, _ request: Request
    ) async throws(PageError) -> Judgement {
        guard slug == signIn.supplier, fields.unusable.isDisjoint(with: ["code", "error", "iss"]) else {
            return .failed(.mixUp)
        }
        guard let supplier = try await enabledSupplier(slug) else { return .failed(.supplierUnknown) }
        let error = fields["error"].map { error in
            ["access_denied", "login_required", "consent_required", "interaction_required"].contains(error)
                ? Judgement(outcome: .declined, refusal: .declined) : .failed(.supplierFailed)
        }
        switch supplier.signIn {
        case .sandbox:
            if let error { return error }
            guard let code = fields["code"], ["approve", "late"].contains(code),
                let identity = SupplierIdentity(supplier: .sandbox, userID: "sandbox-user")
            else { return .failed(.codeRefused) }
            return Judgement(
                outcome: .signedIn(identity, account: IDToken.masked(email: nil, name: nil, subject: "sandbox-user")),
                isLate: code == "late")
        case .openIDConnect(let client):
            do throws(ProviderError) {
                let metadata = try await providers.metadata(of: client)
                if let issuer = fields["iss"] {
                    guard issuer.isSame(as: client.issuer.text) else { return .failed(.mixUp) }
                } else if metadata.authorization_response_iss_parameter_supported == true {
                    return .failed(.mixUp)
                }
                if let error { return error }
                guard let code = fields["code"], !code.isEmpty,
                    let clientSecret = clientSecret(client.clientSecretName)
                else { return .failed(.supplierFailed) }
                let token = try await providers.signIn(
                    ConfidentialClient(client: client, secret: clientSecret), code: code,
                    redirectURI: redirectURI(of: supplier.slug), codeVerifier: secret.codeVerifier,
                    nonce: secret.nonce)
                guard let identity = SupplierIdentity(supplier: supplier.slug, userID: token.subject) else {
                    return .failed(.idTokenInvalid)
                }
                return Judgement(outcome: .signedIn(identity, account: token.account))
            } catch {
                request.record.cause = "\(supplier.slug.text): \(error.cause)"
                return .failed(error.refusal)
            }
        }
    }

    private static func signInURL(_ id: SHA256Digest, _ language: Language) -> String {
        "/ui/sign-ins/\(id.hex)?language=\(language.rawValue)"
    }
}

extension ProviderError {
    fileprivate var refusal: SignInRefusal {
        switch self {
        case .unavailable: .supplierUnavailable
        case .codeRefused: .codeRefused
        case .failed: .supplierFailed
        case .idToken: .idTokenInvalid
        }
    }
}

// MARK: Confirm and complete

extension AuthenticatorUI {
    /// What came of a sign-in, for the browser that began it.
    func signInPage(_ visitor: Visitor) async throws(PageError) -> Response {
        guard let id = SHA256Digest(hex: visitor.request.parameter), let (signIn, snapshot) = try await find(id),
            snapshot.isServed
        else { return unknown(visitor) }
        let language = visitor.chosenLanguage ?? signIn.language
        guard let secret = cookies.secret(of: id, in: visitor.request) else {
            return try refused("other-browser", .forbidden, snapshot, language, nil)
        }
        return try await page(of: signIn, snapshot, secret.token, visitor, language)
    }

    private func page(
        of signIn: SignIn, _ snapshot: LinkSessionSnapshot, _ token: LinkToken, _ visitor: Visitor, _ language: Language
    ) async throws(PageError) -> Response {
        let url = { Self.signInURL(signIn.id, $0) }
        guard snapshot.session.status == .open else { return try ended(snapshot, visitor, language, url: url) }
        guard let supplier = try await enabledSupplier(signIn.supplier) else {
            return try await page(of: snapshot, token, visitor, language: language, status: .conflict)
        }
        switch signIn.outcome {
        case .signedIn(_, let account):
            var page = Page(
                "confirm",
                [
                    "brand": snapshot.session.displayName, "supplier": supplier.name, "account": account,
                    "action": url(language),
                ])
            page.again = Self.linkURL(token, language)
            page.back = try returnLink { links throws(OpenSSLError) in
                try links.ended(
                    .cancelled, snapshot.session, tokenDigest: snapshot.tokenDigest, at: signIn.supplier,
                    now: snapshot.now)
            }
            page.url = url
            return pages.response(page, in: language)
        case .declined:
            return try failed("declined", supplier, snapshot, token, language, url: url)
        case .failed:
            return try failed("failed", supplier, snapshot, token, language, url: url)
        case nil:
            // The user is still at the supplier, or came back from there without an answer.
            guard signIn.isAnswered else { return try await page(of: snapshot, token, visitor, language: language) }
            if signIn.isBeingJudged {
                var page = Page(notice: "pending", status: .ok)
                page.reload = url(language)
                page.back = snapshot.session.redirectURL.text
                page.values["brand"] = snapshot.session.displayName
                page.values["supplier"] = supplier.name
                page.url = url
                return pages.response(page, in: language)
            }
            return try failed("failed", supplier, snapshot, token, language, url: url)
        }
    }

    /// The user confirmed on our page.
    func complete(_ visitor: Visitor) async throws(PageError) -> Response {
        let request = visitor.request
        guard let id = SHA256Digest(hex: request.parameter), let (signIn, snapshot) = try await find(id),
            snapshot.isServed
        else { return unknown(visitor) }
        let language = visitor.chosenLanguage ?? signIn.language
        let secret = cookies.secret(of: id, in: request)
        guard originCheck.isOwn(request) else {
            await record(.completionRefused(.crossOrigin), snapshot.tokenDigest, request)
            return try refused("cross-origin", .forbidden, snapshot, language, secret?.token)
        }
        guard let secret else {
            await record(.completionRefused(.otherBrowser), snapshot.tokenDigest, request)
            return try refused("other-browser", .forbidden, snapshot, language, nil)
        }
        guard case .signedIn(let identity, _) = signIn.outcome else {
            return try await page(of: signIn, snapshot, secret.token, visitor, language)
        }
        guard let supplier = try await enabledSupplier(signIn.supplier) else {
            await record(.completionRefused(.supplierDisabled), snapshot.tokenDigest, request)
            return try await page(of: snapshot, secret.token, visitor, language: language, status: .conflict)
        }
        let session = try await translating { () throws(RepositoryError) in
            try await sessions.complete(
                tokenDigest: snapshot.tokenDigest, Completion(identity: identity, signIn: id), requestID: request.id,
                until: .requestDeadline)
        }
        guard let session, let after = try await find(id)?.snapshot else { return unknown(visitor) }
        switch session.status {
        case .completed: break
        case .expired: return try ended(after, visitor, language) { Self.signInURL(id, $0) }
        case .open: return unknown(visitor)
        }
        guard session.link?.identity == identity else {
            var page = Page(notice: "taken", name: "completed", status: .conflict)
            page.values["brand"] = session.displayName
            page.back = session.redirectURL.text
            return pages.response(page, in: language)
        }
        guard isCompleter(request, of: after) else {
            return try ended(after, visitor, language) { Self.signInURL(id, $0) }
        }
        var page = Page("returning", ["brand": session.displayName, "supplier": supplier.name])
        page.goTo = try completedLink(after)
        return pages.response(page, in: language)
    }
}

// MARK: What went wrong

extension AuthenticatorUI {
    /// Nobody signed in: try again, or go back.
    private func failed(
        _ text: String, _ supplier: Supplier, _ snapshot: LinkSessionSnapshot, _ token: LinkToken, _ language: Language,
        status: HTTPResponseStatus = .ok, url: ((Language) -> String)? = nil
    ) throws(PageError) -> Response {
        var page = Page(notice: text, name: "failed", status: status)
        page.values["supplier"] = supplier.name
        page.values["brand"] = snapshot.session.displayName
        page.again = Self.linkURL(token, language)
        page.back = try returnLink { links throws(OpenSSLError) in
            try links.ended(
                .failed, snapshot.session, tokenDigest: snapshot.tokenDigest, at: supplier.slug, now: snapshot.now)
        }
        page.url = url
        return pages.response(page, in: language)
    }

    /// A request that cannot be what its user wanted. Whoever sent it gets the plain way back and nothing else.
    ///
    /// - Parameter token: where this browser is known to have it, to begin again.
    private func refused(
        _ text: String, _ status: HTTPResponseStatus, _ snapshot: LinkSessionSnapshot, _ language: Language,
        _ token: LinkToken?
    ) throws(PageError) -> Response {
        var page = Page(notice: text, name: "refused", status: status)
        page.values["brand"] = snapshot.session.displayName
        page.again = token.map { Self.linkURL($0, language) }
        page.back = snapshot.session.redirectURL.text
        return pages.response(page, in: language)
    }
}

// MARK: Sandbox Energy

extension AuthenticatorUI {
    /// The sandbox supplier's own page, with a button for every outcome.
    func sandboxPage(_ visitor: Visitor) async throws(PageError) -> Response {
        guard let state = visitor.fields["state"], let id = try? SHA256.digest(of: state),
            let (signIn, snapshot) = try await find(id), snapshot.isServed,
            signIn.supplier == .sandbox, try await enabledSupplier(.sandbox) != nil
        else { return unknown(visitor) }
        var page = Page("sandbox", ["state": state, "brand": snapshot.session.displayName])
        page.back = snapshot.session.redirectURL.text
        page.url = { "/ui/sandbox?state=\(PercentEncoding.encode(state))&language=\($0.rawValue)" }
        return pages.response(page, in: visitor.chosenLanguage ?? signIn.language)
    }
}
