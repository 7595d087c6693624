internal import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
internal import TokenGenerator

/// What a callback comes to.
struct CallbackResult {
    let outcome: SignIn.Outcome
    /// Why nobody signed in.
    var refusal: SignInRefusal?
    /// The session's time is over, as the sandbox plays it.
    var isLate = false
}

extension CallbackResult {
    static func failed(_ refusal: SignInRefusal) -> CallbackResult {
        CallbackResult(outcome: .failed, refusal: refusal)
    }

    /// For the `error` of a callback (RFC 6749, section 4.1.2.1; OpenID Connect Core 1.0, section 3.1.2.6): whether its
    /// user stopped, or the supplier could not.
    init?(error: String?) {
        switch error {
        case nil: return nil
        case "access_denied", "login_required", "consent_required", "interaction_required":
            self.init(outcome: .declined, refusal: .declined)
        default: self.init(outcome: .failed, refusal: .supplierFailed)
        }
    }
}

/// The second step of a sign-in: the browser comes back from the supplier.
extension AuthenticatorUI {
    /// Takes a callback once, and records what it comes to.
    ///
    /// It leads on to the sign-in's page: what is in the callback's URL is used up, and that page may be loaded again.
    @Sendable func takeCallback(_ request: PageRequest) async throws -> Response {
        guard let id = request.query["state"].flatMap(SignIn.ID.init(state:)),
            let (signIn, snapshot) = try await find(id, request)
        else { return try await unknownState(request) }
        guard let secret = cookies.secret(of: id.stateDigest, in: request.http) else {
            await record(.signInRefused(.otherBrowser), snapshot, request)
            return otherBrowserPage(.badRequest, snapshot, request, in: signIn.language)
        }
        let signInPage = pages.seeOther(PageURL.signIn(id, signIn.language))
        let isFirst = try await signIns.recordCallback(
            id, callbackID: try tokenGenerator.makeSecret(), until: request.http.deadline)
        guard isFirst else {
            await record(.signInRefused(.stateUsed), snapshot, request)
            return signInPage
        }
        let result = try await evaluate(request, of: signIn, secret)
        if result.isLate {
            _ = try await sessions.expire(
                snapshot.session.id, requestID: request.http.id, until: request.http.deadline)
        }
        try await signIns.conclude(
            id, result.outcome, because: result.refusal, requestID: request.http.id, until: request.http.deadline)
        return signInPage
    }

    /// The callback names no sign-in. The latest one that this browser began is the best guess at what was meant.
    private func unknownState(_ request: PageRequest) async throws -> Response {
        guard let token = cookies.latestToken(in: request.http) else { throw UnknownPageError() }
        let snapshot = try await snapshot(of: token, request)
        await record(.signInRefused(.stateUnknown), snapshot, request)
        return refusedPage(.state, .badRequest, snapshot, in: snapshot.session.language, beginAgainWith: token)
    }

    /// RFC 6749, section 4.1.2.
    private func evaluate(
        _ request: PageRequest, of signIn: SignIn, _ secret: SignInSecret
    ) async throws -> CallbackResult {
        // The redirect URI is the supplier's own, and what decides below must be sent once and legibly.
        guard Supplier.Slug(request.http.parameter) == signIn.supplier,
            request.query.unusable.isDisjoint(with: ["code", "error", "iss"])
        else { return .failed(.mixUp) }
        guard let supplier = try usableSupplier(signIn.supplier) else {
            return .failed(.supplierUnknown)
        }
        switch supplier.signIn {
        case .sandbox:
            return evaluateSandbox(request.query)
        case .openIDConnect(let client):
            do throws(ProviderError) {
                return try await request.http.pausingDeadline { () throws(ProviderError) in
                    try await evaluate(request.query, from: supplier.slug, client, secret)
                }
            } catch {
                request.http.record.cause = "\(supplier.slug.text): \(error.reason.cause)"
                return .failed(error.reason.refusal)
            }
        }
    }

    private func evaluate(
        _ query: FormFields, from supplier: Supplier.Slug, _ client: OpenIDClient, _ secret: SignInSecret
    ) async throws(ProviderError) -> CallbackResult {
        // Before all else: an error of another issuer says nothing of this sign-in either (RFC 9207, section 2.4).
        let metadata = try await providers.metadata(of: client)
        if let issuer = query["iss"] {
            guard issuer.isSame(as: client.issuer.text) else { return .failed(.mixUp) }
        } else if metadata.authorization_response_iss_parameter_supported == true {
            return .failed(.mixUp)
        }
        if let result = CallbackResult(error: query["error"]) { return result }
        guard let code = query["code"], !code.isEmpty, let clientSecret = clientSecret(client.clientSecretName) else {
            return .failed(.supplierFailed)
        }
        let token = try await providers.signIn(
            TokenRequest(
                client: client, clientSecret: clientSecret, code: code, redirectURI: redirectURI(of: supplier),
                codeVerifier: secret.codeVerifier), nonce: secret.nonce)
        guard let identity = SupplierIdentity(supplier: supplier, userID: token.subject) else {
            return .failed(.idTokenInvalid)
        }
        return CallbackResult(outcome: .signedIn(identity, account: token.account))
    }
}

/// Sandbox Energy: the supplier for integrators, whose page and callback are our own.
extension AuthenticatorUI {
    /// The sandbox supplier's page, with a button for every outcome.
    @Sendable func showSandbox(_ request: PageRequest) async throws -> Response {
        guard let state = request.query["state"],
            let (signIn, snapshot) = try await find(SignIn.ID(state: state), request),
            signIn.supplier == .sandbox, try usableSupplier(.sandbox) != nil
        else { throw UnknownPageError() }
        var page = Page("sandbox", ["state": state])
        page.back = snapshot.session.redirectURL.text
        page.url = { PageURL.sandbox(state: state, $0) }
        return pages.response(page, of: snapshot.manufacturer, in: request.chosenLanguage ?? signIn.language)
    }

    /// What the chosen button's callback comes to.
    func evaluateSandbox(_ query: FormFields) -> CallbackResult {
        if let result = CallbackResult(error: query["error"]) { return result }
        guard let code = query["code"], ["approve", "late"].contains(code),
            let identity = SupplierIdentity(supplier: .sandbox, userID: "sandbox-user")
        else { return .failed(.codeRefused) }
        let account = MaskedAccount.text(email: nil, name: nil, subject: identity.userID)
        return CallbackResult(outcome: .signedIn(identity, account: account), isLate: code == "late")
    }
}
