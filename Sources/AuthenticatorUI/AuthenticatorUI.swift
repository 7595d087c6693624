// The Authenticator UI: what a browser finds at a link_url, up to the way back to the manufacturer's app.

package import HTTPServer
package import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
package import ReturnLinks
package import TokenGenerator

/// The pages and the flow behind them.
///
/// `GET` and `HEAD` change nothing, but for a supplier's answer, which needs the cookie of the browser that began.
package struct AuthenticatorUI: Sendable {
    let publicBaseURL: String
    let sessions: LinkSessionRepository
    let signIns: SignInRepository
    let suppliers: SupplierRepository
    let returnLinks: ReturnLinks
    let tokenGenerator: TokenGenerator
    /// The client secret that has this name in the configuration.
    let clientSecret: @Sendable (String) -> String?
    let pages: Pages
    let cookies: SignInCookies
    let originCheck: OriginCheck
    let providers = OpenIDProviders()

    /// - Parameters:
    ///   - publicBaseURL: where browsers reach us, without a slash at the end.
    ///   - clientSecret: the client secret that has this name in the configuration.
    package init(
        publicBaseURL: String, sessions: LinkSessionRepository, signIns: SignInRepository,
        suppliers: SupplierRepository, returnLinks: ReturnLinks, tokenGenerator: TokenGenerator,
        clientSecret: @escaping @Sendable (String) -> String?
    ) throws {
        self.publicBaseURL = publicBaseURL
        self.sessions = sessions
        self.signIns = signIns
        self.suppliers = suppliers
        self.returnLinks = returnLinks
        self.tokenGenerator = tokenGenerator
        self.clientSecret = clientSecret
        let isSecure = publicBaseURL.lowercased().hasPrefix("https:")
        pages = try Pages(isSecure: isSecure)
        cookies = SignInCookies(isSecure: isSecure)
        originCheck = OriginCheck(publicBaseURL: publicBaseURL)
    }

    package func add(to routes: inout Routes) {
        routes.add("/ui", .get { await answer($0, linkPage) })
        routes.add("/ui/sign-ins", .post { await answer($0, startSignIn) })
        routes.add("/ui/sign-ins/{id}", .get { await answer($0, signInPage) }, .post { await answer($0, complete) })
        routes.add("/ui/callback/{supplier}", .get(answersHead: false) { await answer($0, takeAnswer) })
        routes.add("/ui/sandbox", .get { await answer($0, sandboxPage) })
        routes.add(
            "/ui/style.css", .get { _ in Resource.response(Resource.stylesheet, type: "text/css; charset=utf-8") })
        routes.add("/ui/icon.svg", .get { _ in Resource.response(Resource.icon, type: "image/svg+xml") })
        routes.add("/.well-known/security.txt", .get { _ in SecurityText.response(publicBaseURL) })
    }
}

/// Why there is no page but the one that asks to try again.
enum PageError: Error {
    case unavailable(cause: String)
    case bug(cause: String)

    init(_ error: RepositoryError) {
        switch error {
        case .unavailable(let cause): self = .unavailable(cause: cause)
        case .overloaded: self = .unavailable(cause: "too much waiting work")
        case .bug(let cause): self = .bug(cause: cause)
        }
    }
}

/// A request on its way to its page.
struct Visitor {
    let request: Request
    let fields: FormFields
    /// What the visitor asks for, and the session's language does not matter then.
    let chosenLanguage: Language?
    /// For pages of no session.
    let fallbackLanguage: Language

    init(_ request: Request) {
        self.request = request
        fields = FormFields(request.query)
        chosenLanguage = fields["language"].flatMap(Language.init(rawValue:))
        fallbackLanguage =
            chosenLanguage
            ?? Language(acceptLanguage: request.headers["accept-language"].joined(separator: ",")) ?? .default
    }
}

extension AuthenticatorUI {
    private func answer(
        _ request: Request, _ handler: (Visitor) async throws(PageError) -> Response
    ) async -> Response {
        let visitor = Visitor(request)
        do throws(PageError) {
            return try await handler(visitor)
        } catch {
            let status: HTTPResponseStatus
            switch error {
            case .unavailable(let cause): (status, request.record.cause) = (.serviceUnavailable, cause)
            case .bug(let cause): (status, request.record.cause) = (.internalServerError, cause)
            }
            var page = Page(notice: "unavailable", status: status)
            if let token = visitor.fields["token"].flatMap({ LinkToken($0) }) {
                page.url = { Self.linkURL(token, $0) }
            }
            var response = pages.response(page, in: visitor.fallbackLanguage)
            response.headers.add(name: "retry-after", value: "1")
            return response
        }
    }

    func translating<Value>(
        _ body: () async throws(RepositoryError) -> Value
    ) async throws(PageError) -> Value {
        do throws(RepositoryError) {
            return try await body()
        } catch {
            throw PageError(error)
        }
    }

    func returnLink(
        _ body: (ReturnLinks) throws(OpenSSLError) -> String
    ) throws(PageError) -> String {
        do throws(OpenSSLError) {
            return try body(returnLinks)
        } catch {
            throw .bug(cause: "a return link could not be signed")
        }
    }

    func digest(of token: LinkToken) throws(PageError) -> SHA256Digest {
        guard let digest = try? SHA256.digest(of: token.characters) else {
            throw .bug(cause: "no digest could be made")
        }
        return digest
    }

    func snapshot(_ token: LinkToken?) async throws(PageError) -> LinkSessionSnapshot? {
        guard let token else { return nil }
        let digest = try digest(of: token)
        let snapshot = try await translating { () throws(RepositoryError) in
            try await signIns.snapshot(tokenDigest: digest, until: .requestDeadline)
        }
        return snapshot.flatMap { $0.isServed ? $0 : nil }
    }

    /// Records what was refused; a database that does not answer keeps nobody from the page that says so.
    func record(_ event: LinkSessionEvent, _ tokenDigest: SHA256Digest, _ request: Request) async {
        do throws(RepositoryError) {
            try await sessions.record(
                event, tokenDigest: tokenDigest, requestID: request.id, until: .requestDeadline)
        } catch {
            request.record.cause = "an event could not be recorded: \(PageError(error))"
        }
    }

    static func linkURL(_ token: LinkToken, _ language: Language) -> String {
        "/ui?token=\(token.characters)&language=\(language.rawValue)"
    }
}

// MARK: A session's page

extension AuthenticatorUI {
    private func linkPage(_ visitor: Visitor) async throws(PageError) -> Response {
        let token = visitor.fields["token"].flatMap { LinkToken($0) }
        guard let token, let snapshot = try await snapshot(token) else { return unknown(visitor) }
        return try await page(of: snapshot, token, visitor)
    }

    func unknown(_ visitor: Visitor) -> Response {
        var page = Page(notice: "unknown", status: .notFound)
        page.url = { language in
            guard let token = visitor.fields["token"].flatMap({ LinkToken($0) }) else {
                return "/ui?language=\(language.rawValue)"
            }
            return Self.linkURL(token, language)
        }
        return pages.response(page, in: visitor.fallbackLanguage)
    }

    /// The page that the session's state asks for.
    ///
    /// - Parameter status: what an open session's page is answered with.
    func page(
        of snapshot: LinkSessionSnapshot, _ token: LinkToken, _ visitor: Visitor, language: Language? = nil,
        status: HTTPResponseStatus = .ok
    ) async throws(PageError) -> Response {
        let session = snapshot.session
        let language = visitor.chosenLanguage ?? language ?? session.language
        guard session.status == .open else {
            return try ended(snapshot, visitor, language) { Self.linkURL(token, $0) }
        }
        let enabled = try await translating { () throws(RepositoryError) in
            try await suppliers.enabled(until: .requestDeadline)
        }
        let usable = enabled.filter { isUsable($0) }
        var page = Page(
            "link", status: status,
            [
                "brand": session.displayName, "token": token.characters,
                "minutes": max(1, (session.expiresAt - snapshot.now + 30) / 60),
                "hasSuppliers": !usable.isEmpty,
                "suppliers": usable.map { ["slug": $0.slug.text, "name": $0.name] },
            ])
        page.back = try returnLink { links throws(OpenSSLError) in
            try links.ended(.cancelled, session, tokenDigest: snapshot.tokenDigest, now: snapshot.now)
        }
        page.url = { Self.linkURL(token, $0) }
        return pages.response(page, in: language)
    }

    /// A completed or expired session. The result of a completion goes to the browser that completed, while it is
    /// fresh; everybody else gets the plain way back.
    func ended(
        _ snapshot: LinkSessionSnapshot, _ visitor: Visitor, _ language: Language, url: @escaping (Language) -> String
    ) throws(PageError) -> Response {
        let session = snapshot.session
        var page: Page
        if session.status == .completed {
            page = Page(notice: "completed", status: .ok)
            page.back = session.redirectURL.text
            if isCompleter(visitor.request, of: snapshot) { page.back = try completedLink(snapshot) }
        } else {
            page = Page(notice: "expired", status: .gone)
            page.back = try returnLink { links throws(OpenSSLError) in
                try links.ended(.expired, session, tokenDigest: snapshot.tokenDigest, now: snapshot.now)
            }
        }
        page.values["brand"] = session.displayName
        page.url = url
        return pages.response(page, in: language)
    }

    func completedLink(_ snapshot: LinkSessionSnapshot) throws(PageError) -> String {
        try returnLink { links throws(OpenSSLError) in
            try links.completed(snapshot.session, tokenDigest: snapshot.tokenDigest)
        }
    }

    /// Whether the request comes from the browser that completed the session, and its result may still be fetched.
    func isCompleter(_ request: Request, of snapshot: LinkSessionSnapshot) -> Bool {
        guard snapshot.resultIsFresh, let completer = snapshot.completedBy else { return false }
        return cookies.secret(of: completer, in: request) != nil
    }

    /// A supplier whose client secret is not configured cannot sign anybody in.
    func isUsable(_ supplier: Supplier) -> Bool {
        switch supplier.signIn {
        case .sandbox: true
        case .openIDConnect(let client): clientSecret(client.clientSecretName) != nil
        }
    }
}

extension LinkSession {
    /// What its user knows the manufacturer by.
    var displayName: String { manufacturer.brand?.titleCased ?? manufacturer.name }
}
