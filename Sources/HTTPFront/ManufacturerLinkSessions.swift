// /v2/manufacturer/link-sessions: what a manufacturer's backend does with its own sessions.

internal import APIKeyAuth
internal import HTTPServer
internal import JSON
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1
internal import ReturnLinks
internal import TokenGenerator

struct ManufacturerLinkSessions {
    let apiKeys: APIKeyCache
    let sessions: LinkSessionRepository
    let tokenGenerator: TokenGenerator
    /// Without a slash at the end, such as `https://auth.nox.energy`.
    let publicBaseURL: String
    let returnLinks: ReturnLinks

    func add(to routes: inout Routes) {
        let path = "/v2/manufacturer/link-sessions"
        routes.add(path, .post(answeringErrors(create)))
        routes.add(path + "/{link_token}", .get(answeringErrors(find)))
        routes.add(path + "/{link_token}/expire", .post(answeringErrors(expire)))
        routes.add(path + "/{link_token}/confirm", .post(answeringErrors(confirm)))
    }

    @Sendable private func create(_ request: Request) async throws -> Response {
        let caller = try apiKeys.manufacturer(of: request)
        let new = try CreateRequest(body: try await request.jsonBody()).newLinkSession(for: caller)
        let token = try tokenGenerator.makeToken()
        let session = try await sessions.create(
            new, tokenDigest: try SHA256.digest(of: token.characters), until: request.deadline)
        return Response(json: session.manufacturerView(token: token, publicBaseURL: publicBaseURL), status: .created)
    }

    @Sendable private func find(_ request: Request) async throws -> Response {
        let caller = try apiKeys.manufacturer(of: request)
        let (token, digest) = try request.linkToken()
        let session = try await sessions.find(tokenDigest: digest, of: caller.manufacturer, until: request.deadline)
        guard let session else { throw APIError.linkSessionNotFound }
        return Response(json: session.manufacturerView(token: token, publicBaseURL: publicBaseURL, withStatus: true))
    }

    @Sendable private func expire(_ request: Request) async throws -> Response {
        let caller = try apiKeys.manufacturer(of: request)
        let (token, digest) = try request.linkToken()
        let session = try await sessions.expire(
            tokenDigest: digest, of: caller.manufacturer.id, requestID: request.id, until: request.deadline)
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

    /// The manufacturer's backend says which of its users came back with the result: `completed` alone says that a
    /// browser finished, not whose it was.
    @Sendable private func confirm(_ request: Request) async throws -> Response {
        let caller = try apiKeys.manufacturer(of: request)
        let (_, digest) = try request.linkToken()
        let body = try ConfirmRequest(body: try await request.jsonBody())
        let codeIsRight = try returnLinks.isCode(body.code, for: digest)
        let session = try await sessions.confirm(
            tokenDigest: digest, of: caller.manufacturer.id, userID: codeIsRight ? body.userID : nil,
            requestID: request.id, until: request.deadline)
        guard let session else { throw APIError.linkSessionNotFound }
        guard let completedAt = session.completedAt else { throw APIError.linkSessionNotCompleted }
        guard codeIsRight, session.userID == body.userID, let link = session.link else {
            throw APIError.confirmationRefused
        }
        guard let confirmedAt = session.confirmedAt else { throw APIError.codeExpired }
        return Response(
            json: JSONWriter.object { object in
                object.add("nox_user_id", link.noxUserID)
                object.add("supplier", orNull: link.identity?.supplier.text)
                object.add("connected_at", completedAt)
                object.add("confirmed_at", confirmedAt)
            })
    }
}

/// The body of a confirm.
private struct ConfirmRequest {
    let userID: ManufacturerUserID
    let code: String

    init(body: JSONObject) throws(ValidationError) {
        userID = try ManufacturerUserID(in: body)
        guard case .string(let code) = body["code"] else {
            throw ValidationError(.code, "code is required and must be a string")
        }
        self.code = code
    }
}

extension ManufacturerUserID {
    fileprivate init(in body: JSONObject) throws(ValidationError) {
        guard case .string(let text) = body["user_id"] else {
            throw ValidationError(.userID, "user_id is required and must be a string")
        }
        try self.init(text)
    }
}

/// The body of a create.
private struct CreateRequest {
    let userID: ManufacturerUserID
    let redirectURL: RedirectURL
    let language: Language

    init(body: JSONObject) throws(ValidationError) {
        userID = try ManufacturerUserID(in: body)
        guard case .string(let redirectURL) = body["redirect_url"] else {
            throw ValidationError(.redirectURL, "redirect_url is required and must be a string")
        }
        self.redirectURL = try RedirectURL(redirectURL)
        switch body["language"] {
        case nil: language = .default
        case .string(let language): self.language = try Language(language)
        case .null, .other: throw Language.validationError
        }
    }

    func newLinkSession(for caller: ManufacturerCaller) throws(ValidationError) -> NewLinkSession {
        try caller.redirectPolicy.check(redirectURL)
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
            if withStatus {
                object.add("status", status.rawValue)
                object.add("confirmed_at", orNull: confirmedAt)
            }
        }
    }
}
