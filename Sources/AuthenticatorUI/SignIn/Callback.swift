internal import HTTPServer
internal import LinkSessionRepository
internal import LinkSessions
internal import Metrics
internal import NIOHTTP1
internal import TokenGenerator

/// What a callback comes to.
struct CallbackResult {
    let outcome: SignIn.Outcome
    /// Why nobody signed in.
    var refusal: SignInRefusal?
    /// What the other side said: for the log and the session's events.
    var cause: String?
    /// The session's time is over, as the sandbox plays it.
    var isLate = false
}

extension CallbackResult {
    static func failed(_ refusal: SignInRefusal, _ cause: String? = nil) -> CallbackResult {
        CallbackResult(outcome: .failed, refusal: refusal, cause: cause)
    }

    /// The errors that say that its user stopped (RFC 6749, section 4.1.2.1; OpenID Connect Core 1.0, section 3.1.2.6;
    /// and what providers have of their own).
    private static let refusalsOfUsers: Set = [
        "access_denied", "login_required", "consent_required", "interaction_required", "account_selection_required",
        "user_cancelled_login", "user_cancelled_authorize", "user_cancelled", "user_canceled", "user_denied",
        "cancelled", "canceled", "cancel", "declined", "authorization_declined", "consent_denied",
    ]

    /// For the error of a callback: whether its user stopped, or the supplier could not.
    init?(errorIn fields: FormFields) {
        guard let error = fields["error"] else { return nil }
        let description = fields["error_description"]
        // Azure AD B2C says with a number in the description, and Entra with a member of its own, that its user stopped.
        let isDeclined =
            Self.refusalsOfUsers.contains(error.lowercased()) || fields["error_subcode"] == "cancel"
            || description?.hasPrefix("AADB2C90091") == true
        let secrets = [fields["code"], fields["state"]].compactMap(\.self)
        self.init(
            outcome: isDeclined ? .declined : .failed, refusal: isDeclined ? .declined : .supplierFailed,
            cause: "the supplier answered with \(ProviderText.error(error, description, without: secrets))")
    }
}

/// The second step of a sign-in: the browser comes back from the supplier.
extension AuthenticatorUI {
    @Sendable func takeCallback(_ request: PageRequest) async throws -> Response {
        try await takeCallback(with: request.query, request)
    }

    /// An answer by `form_post` (OAuth 2.0 Form Post Response Mode), which a page of the supplier's posts: browsers send
    /// no cookie of ours with that. A page of ours posts it on; only that counts.
    @Sendable func takePostedCallback(_ request: PageRequest) async throws -> Response {
        let form = await request.form()
        if originCheck.isOwn(request.http) { return try await takeCallback(with: form, request) }
        let names = ["code", "state", "iss", "error", "error_description", "error_subcode"]
        let fields = names.compactMap { name in form[name].map { ["name": name, "value": $0] } }
        guard let supplier = try usableSupplier(Supplier.Slug(request.http.parameter)), !fields.isEmpty,
            form.unusable.isDisjoint(with: names)
        else { throw UnknownPageError() }
        var page = Page(
            "answer",
            [
                "supplier": Bidirectional.isolated(supplier.name), "action": "/ui/callback/\(supplier.slug.text)",
                "fields": fields,
            ])
        page.hasScript = true
        return pages.response(page, in: request.fallbackLanguage)
    }

    /// Takes a callback once, and records what it comes to.
    ///
    /// It leads on to the sign-in's page: what is in the callback is used up, and that page may be loaded again.
    private func takeCallback(with fields: FormFields, _ request: PageRequest) async throws -> Response {
        guard let id = fields["state"].flatMap(SignIn.ID.init(state:)),
            let (signIn, snapshot) = try await find(id, request)
        else { return try await unknownState(fields, request) }
        guard let secret = cookies.secret(of: id.stateDigest, in: request.http) else {
            await record(.signInRefused(.otherBrowser, at: signIn.supplier), snapshot, request)
            return otherBrowserPage(.badRequest, snapshot, request, in: signIn.language)
        }
        let signInPage = pages.seeOther(PageURL.signIn(id, signIn.language))
        guard snapshot.session.status == .open else {
            let isCompleted = snapshot.session.status == .completed
            await record(
                .completionRefused(isCompleted ? .completed : .expired, at: signIn.supplier), snapshot, request)
            return signInPage
        }
        let isFirst = try await signIns.recordCallback(
            id, callbackID: try tokenGenerator.makeSecret(), until: request.http.deadline)
        guard isFirst else {
            await record(.signInRefused(.stateUsed, at: signIn.supplier), snapshot, request)
            return signInPage
        }
        let result = try await evaluate(fields, request, of: signIn, secret)
        countSignIn(result.refusal?.rawValue ?? "signed_in", at: signIn.supplier)
        if let cause = result.cause { request.http.record.cause = "\(signIn.supplier.text): \(cause)" }
        if result.isLate {
            _ = try await sessions.expire(
                snapshot.session.id, requestID: request.http.id, until: request.http.deadline)
        }
        try await signIns.conclude(
            id, result.outcome, because: result.refusal, detail: result.cause, requestID: request.http.id,
            until: request.http.deadline)
        return signInPage
    }

    /// - Parameter outcome: one of a few words.
    func countSignIn(_ outcome: String, at supplier: Supplier.Slug) {
        Counter(
            label: "link_session_sign_ins_total", dimensions: [("supplier", supplier.text), ("outcome", outcome)]
        ).increment()
    }

    /// The callback names no sign-in. The latest one that this browser began is the best guess at what was meant: its
    /// user is told what an error says, and nothing is used up.
    private func unknownState(_ fields: FormFields, _ request: PageRequest) async throws -> Response {
        guard let token = cookies.latestToken(in: request.http) else { throw UnknownPageError() }
        let snapshot = try await snapshot(of: token, request)
        let said = CallbackResult(errorIn: fields)
        request.http.record.cause = said?.cause
        await record(.signInRefused(.stateUnknown, detail: said?.cause), snapshot, request)
        let language = snapshot.session.language
        guard let said, fields["state"] == nil, !fields.unusable.contains("state"),
            let supplier = try usableSupplier(Supplier.Slug(request.http.parameter))
        else { return refusedPage(.state, .badRequest, snapshot, in: language, beginAgainWith: token) }
        let notice: Notice = if case .declined = said.outcome { .declined } else { .failed }
        var page = Page(notice: notice, name: "refused", status: .badRequest)
        page.values["supplier"] = Bidirectional.isolated(supplier.name)
        page.again = PageURL.link(token, language)
        page.back = snapshot.session.redirectURL.text
        return pages.response(page, of: snapshot.manufacturer, in: language)
    }

    /// RFC 6749, section 4.1.2.
    private func evaluate(
        _ fields: FormFields, _ request: PageRequest, of signIn: SignIn, _ secret: SignInSecret
    ) async throws -> CallbackResult {
        // The redirect URI is the supplier's own, and what decides below must be sent once and legibly.
        guard Supplier.Slug(request.http.parameter) == signIn.supplier,
            fields.unusable.isDisjoint(with: ["code", "error", "iss"])
        else { return .failed(.mixUp) }
        guard let supplier = try usableSupplier(signIn.supplier) else {
            return .failed(.supplierUnknown)
        }
        switch supplier.signIn {
        case .sandbox:
            return evaluateSandbox(fields)
        case .openIDConnect(let client):
            let session = signIn.id.session
            do throws(ProviderError) {
                let result = try await request.http.pausingDeadline { () throws(ProviderError) in
                    try await evaluate(fields, from: supplier.slug, client, secret)
                }
                switch result.outcome {
                case .signedIn: supplierHealth.note(.succeeded, at: supplier.slug, in: session)
                case .declined: supplierHealth.note(.declined, at: supplier.slug, in: session)
                // By what the browser brought.
                case .failed: break
                }
                return result
            } catch {
                if error.isSuppliersFault { supplierHealth.note(.failed, at: supplier.slug, in: session) }
                return .failed(error.reason.refusal, error.reason.cause)
            }
        }
    }

    private func evaluate(
        _ fields: FormFields, from supplier: Supplier.Slug, _ client: OpenIDClient, _ secret: SignInSecret
    ) async throws(ProviderError) -> CallbackResult {
        // Before all else: an error of another issuer says nothing of this sign-in either (RFC 9207, section 2.4).
        let metadata = try await providers.metadata(of: client)
        if let issuer = fields["iss"] {
            guard issuer.isSame(as: client.issuer.text) else { return .failed(.mixUp, "it names another issuer") }
        } else if metadata.namesIssuerInResponses {
            return .failed(.mixUp, "it names no issuer, though the metadata promise one")
        }
        if let result = CallbackResult(errorIn: fields) { return result }
        guard let code = fields["code"], !code.isEmpty, let clientSecret = clientSecret(client.clientSecretName) else {
            return .failed(.supplierFailed, "the supplier answered with neither a code nor an error")
        }
        let token = try await providers.signIn(
            TokenRequest(
                client: client, clientSecret: clientSecret, code: code, redirectURI: redirectURI(of: supplier),
                codeVerifier: secret.codeVerifier), nonce: secret.nonce)
        guard let identity = SupplierIdentity(supplier: supplier, userID: token.subject) else {
            return .failed(
                .idTokenInvalid, "the ID token is invalid: its subject is empty, too long or has control characters")
        }
        let account = MaskedAccount.text(
            email: token.profile.email, name: token.profile.name, subject: token.subject)
        return CallbackResult(outcome: .signedIn(identity, account: account), cause: token.userInfoCause)
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
        if let result = CallbackResult(errorIn: query) { return result }
        guard let code = query["code"], ["approve", "late"].contains(code),
            let identity = SupplierIdentity(supplier: .sandbox, userID: "sandbox-user")
        else { return .failed(.codeRefused) }
        let account = MaskedAccount.text(email: nil, name: "Sandbox User", subject: identity.userID)
        return CallbackResult(outcome: .signedIn(identity, account: account), isLate: code == "late")
    }
}
