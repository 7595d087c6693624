// /v2/authenticator/link-sessions: what the UI that signs the user in does with any session.

internal import APIKeyAuth
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1

struct AuthenticatorLinkSessions {
    let keyRing: KeyRing
    let repository: LinkSessionRepository

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
        return Response(json: session.authenticatorView)
    }

    @Sendable private func complete(_ request: Request) async throws(APIError) -> Response {
        try keyRing.checkAuthenticator(request)
        let (_, digest) = try request.linkToken()
        let session = try await translatingErrors { () throws(RepositoryError) in
            try await repository.complete(
                tokenDigest: digest, requestID: request.id, until: .requestDeadline)
        }
        guard let session else { throw APIError.linkSessionNotFound }
        switch session.status {
        case .completed:
            return Response(json: session.authenticatorView)
        case .expired:
            throw APIError.linkSessionExpired
        case .open:
            throw APIError.unavailable(cause: "the session is still open after it was completed: a clock stepped back")
        }
    }
}

extension LinkSession {
    fileprivate var authenticatorView: [UInt8] {
        JSONWriter.object { object in
            object.add("manufacturer", manufacturer.name)
            if let brand = manufacturer.brand { object.add("brand", brand.titleCased) }
            object.add("language", language.rawValue)
            object.add("redirect_url", redirectURL.text)
            object.add("status", status.rawValue)
            object.add("created_at", createdAt)
            object.add("expires_at", expiresAt)
            object.add("completed_at", orNull: completedAt)
        }
    }
}
