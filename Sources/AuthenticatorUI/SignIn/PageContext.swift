// What the steps of a sign-in pass on to the pages.

internal import LinkSessionRepository
internal import LinkSessions

/// Who asks, about which session, and in which language the answer is. The browser is known to have the session's
/// token.
struct PageContext {
    let request: PageRequest
    var snapshot: LinkSessionSnapshot
    let token: LinkToken
    let language: Language

    var session: LinkSession { snapshot.session }
    /// The session's page, where a supplier is chosen.
    var linkURL: String { PageURL.link(token, language) }
}

extension LinkSession {
    /// What its user knows the manufacturer by.
    var displayName: String { manufacturer.brand?.titleCased ?? manufacturer.name }
}
