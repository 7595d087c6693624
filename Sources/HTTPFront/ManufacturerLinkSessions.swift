internal import APIKeyAuth
internal import HTTPServer
internal import JSON
internal import LinkSessionRepository
internal import LinkSessions
internal import Metrics
internal import NIOHTTP1
internal import ReturnLinks
internal import TokenGenerator

/// What a manufacturer's backend does with its own sessions.
struct ManufacturerLinkSessions {
    let apiKeys: APIKeyAuthenticator
    let sessions: LinkSessionRepository
    /// Those that can be chosen on our pages.
    let suppliers: @Sendable () throws -> [Supplier]
    let feed: EventFeedRepository
    let watcher: EventFeedWatcher
    let tokenGenerator: TokenGenerator
    /// Without a slash at the end, such as `https://auth.nox.energy`.
    let publicBaseURL: String
    let returnLinks: ReturnLinks
    /// The first is for new sessions, the others are of older ones.
    let idempotencySecrets: [IdempotencySecret]
    private let created = Counter(label: "link_sessions_created_total")

    init(
        apiKeys: APIKeyAuthenticator, sessions: LinkSessionRepository,
        suppliers: @escaping @Sendable () throws -> [Supplier], feed: EventFeedRepository, watcher: EventFeedWatcher,
        tokenGenerator: TokenGenerator, publicBaseURL: String, returnLinks: ReturnLinks,
        idempotencySecrets: [IdempotencySecret]
    ) {
        self.apiKeys = apiKeys
        self.sessions = sessions
        self.suppliers = suppliers
        self.feed = feed
        self.watcher = watcher
        self.tokenGenerator = tokenGenerator
        self.publicBaseURL = publicBaseURL
        self.returnLinks = returnLinks
        self.idempotencySecrets = idempotencySecrets
    }

    func add(to routes: inout Routes) {
        let path = "/v2/manufacturer/link-sessions"
        routes.add(path, .keyed, .get(answeringErrors(list)), .post(answeringErrors(create)))
        routes.add(path + "/{link_token}", .keyed, .get(answeringErrors(find)))
        routes.add(path + "/{link_token}/events", .keyed, .get(answeringErrors(eventsOfSession)))
        routes.add("/v2/manufacturer/events", .keyed, .get(answeringErrors(events)))
        routes.add(path + "/{link_token}/expire", .keyed, .post(answeringErrors(expire)))
        routes.add(path + "/{link_token}/confirm", .keyed, .post(answeringErrors(confirm)))
    }

    @Sendable private func create(_ request: Request) async throws -> Response {
        let caller = try await apiKeys.manufacturer(of: request, for: .creates)
        let key = try request.idempotencyKey()
        let new = try NewLinkSession(try await request.jsonBody(), for: caller, choosingFrom: suppliers)
        guard let key else { return try await create(new, of: caller.manufacturer, request) }
        return try await create(new, of: caller.manufacturer, under: key, request)
    }

    /// Where the node of the token's shard is out of reach, another one may take the session: until the request's time
    /// is up. What the first may have stored has a token that nobody knows.
    private func create(
        _ new: NewLinkSession, of manufacturer: Manufacturer, _ request: Request
    ) async throws -> Response {
        let token = try tokenGenerator.makeToken()
        request.record.session = token.id.text
        let digest = try SHA256.digest(of: token.characters)
        do {
            let session = try await sessions.create(new, id: token.id, tokenDigest: digest, until: request.deadline)
            created.increment()
            return answer(session, of: manufacturer, token, isNew: true)
        } catch {
            guard case .nodeUnreachable = error, request.deadline > .now else { throw error }
            tokenGenerator.leaveShard(of: token.id)
        }
        return try await create(new, of: manufacturer, request)
    }

    /// Answers with the session that the key stands for: a new one, or the one that it made within the last 24 hours, as
    /// it was answered then.
    private func create(
        _ new: NewLinkSession, of manufacturer: Manufacturer, under key: IdempotencyKey, _ request: Request
    ) async throws -> Response {
        let secret = idempotencySecrets[0]
        let id = try tokenGenerator.makeID(shard: manufacturer.id.shard)
        request.record.session = id.text
        let token = try secret.token(of: id, manufacturer.id, key)
        let (session, stored) = try await sessions.create(
            new, id: id, tokenDigest: try SHA256.digest(of: token.characters),
            under: IdempotencyRecord(
                key: try key.digest(of: manufacturer.id), request: try secret.digest(of: new), secretID: secret.id),
            until: request.deadline)
        guard session.id != id else {
            created.increment()
            return answer(session, of: manufacturer, token, isNew: true)
        }

        request.record.session = session.id.text
        guard let secret = idempotencySecrets.first(where: { $0.id == stored.secretID }) else {
            throw RepositoryError.unavailable(
                cause: "an Idempotency-Key was used under a secret that IDEMPOTENCY_SECRETS lacks")
        }
        guard try secret.digest(of: new) == stored.request else { throw ErrorAnswer.idempotencyKeyReused }
        let sameToken = try secret.token(of: session.id, manufacturer.id, key)
        var response = answer(session, of: manufacturer, sameToken, isNew: true)
        response.headers.add(name: "idempotent-replayed", value: "true")
        return response
    }

    @Sendable private func find(_ request: Request) async throws -> Response {
        let caller = try await apiKeys.manufacturer(of: request)
        let wait = try FormFields(request.query).wait
        let (session, token) = try await session(of: caller, request)
        guard session.status == .open, let wait else { return answer(session, of: caller.manufacturer, token) }
        return try await hold(for: .end(session.id), of: session.manufacturer, within: wait, request) { isLast in
            let found = try await sessions.find(session.id, until: request.deadline)?.session
            guard let found else { throw ErrorAnswer.linkSessionNotFound }
            return found.status == .open && !isLast ? nil : answer(found, of: caller.manufacturer, token)
        }
    }

    @Sendable private func expire(_ request: Request) async throws -> Response {
        let caller = try await apiKeys.manufacturer(of: request)
        let (found, token) = try await session(of: caller, request)
        let session = try await sessions.expire(found.id, requestID: request.id, until: request.deadline)
        guard let session else { throw ErrorAnswer.linkSessionNotFound }
        switch session.status {
        case .completed: throw ErrorAnswer.linkSessionCompleted
        case .expired: return answer(session, of: caller.manufacturer, token)
        case .open:
            throw RepositoryError.unavailable(
                cause: "the session is still open after it was expired: a clock stepped back")
        }
    }

    /// The manufacturer's backend says which of its users came back with the result: `completed` alone says that a
    /// browser finished, not whose it was.
    @Sendable private func confirm(_ request: Request) async throws -> Response {
        let caller = try await apiKeys.manufacturer(of: request)
        let body = try await request.jsonBody()
        let userID = try ManufacturerUserID(try body.string("user_id", .userID))
        let code = try body.string("code", .code)
        let (found, _) = try await session(of: caller, request)
        let codeIsRight = try returnLinks.isCode(code, for: found.id)
        let session = try await sessions.confirm(
            found.id, userID: codeIsRight ? userID : nil, requestID: request.id, until: request.deadline)
        guard let session else { throw ErrorAnswer.linkSessionNotFound }
        guard let completedAt = session.completedAt else { throw ErrorAnswer.linkSessionNotCompleted }
        guard codeIsRight, session.userID == userID, let link = session.link else {
            throw ErrorAnswer.confirmationRefused
        }
        guard let confirmedAt = session.confirmedAt else { throw ErrorAnswer.codeExpired }
        return Response(
            json: JSONWriter.object { object in
                object.add("nox_user_id", link.noxUserID)
                object.add("supplier", orNull: link.identity?.supplier.text)
                object.add("connected_at", completedAt)
                object.add("confirmed_at", confirmedAt)
            })
    }

    /// One of the caller's own sessions, which the path names by its token or by its id.
    func session(
        of caller: ManufacturerCaller, _ request: Request
    ) async throws -> (session: LinkSession, token: LinkToken?) {
        var found: LinkSessionSnapshot?
        var token: LinkToken?
        if let id = LinkSessionID(request.parameter) {
            request.record.session = request.parameter
            found = try await sessions.find(id, until: request.deadline)
        } else {
            let given = try request.linkToken()
            (found, token) = (try await sessions.find(given, for: request), given)
        }
        guard let session = found?.session, session.manufacturer == caller.manufacturer.id else {
            throw ErrorAnswer.linkSessionNotFound
        }
        return (session, token)
    }

    private func answer(
        _ session: LinkSession, of manufacturer: Manufacturer, _ token: LinkToken?, isNew: Bool = false
    ) -> Response {
        let body = JSONWriter.object { write(session, of: manufacturer, token, isNew: isNew, to: &$0) }
        var response = Response(json: body, status: isNew ? .created : .ok)
        if isNew { response.headers.add(name: "link-session-id", value: session.id.text) }
        return response
    }

    /// A session as answers have it. Without a token, which nobody has any more where the session was found by its id,
    /// there is no link.
    func write(
        _ session: LinkSession, of manufacturer: Manufacturer, _ token: LinkToken?, isNew: Bool = false,
        to object: inout JSONWriter
    ) {
        if let token {
            let language = session.language.rawValue
            object.add("link_url", "\(publicBaseURL)/ui?token=\(token.characters)&language=\(language)")
            object.add("link_token", token.characters)
        }
        session.write(of: manufacturer, isNew: isNew, to: &object)
    }
}

extension LinkSession {
    /// As answers and events have it: to a create with the published fields and no others.
    func write(of manufacturer: Manufacturer, isNew: Bool = false, to object: inout JSONWriter) {
        object.add("language", language.rawValue)
        object.add("redirect_url", redirectURL.text)
        object.add("manufacturer", manufacturer.name)
        object.add("manufacturer_user_id", userID.text)
        object.add("created_at", createdAt)
        object.add("expires_at", expiresAt)
        if let brand = manufacturer.brand { object.add("brand", brand.titleCased) }
        object.add("completed_at", orNull: completedAt)
        if let preferred = options.preferredSupplier { object.add("supplier", preferred.text) }
        if let offered = options.offeredSuppliers { object.add("suppliers", strings: offered.map(\.text)) }
        if let metadata = options.metadata {
            object.add("metadata", members: metadata.members.map { ($0.name, $0.value) })
        }
        if !isNew {
            object.add("id", id.text)
            object.add("status", status.rawValue)
            object.add("confirmed_at", orNull: confirmedAt)
        }
    }
}

extension NewLinkSession {
    /// - Parameter suppliers: those that can be chosen on our pages.
    fileprivate init(
        _ body: JSONObject, for caller: ManufacturerCaller, choosingFrom suppliers: () throws -> [Supplier]
    ) throws {
        let userID = try ManufacturerUserID(try body.string("user_id", .userID))
        let redirectURL = try RedirectURL(try body.string("redirect_url", .redirectURL))
        let language: Language
        switch body["language"] {
        case nil: language = .default
        case .string(let text): language = try Language(text)
        case .null, .other: throw Language.validationError
        }
        let options = try LinkSessionOptions(body, choosingFrom: suppliers)
        try caller.redirectPolicy.check(redirectURL)
        self.init(
            manufacturer: caller.manufacturer.id, userID: userID, redirectURL: redirectURL, language: language,
            options: options)
    }
}
