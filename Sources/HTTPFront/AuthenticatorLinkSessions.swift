// /v2/authenticator/link-sessions: what the UI that signs the user in does with any session.

internal import APIKeyAuth
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1

struct AuthenticatorLinkSessions {
    let keyRing: KeyRing
    let repository: LinkSessionRepository
    let signIns: SignInRepository
    let suppliers: SupplierRepository
    let returnLinks: ReturnLinks

    func add(to routes: inout Routes) {
        routes.add("/v2/authenticator/link-sessions/{link_token}", .get(find))
        routes.add("/v2/authenticator/link-sessions/{link_token}/complete", .post(complete))
    }

    @Sendable private func find(_ request: Request) async throws(APIError) -> Response {
        try keyRing.checkAuthenticator(request)
        let (_, digest) = try request.linkToken()
        let session = try await translatingErrors { () throws(RepositoryError) in
            try await repository.lookUp(
                tokenDigest: digest, requestID: request.id, until: .requestDeadline)
        }
        guard let session else { throw APIError.linkSessionNotFound }
        return Response(json: session.authenticatorView())
    }

    @Sendable private func complete(_ request: Request) async throws(APIError) -> Response {
        try keyRing.checkAuthenticator(request)
        let (_, digest) = try request.linkToken()
        let identity = request.hasBody ? try Self.identity(in: try await request.jsonBody()) : nil
        let visit = try await translatingErrors { () throws(RepositoryError) in
            try await signIns.visit(tokenDigest: digest, until: .requestDeadline)
        }
        guard let visit else { throw APIError.linkSessionNotFound }
        // What is completed already is answered the same whatever changed meanwhile.
        if visit.session.status == .open {
            guard visit.isServed else {
                try await translatingErrors { () throws(RepositoryError) in
                    try await repository.record(
                        .completionRefused(.blocked), tokenDigest: digest, requestID: request.id,
                        until: .requestDeadline)
                }
                throw APIError.linkSessionBlocked
            }
            if let identity { try await check(identity.supplier) }
        }
        let session = try await translatingErrors { () throws(RepositoryError) in
            try await repository.complete(
                tokenDigest: digest, Completion(identity: identity), requestID: request.id, until: .requestDeadline)
        }
        guard let session else { throw APIError.linkSessionNotFound }
        switch session.status {
        case .completed:
            guard session.link?.identity == identity else { throw APIError.completedByAnother }
            let returnURL = try returnLinks.translatingErrors { links throws(ReturnLinks.Failure) in
                try links.completed(session, tokenDigest: digest)
            }
            return Response(json: session.authenticatorView(returnURL: returnURL))
        case .expired:
            throw APIError.linkSessionExpired
        case .open:
            throw APIError.unavailable(
                cause:
                    "the session is still open after it was completed: its manufacturer was disabled meanwhile, or a clock stepped back"
            )
        }
    }

    private static let noSupplier = APIError.refused(
        Refusal(.supplier, "supplier is required and must be the slug of an enabled supplier"))

    private static func identity(in body: JSONObject) throws(APIError) -> SupplierIdentity {
        guard case .string(let text) = body["supplier"], let slug = Supplier.Slug(text) else { throw noSupplier }
        guard case .string(let userID) = body["supplier_user_id"],
            let identity = SupplierIdentity(supplier: slug, userID: userID)
        else {
            throw .refused(
                Refusal(
                    .supplierUserID,
                    "supplier_user_id is required and must be a string of 1 to 255 characters, none of them a control character"
                ))
        }
        return identity
    }

    private func check(_ slug: Supplier.Slug) async throws(APIError) {
        let supplier = try await translatingErrors { () throws(RepositoryError) in
            try await suppliers.enabled(slug, until: .requestDeadline)
        }
        guard supplier != nil else { throw Self.noSupplier }
    }
}

extension ReturnLinks {
    func translatingErrors<Value>(
        _ body: (ReturnLinks) throws(ReturnLinks.Failure) -> Value
    ) throws(APIError) -> Value {
        do throws(ReturnLinks.Failure) {
            return try body(self)
        } catch {
            throw .bug(cause: "OpenSSL could not sign a return link")
        }
    }
}

extension LinkSession {
    fileprivate func authenticatorView(returnURL: String? = nil) -> [UInt8] {
        JSONWriter.object { object in
            object.add("manufacturer", manufacturer.name)
            if let brand = manufacturer.brand { object.add("brand", brand.titleCased) }
            object.add("language", language.rawValue)
            object.add("redirect_url", redirectURL.text)
            object.add("status", status.rawValue)
            object.add("created_at", createdAt)
            object.add("expires_at", expiresAt)
            object.add("completed_at", orNull: completedAt)
            if let returnURL { object.add("return_url", returnURL) }
        }
    }
}
