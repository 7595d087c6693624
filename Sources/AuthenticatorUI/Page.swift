internal import LinkSessionRepository
internal import LinkSessions
internal import NIOHTTP1

/// A page: its template, what it says, and where it leads. `{{…}}` in a template escapes what stands for it (HTML,
/// section 13.2.5).
struct Page {
    /// What the page is called in its `data-page`.
    let name: String
    let template: String
    let status: HTTPResponseStatus
    var values: [String: any Sendable] = [:]
    /// Where the browser goes on to by itself: only right after its user's own click.
    var goTo: String?
    /// Where the user looks again.
    var reload: String?
    /// Where the user chooses a supplier again.
    var again: String?
    /// Whether that is a beginning, since nothing was chosen here.
    var isBeginning = false
    /// The way back to the manufacturer's app.
    var back: String?
    /// This very page in a language; `nil` where it cannot be asked for again.
    var url: ((Language) -> String)?
    /// What our script does better: the page works without it.
    var hasScript = false

    init(_ name: String, status: HTTPResponseStatus = .ok, _ values: [String: any Sendable]) {
        self.name = name
        template = name
        self.status = status
        self.values = values
    }

    /// A page of a title and a sentence.
    init(notice: Notice, name: String? = nil, status: HTTPResponseStatus) {
        self.name = name ?? notice.rawValue
        template = "notice"
        self.status = status
        values = ["title": "text/\(notice.rawValue).title", "what": "text/\(notice.rawValue).what"]
    }
}

/// The pages of a title and a sentence; the catalogues have both under this name.
enum Notice: String, CaseIterable {
    case unknown, unavailable
    case completed, taken, expired
    case declined, failed, pending
    case crossOrigin = "cross-origin"
    case otherBrowser = "other-browser"
    case state
    case tooMany = "too-many"
    case notFound = "not-found"
    case busy
}

/// The addresses of pages, on this host.
enum PageURL {
    /// Without a token the page of an unknown link.
    ///
    /// - Parameter search: what is sought among the suppliers.
    static func link(_ token: LinkToken?, _ language: Language, search: String = "") -> String {
        let query = search.isEmpty ? "" : "&q=\(PercentEncoding.encode(search))"
        return "/ui?\(token.map { "token=\($0.characters)&" } ?? "")language=\(language.rawValue)\(query)"
    }

    static func signIn(_ id: SignIn.ID, _ language: Language) -> String {
        "/ui/sign-ins/\(id.text)?language=\(language.rawValue)"
    }

    static func sandbox(state: String, _ language: Language) -> String {
        "/ui/sandbox?state=\(PercentEncoding.encode(state))&language=\(language.rawValue)"
    }
}

/// Who asks, about which session, and in which language the answer is. The browser is known to have the session's
/// token.
struct PageContext {
    let request: PageRequest
    var snapshot: LinkSessionSnapshot
    let token: LinkToken
    let language: Language
    /// As ``Page/url``.
    var url: ((Language) -> String)?

    var session: LinkSession { snapshot.session }
    /// The session's page, where a supplier is chosen.
    var linkURL: String { PageURL.link(token, language) }
}
