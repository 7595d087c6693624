internal import APIKeyAuth
internal import HTTPServer
internal import JSON
internal import LinkSessionRepository
internal import LinkSessions
internal import ReturnLinks

/// What the Authenticator, the UI that signs the user in, does with any session.
struct AuthenticatorLinkSessions {
    let apiKeys: APIKeyAuthenticator
    let sessions: LinkSessionRepository
    let returnLinks: ReturnLinks

    func add(to routes: inout Routes) {
        let path = "/v2/authenticator/link-sessions/{link_token}"
        routes.add(path, .keyed, .get(answeringErrors(find)))
        routes.add(path + "/complete", .keyed, .post(answeringErrors(complete)))
    }

    @Sendable private func find(_ request: Request) async throws -> Response {
        let key = try apiKeys.authenticator(of: request)
        let found = try await sessions.find(try request.linkToken(), for: request)
        if found.session.status == .open, !found.isOpened {
            try await sessions.open(found.session.id, by: key, requestID: request.id, until: request.deadline)
        }
        return answer(found.session, of: found.manufacturer)
    }

    @Sendable private func complete(_ request: Request) async throws -> Response {
        let key = try apiKeys.authenticator(of: request)
        let token = try request.linkToken()
        let identity = request.hasBody ? try Self.identity(in: try await request.jsonBody()) : nil
        let found = try await sessions.find(token, for: request)
        let outcome = try await sessions.complete(
            found, as: identity, by: key, requestID: request.id, until: request.deadline)
        switch outcome {
        case .completed(let session):
            return answer(
                session, of: found.manufacturer, returnURL: try returnLinks.completed(session, of: found.manufacturer))
        case .completedByAnother: throw ErrorAnswer.completedByAnother
        case .expired: throw ErrorAnswer.linkSessionExpired
        case .blocked: throw ErrorAnswer.linkSessionBlocked
        case .supplierDisabled: throw Self.noSupplier
        case .supplierNotOffered:
            throw ValidationError(
                .supplier, "supplier must be one of those that the link session offers: its suppliers")
        case .unknown: throw ErrorAnswer.linkSessionNotFound
        }
    }

    private static let noSupplier = ValidationError(
        .supplier, "supplier is required and must be the slug of an enabled supplier")

    private static func identity(in body: JSONObject) throws(ValidationError) -> SupplierIdentity {
        guard case .string(let text) = body["supplier"], let slug = Supplier.Slug(text) else { throw noSupplier }
        guard case .string(let userID) = body["supplier_user_id"],
            let identity = SupplierIdentity(supplier: slug, userID: userID)
        else {
            throw ValidationError(
                .supplierUserID,
                "supplier_user_id is required and must be a string of 1 to 255 characters, none of them a control character"
            )
        }
        return identity
    }

    private func answer(
        _ session: LinkSession, of manufacturer: Manufacturer, returnURL: String? = nil
    ) -> Response {
        Response(
            json: JSONWriter.object { object in
                object.add("manufacturer", manufacturer.name)
                if let brand = manufacturer.brand { object.add("brand", brand.titleCased) }
                object.add("language", session.language.rawValue)
                object.add("redirect_url", session.redirectURL.text)
                object.add("status", session.status.rawValue)
                object.add("created_at", session.createdAt)
                object.add("expires_at", session.expiresAt)
                object.add("completed_at", orNull: session.completedAt)
                if let preferred = session.options.preferredSupplier { object.add("supplier", preferred.text) }
                if let offered = session.options.offeredSuppliers {
                    object.add("suppliers", strings: offered.map(\.text))
                }
                if let returnURL { object.add("return_url", returnURL) }
            })
    }
}
