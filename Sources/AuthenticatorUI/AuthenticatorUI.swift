// The Authenticator UI: what a browser finds at a link_url, up to the way back to the manufacturer's app.

package import HTTPServer
package import LinkSessionRepository
internal import LinkSessions
package import ReturnLinks
package import TokenGenerator

/// The pages, and the steps of a sign-in behind them.
///
/// `GET` and `HEAD` change nothing, since scanners open links too. The one exception is a supplier's callback, which is
/// a `GET` by the standard and needs the cookie of the browser that began the sign-in.
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
        routes.add("/ui", .get(answeringErrors(showLink)))
        routes.add("/ui/sign-ins", .post(answeringErrors(startSignIn)))
        routes.add("/ui/sign-ins/{id}", .get(answeringErrors(showSignIn)), .post(answeringErrors(confirm)))
        routes.add("/ui/callback/{supplier}", .get(answersHead: false, answeringErrors(takeCallback)))
        routes.add("/ui/sandbox", .get(answeringErrors(showSandbox)))
        routes.add(
            "/ui/style.css", .get { _ in Resource.response(Resource.stylesheet, type: "text/css; charset=utf-8") })
        routes.add("/ui/icon.svg", .get { _ in Resource.response(Resource.icon, type: "image/svg+xml") })
        routes.add("/.well-known/security.txt", .get { _ in SecurityText.response(publicBaseURL) })
    }
}

// MARK: What every step asks for

extension AuthenticatorUI {
    /// The session of a token; `nil` where there is none, or it has no pages (any more).
    func snapshot(of token: LinkToken?, _ request: PageRequest) async throws -> LinkSessionSnapshot? {
        guard let token else { return nil }
        let snapshot = try await signIns.snapshot(
            tokenDigest: try SHA256.digest(of: token.characters), until: request.http.deadline)
        return snapshot.flatMap { $0.isServed ? $0 : nil }
    }

    /// A sign-in and its session; `nil` where there is none, or the session has no pages (any more).
    func find(
        _ id: SHA256Digest, _ request: PageRequest
    ) async throws -> (signIn: SignIn, snapshot: LinkSessionSnapshot)? {
        guard let found = try await signIns.find(id, until: request.http.deadline), found.snapshot.isServed
        else { return nil }
        return found
    }

    func usableSuppliers(_ request: PageRequest) async throws -> [Supplier] {
        try await suppliers.enabled(until: request.http.deadline).filter { isUsable($0) }
    }

    func usableSupplier(_ slug: Supplier.Slug?, _ request: PageRequest) async throws -> Supplier? {
        guard let slug else { return nil }
        return try await usableSuppliers(request).first { $0.slug == slug }
    }

    /// A supplier whose client secret is not configured cannot sign anybody in.
    private func isUsable(_ supplier: Supplier) -> Bool {
        switch supplier.signIn {
        case .sandbox: true
        case .openIDConnect(let client): clientSecret(client.clientSecretName) != nil
        }
    }

    /// Records what was refused; a database that does not answer keeps nobody from the page that says so.
    func record(_ event: LinkSessionEvent, _ snapshot: LinkSessionSnapshot, _ request: PageRequest) async {
        do throws(RepositoryError) {
            try await sessions.record(
                event, tokenDigest: snapshot.tokenDigest, requestID: request.http.id,
                until: request.http.deadline)
        } catch {
            request.http.record.cause = "an event could not be recorded: \(PageError(error))"
        }
    }
}
