package import HTTPServer
package import LinkSessionRepository
package import LinkSessions
internal import NIOHTTP1
package import OutboundHTTP
package import ReturnLinks
package import TokenGenerator

/// The Authenticator UI: what a browser finds at a link_url, up to the way back to the manufacturer's app.
///
/// `GET` and `HEAD` change nothing, since scanners open links too. The one exception is a supplier's callback, which is
/// a `GET` by the standard and needs the cookie of the browser that began the sign-in.
package struct AuthenticatorUI: Sendable {
    /// Where browsers reach us, without a slash at the end.
    let publicBaseURL: String
    let sessions: LinkSessionRepository
    let signIns: SignInRepository
    let logos: LogoCache
    let controlPlane: ControlPlaneCache
    let supplierHealth: SupplierHealth
    let returnLinks: ReturnLinks
    let tokenGenerator: TokenGenerator
    /// The client secret that has this name in the configuration.
    let clientSecret: @Sendable (String) -> String?
    let pages: Pages
    let cookies: SignInCookies
    let originCheck: OriginCheck
    let providers: OpenIDProviders

    package init(
        publicBaseURL: String, sessions: LinkSessionRepository, signIns: SignInRepository,
        logos: LogoRepository, controlPlane: ControlPlaneCache, supplierHealth: SupplierHealth,
        returnLinks: ReturnLinks,
        tokenGenerator: TokenGenerator,
        clientSecret: @escaping @Sendable (String) -> String?, providersAt addresses: PublicAddresses
    ) throws {
        self.publicBaseURL = publicBaseURL
        self.sessions = sessions
        self.signIns = signIns
        self.logos = LogoCache(repository: logos, controlPlane: controlPlane)
        self.controlPlane = controlPlane
        self.supplierHealth = supplierHealth
        self.returnLinks = returnLinks
        self.tokenGenerator = tokenGenerator
        self.clientSecret = clientSecret
        providers = OpenIDProviders(http: try OutboundHTTPClient(to: addresses))
        let isSecure = publicBaseURL.lowercased().hasPrefix("https:")
        pages = try Pages(isSecure: isSecure)
        cookies = SignInCookies(isSecure: isSecure)
        originCheck = OriginCheck(publicBaseURL: publicBaseURL)
    }

    package func add(to routes: inout Routes) {
        routes.add("/ui", .get(answeringErrors(showLink)))
        routes.add("/ui/sign-ins", .post(answeringErrors(startSignIn)))
        routes.add("/ui/sign-ins/{id}", .get(answeringErrors(showSignIn)), .post(answeringErrors(confirm)))
        routes.add(
            "/ui/callback/{supplier}", .get(answersHead: false, answeringErrors(takeCallback)),
            .post(answeringErrors(takePostedCallback)))
        routes.add("/ui/sandbox", .get(answeringErrors(showSandbox)))
        routes.add(
            "/ui/style.css", .get { _ in Resource.response(Resource.stylesheet, type: "text/css; charset=utf-8") })
        routes.add(
            "/ui/page.js", .get { _ in Resource.response(Resource.script, type: "text/javascript; charset=utf-8") })
        routes.add("/ui/icon.svg", .get { _ in Resource.response(Resource.icon, type: "image/svg+xml") })
        routes.add("/ui/logos/{digest}", .get(answeringErrors(showLogo)))
        // What browsers and crawlers ask every host for.
        routes.add("/favicon.ico", .get { _ in Resource.response(Resource.favicon, type: "image/vnd.microsoft.icon") })
        routes.add("/apple-touch-icon.png", .get { _ in Resource.response(Resource.touchIcon, type: "image/png") })
        routes.add("/robots.txt", .get { _ in Resource.response(Resource.robots, type: "text/plain; charset=utf-8") })
        routes.add("/.well-known/security.txt", .get { _ in Resource.securityText(publicBaseURL) })
    }
}

/// What every step asks for.
extension AuthenticatorUI {
    /// The session of a token, where it has pages.
    func snapshot(of token: LinkToken, _ request: PageRequest) async throws -> LinkSessionSnapshot {
        request.http.record.session = token.id.text
        let digest = try SHA256.digest(of: token.characters)
        guard let snapshot = try await sessions.find(token.id, tokenDigest: digest, until: request.http.deadline),
            snapshot.isServed
        else { throw UnknownPageError() }
        return snapshot
    }

    /// A sign-in and its session; `nil` where there is none, or the session has no pages (any more).
    func find(
        _ id: SignIn.ID?, _ request: PageRequest
    ) async throws -> (signIn: SignIn, snapshot: LinkSessionSnapshot)? {
        guard let id else { return nil }
        request.http.record.session = id.session.text
        let found = try await signIns.find(id, until: request.http.deadline)
        return found?.snapshot.isServed == true ? found : nil
    }

    /// Enabled suppliers that are not offered, since the configuration lacks their client secret, each with the name of
    /// the setting.
    package func suppliersWithoutSecret() -> [(slug: String, setting: String)] {
        ((try? controlPlane.suppliers()) ?? []).compactMap { supplier in
            guard case .openIDConnect(let client) = supplier.signIn, clientSecret(client.clientSecretName) == nil else {
                return nil
            }
            return (supplier.slug.text, client.clientSecretName)
        }
    }

    /// What the session's user can choose from: where its manufacturer named some, those alone.
    func suppliers(offeredIn session: LinkSession) throws -> [Supplier] {
        try usableSuppliers().filter { session.options.offers($0.slug) }
    }

    /// Those that can be chosen on our pages, by name.
    package func usableSuppliers() throws -> [Supplier] {
        try controlPlane.suppliers().filter { supplier in
            // A supplier whose client secret is not configured cannot sign anybody in.
            switch supplier.signIn {
            case .sandbox: true
            case .openIDConnect(let client): clientSecret(client.clientSecretName) != nil
            }
        }
    }

    func usableSupplier(_ slug: Supplier.Slug?) throws -> Supplier? {
        guard let slug else { return nil }
        return try usableSuppliers().first { $0.slug == slug }
    }

    /// Records what was refused; a database that does not answer keeps nobody from the page that says so.
    func record(_ event: LinkSessionEvent, _ snapshot: LinkSessionSnapshot, _ request: PageRequest) async {
        do throws(RepositoryError) {
            try await sessions.record(
                event, of: snapshot.session.id, requestID: request.http.id, until: request.http.deadline)
        } catch {
            request.http.record.cause = "an event could not be recorded: \(error)"
        }
    }
}

/// The link or the sign-in is not known here (any more), or its session has no pages.
struct UnknownPageError: Error {}

extension AuthenticatorUI {
    /// A handler whose errors are answered with the page that says so.
    func answeringErrors(_ handler: @escaping @Sendable (PageRequest) async throws -> Response) -> Handler {
        { http in
            let request = PageRequest(http)
            do {
                return try await handler(request)
            } catch {
                return errorPage(error, request)
            }
        }
    }

    /// The border to all that the steps call.
    private func errorPage(_ error: any Error, _ request: PageRequest) -> Response {
        switch error {
        case is UnknownPageError: unknownPage(request)
        case let error as RepositoryError:
            switch error {
            case .unavailable(let cause), .nodeUnreachable(let cause):
                unavailablePage(.serviceUnavailable, request, cause: cause)
            case .overloaded: unavailablePage(.serviceUnavailable, request, cause: "too much waiting work")
            case .bug(let cause): unavailablePage(.internalServerError, request, cause: cause)
            }
        case is RandomnessError: unavailablePage(.internalServerError, request, cause: "no secret could be made")
        case is OpenSSLError: unavailablePage(.internalServerError, request, cause: "OpenSSL refused")
        default: unavailablePage(.internalServerError, request, cause: "\(type(of: error))")
        }
    }
}
