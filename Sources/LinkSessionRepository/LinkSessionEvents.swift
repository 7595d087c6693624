package import LinkSessions

/// An event of a session that is recorded where nothing about it changes: what support asks. Without personal data.
package struct LinkSessionEvent: Sendable {
    let name: String
    let reason: String?
    /// What the other side said: at most 300 characters, without control characters.
    var detail: String?
    var supplier: Supplier.Slug?

    /// - Parameter supplier: where the user began, or was to begin, to sign in.
    package static func signInRefused(
        _ reason: SignInRefusal, at supplier: Supplier.Slug? = nil, detail: String? = nil
    ) -> LinkSessionEvent {
        LinkSessionEvent(name: "sign_in_refused", reason: reason.rawValue, detail: detail, supplier: supplier)
    }

    package static func completionRefused(
        _ reason: CompletionRefusal, at supplier: Supplier.Slug? = nil
    ) -> LinkSessionEvent {
        LinkSessionEvent(name: "completion_refused", reason: reason.rawValue, supplier: supplier)
    }
}

/// Why a sign-in at a supplier came to nothing.
package enum SignInRefusal: String, Sendable {
    /// The request to begin came from a page that is not ours.
    case crossOrigin = "cross_origin"
    case tooManySignIns = "too_many_sign_ins"
    case supplierUnknown = "supplier_unknown"
    /// The manufacturer named others.
    case supplierNotOffered = "supplier_not_offered"
    /// The supplier's metadata or its keys could not be had.
    case supplierUnavailable = "supplier_unavailable"
    case stateUnknown = "state_unknown"
    case stateUsed = "state_used"
    /// The answer came to a browser that did not begin.
    case otherBrowser = "other_browser"
    /// The answer came to another supplier's redirect URI, or names another issuer (RFC 9207).
    case mixUp = "mix_up"
    case declined
    /// The supplier answered with an error, or with nothing that could be read.
    case supplierFailed = "supplier_failed"
    /// The code was not accepted by the supplier's token endpoint.
    case codeRefused = "code_refused"
    case idTokenInvalid = "id_token_invalid"
}

/// Why a completion was refused before it was tried.
package enum CompletionRefusal: String, Sendable {
    case crossOrigin = "cross_origin"
    case otherBrowser = "other_browser"
    case supplierDisabled = "supplier_disabled"
    /// The supplier's answer came when the session was over.
    case expired
    case completed
    /// Its manufacturer is disabled, or may redirect there no more.
    case blocked
}
