internal import JSON
package import LinkSessions
package import TokenGenerator

/// Makes the links that lead back to the manufacturer's app: `data` and `signature` are added to the query of the
/// session's redirect URL.
///
/// `data` is base64url of a JSON object; `signature` is a detached JSON web signature (RFC 7515, appendix F) with EdDSA
/// (RFC 8037): with `data` between its two dots it is a JSON web token (RFC 7519) of type `link-return+jwt`.
package struct ReturnLinks: Sendable {
    /// How a session ended for the browser that goes back.
    package enum End: String, Sendable {
        case cancelled, expired, failed
    }

    /// Why it failed, where that is more than a supplier's answer.
    package enum FailureReason: String, Sendable {
        /// The user's supplier was not among those that could be chosen.
        case supplierNotListed = "supplier_not_listed"
    }

    private struct PublishedKey {
        let key: SigningKey
        let id: String

        init(_ key: SigningKey) throws(OpenSSLError) {
            self.key = key
            // RFC 7638, section 3, with the members of RFC 8037, section 2.
            let digest = try SHA256.digest(
                of: #"{"crv":"Ed25519","kty":"OKP","x":"\#(Base64URL.encode(key.publicKey))"}"#)
            id = Base64URL.encode(digest.bytes)
        }

        func write(_ object: inout JSONWriter) {
            object.add("kty", "OKP")
            object.add("crv", "Ed25519")
            object.add("alg", "EdDSA")
            object.add("use", "sig")
            object.add("kid", id)
            object.add("x", Base64URL.encode(key.publicKey))
        }
    }

    private let issuer: String
    private let signingKey: PublishedKey
    private let furtherKeys: [PublishedKey]
    private let sandboxKey: PublishedKey?
    private let webhookKeys: [PublishedKey]
    private let codeSecret: HMACSHA256
    private let furtherCodeSecrets: [HMACSHA256]

    /// - Parameters:
    ///   - issuer: the public base URL.
    ///   - furtherKeys: published beside the one that signs, so that keys can be rotated.
    ///   - sandboxKey: signs what comes of the sandbox supplier; `nil` where there is none.
    ///   - webhookKeys: sign webhooks, and are published with the others.
    ///   - codeSecret: makes the one-time codes.
    ///   - furtherCodeSecrets: what older codes were made with, which are still good.
    package init(
        issuer: String, signingKey: SigningKey, furtherKeys: some Sequence<SigningKey> = [], sandboxKey: SigningKey?,
        webhookKeys: [SigningKey] = [], codeSecret: HMACSHA256, furtherCodeSecrets: some Sequence<HMACSHA256> = []
    ) throws(OpenSSLError) {
        self.issuer = issuer
        self.signingKey = try PublishedKey(signingKey)
        self.furtherKeys = try furtherKeys.map { key throws(OpenSSLError) in try PublishedKey(key) }
        self.sandboxKey = try sandboxKey.map { key throws(OpenSSLError) in try PublishedKey(key) }
        self.webhookKeys = try webhookKeys.map { key throws(OpenSSLError) in try PublishedKey(key) }
        self.codeSecret = codeSecret
        self.furtherCodeSecrets = Array(furtherCodeSecrets)
    }

    /// For the browser that completed the session: the same, byte for byte, however often it is made.
    ///
    /// The plain redirect URL where the session has no link, or came of a sandbox supplier that is there no more.
    package func completed(
        _ session: LinkSession, of manufacturer: Manufacturer
    ) throws(OpenSSLError) -> String {
        guard let link = session.link, let completedAt = session.completedAt else { return session.redirectURL.text }
        let code = try mac(codeSecret, "code", session.id)
        let data = try data("completed", session, issuedAt: completedAt) { object in
            object.add("nox_user_id", link.noxUserID)
            object.add("manufacturer_user_id", session.userID.text)
            if let brand = manufacturer.brand { object.add("brand", brand.titleCased.lowercased()) }
            if let identity = link.identity { object.add("supplier", identity.supplier.text) }
            object.add("connected_at", completedAt)
            object.add("code", Base64URL.encode(code.bytes))
        }
        return try signed(data, session, isSandbox: link.identity?.supplier == .sandbox)
    }

    /// For any browser, of a session that it did not complete.
    ///
    /// - Parameter supplier: at which the end came, if at any.
    package func ended(
        _ end: End, because reason: FailureReason? = nil, _ session: LinkSession, at supplier: Supplier.Slug? = nil,
        now: UnixSeconds
    ) throws(OpenSSLError) -> String {
        let data = try data(end.rawValue, because: reason, session, issuedAt: now) { _ in }
        return try signed(data, session, isSandbox: supplier == .sandbox)
    }

    private func data(
        _ status: String, because reason: FailureReason? = nil, _ session: LinkSession, issuedAt: UnixSeconds,
        members: (inout JSONWriter) -> Void
    ) throws(OpenSSLError) -> String {
        let id = try mac(codeSecret, "jti \(status)\(reason.map { " \($0.rawValue)" } ?? "")", session.id)
        let json = JSONWriter.object { object in
            object.add("status", status)
            if let reason { object.add("reason", reason.rawValue) }
            members(&object)
            object.add("iss", issuer)
            object.add("aud", session.manufacturer.audience)
            object.add("iat", issuedAt)
            object.add("exp", issuedAt + LinkSession.resultLifetimeInSeconds)
            object.add("jti", Base64URL.encode(id.bytes))
        }
        return Base64URL.encode(json)
    }

    private func signed(_ data: String, _ session: LinkSession, isSandbox: Bool) throws(OpenSSLError) -> String {
        // What comes of a sandbox that is there no more is signed by nobody.
        guard let key = isSandbox ? sandboxKey : signingKey else { return session.redirectURL.text }
        let header = Base64URL.encode(
            JSONWriter.object { object in
                object.add("alg", "EdDSA")
                object.add("typ", "link-return+jwt")
                object.add("kid", key.id)
            })
        let signature = try key.key.signature(of: Array("\(header).\(data)".utf8))
        return session.redirectURL.with(data: data, signature: "\(header)..\(Base64URL.encode(signature))")
    }

    /// The public keys as a JWK set (RFC 7517, section 5).
    package var keySet: [UInt8] {
        let keys = [signingKey] + furtherKeys + [sandboxKey].compactMap(\.self) + webhookKeys
        return JSONWriter.object { $0.add("keys", array: keys.map { key in key.write }) }
    }

    /// Whether the text is the one-time code of the session's result; compared in constant time.
    package func isCode(_ text: String, for session: LinkSessionID) throws(OpenSSLError) -> Bool {
        guard let given = Base64URL.decode(text).flatMap(SHA256Digest.init(bytes:)) else { return false }
        var isOne = false
        for secret in [codeSecret] + furtherCodeSecrets where try mac(secret, "code", session) == given {
            isOne = true
        }
        return isOne
    }

    private func mac(
        _ secret: HMACSHA256, _ purpose: String, _ session: LinkSessionID
    ) throws(OpenSSLError) -> SHA256Digest {
        try secret.code(of: Array("\(purpose) ".utf8) + session.bytes)
    }
}
