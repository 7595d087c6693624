// /v2/manufacturer/link-sessions: what a manufacturer's backend does with its own sessions.

internal import APIKeyAuth
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
internal import TokenGenerator

struct ManufacturerLinkSessions {
    let keyRing: KeyRing
    let repository: LinkSessionRepository
    let tokenGenerator: TokenGenerator
    /// Without a slash at the end, such as `https://auth.nox.energy`.
    let publicBaseURL: String

    func add(to routes: inout Routes) {
        routes.add("/v2/manufacturer/link-sessions", .post(create))
        routes.add("/v2/manufacturer/link-sessions/{link_token}", .get(find))
        routes.add("/v2/manufacturer/link-sessions/{link_token}/expire", .post(expire))
    }

    @Sendable private func create(_ request: Request) async throws(APIError) -> Response {
        let caller = try keyRing.manufacturer(of: request)
        let new = try CreateRequest(body: try await request.jsonBody()).newLinkSession(for: caller)
        let token: LinkToken
        let digest: SHA256Digest
        do {
            token = try tokenGenerator.makeToken()
            digest = try SHA256.digest(of: token.characters)
        } catch {
            throw APIError.bug(cause: "no token could be made: \(type(of: error))")
        }
        let session = try await translatingErrors { () throws(RepositoryError) in
            try await repository.create(new, tokenDigest: digest, until: .requestDeadline)
        }
        return Response(json: session.manufacturerView(token: token, publicBaseURL: publicBaseURL), status: .created)
    }

    @Sendable private func find(_ request: Request) async throws(APIError) -> Response {
        let caller = try keyRing.manufacturer(of: request)
        let (token, digest) = try request.linkToken()
        let session = try await translatingErrors { () throws(RepositoryError) in
            try await repository.find(tokenDigest: digest, of: caller.manufacturer, until: .requestDeadline)
        }
        guard let session else { throw APIError.linkSessionNotFound }
        return Response(json: session.manufacturerView(token: token, publicBaseURL: publicBaseURL, withStatus: true))
    }

    @Sendable private func expire(_ request: Request) async throws(APIError) -> Response {
        let caller = try keyRing.manufacturer(of: request)
        let (token, digest) = try request.linkToken()
        let session = try await translatingErrors { () throws(RepositoryError) in
            try await repository.expire(
                tokenDigest: digest, of: caller.manufacturer.id, requestID: request.id,
                until: .requestDeadline)
        }
        guard let session else { throw APIError.linkSessionNotFound }
        switch session.status {
        case .completed:
            throw APIError.linkSessionCompleted
        case .expired:
            return Response(
                json: session.manufacturerView(token: token, publicBaseURL: publicBaseURL, withStatus: true))
        case .open:
            throw APIError.unavailable(cause: "the session is still open after it was expired: a clock stepped back")
        }
    }
}

/// The body of a create.
private struct CreateRequest {
    let userID: ManufacturerUserID
    let redirectURL: RedirectURL
    let language: Language

    init(body: JSONObject) throws(APIError) {
        guard case .string(let userID) = body["user_id"] else {
            throw .refused(Refusal(.userID, "user_id is required and must be a string"))
        }
        do throws(Refusal) {
            self.userID = try ManufacturerUserID(userID)
            guard case .string(let redirectURL) = body["redirect_url"] else {
                throw Refusal(.redirectURL, "redirect_url is required and must be a string")
            }
            self.redirectURL = try RedirectURL(redirectURL)
            switch body["language"] {
            case nil: language = .default
            case .string(let language): self.language = try Language(language)
            case .null, .other: throw Language.refusal
            }
        } catch {
            throw .refused(error)
        }
    }

    func newLinkSession(for caller: ManufacturerCaller) throws(APIError) -> NewLinkSession {
        do throws(Refusal) {
            try caller.redirectPolicy.check(redirectURL)
        } catch {
            throw .refused(error)
        }
        return NewLinkSession(
            manufacturer: caller.manufacturer, userID: userID, redirectURL: redirectURL, language: language)
    }
}

extension LinkSession {
    fileprivate func manufacturerView(
        token: LinkToken, publicBaseURL: String, withStatus: Bool = false
    ) -> [UInt8] {
        JSONWriter.object { object in
            object.add(
                "link_url", "\(publicBaseURL)/ui?token=\(token.characters)&language=\(language.rawValue)")
            object.add("link_token", token.characters)
            object.add("language", language.rawValue)
            object.add("redirect_url", redirectURL.text)
            object.add("manufacturer", manufacturer.name)
            object.add("manufacturer_user_id", userID.text)
            object.add("created_at", createdAt)
            object.add("expires_at", expiresAt)
            if let brand = manufacturer.brand { object.add("brand", brand.titleCased) }
            object.add("completed_at", orNull: completedAt)
            if withStatus { object.add("status", status.rawValue) }
        }
    }
}
