internal import Foundation
internal import LinkSessions
internal import NIOCore
internal import NIOHTTP1
internal import OutboundHTTP

/// Does on a session's pages what a user's browser does whose user chooses Sandbox Energy: follows links, posts forms and
/// keeps cookies. There is no other way to a sign-in: what it can do, every browser can.
struct SandboxBrowser {
    /// A page as far as it is looked at.
    struct Page {
        let status: UInt
        /// Empty where it is none of the service's pages.
        let name: String
        /// Where it leads by itself.
        let goesTo: String

        fileprivate init(_ response: OutboundHTTPResponse) {
            let html = String(buffer: response.body)
            status = response.status.code
            name = Self.part(of: html, between: "<main data-page=\"")
            goesTo = Self.part(of: html, between: "http-equiv=\"refresh\" content=\"0;url=")
        }

        /// What stands between the mark and the next quotation mark.
        private static func part(of html: String, between mark: String) -> String {
            guard let start = html.range(of: mark)?.upperBound else { return "" }
            return String(html[start...].prefix { $0 != "\"" })
                .replacing("&quot;", with: "\"").replacing("&#39;", with: "'").replacing("&lt;", with: "<")
                .replacing("&gt;", with: ">").replacing("&amp;", with: "&")
        }
    }

    private let token: String
    private let linkURL: String
    /// Scheme, host and port of the pages.
    private let origin: String
    private let http: OutboundHTTPClient
    private var cookies: [String: String] = [:]

    /// - Parameter linkURL: of a session that was created just now.
    init(linkURL: String, token: String) throws(CommandError) {
        guard ProviderURL(linkURL) != nil, let end = linkURL.range(of: "/ui?")?.lowerBound else {
            throw CommandError("the service's link_url is not usable: PUBLIC_BASE_URL is not https, nor this machine")
        }
        self.linkURL = linkURL
        self.token = token
        origin = String(linkURL[..<end])
        http = try .forIntegrators
    }

    mutating func open() async throws(CommandError) {
        let page = try await send(.GET, linkURL)
        guard page.status == 200, page.name == "link" else { throw unexpected(page, "link_url") }
    }

    /// Signs in at Sandbox Energy, whose page has a button for every outcome.
    ///
    /// - Parameters:
    ///   - answer: the button's field, name and value.
    ///   - expected: the name of the page that the browser comes to.
    /// - Returns: where that page is.
    mutating func signIn(answer: (String, String), expected: String) async throws(CommandError) -> String {
        let begun = try await send(.POST, "\(origin)/ui/sign-ins", [("token", token), ("supplier", "sandbox")])
        guard begun.goesTo.hasPrefix("/ui/sandbox?"), let state = FormFields(begun.goesTo.dropFirst(12))["state"]
        else { throw unexpected(begun, "the choice of Sandbox Energy") }
        let sandbox = try await send(.GET, origin + begun.goesTo)
        guard sandbox.status == 200 else { throw unexpected(sandbox, "the page of Sandbox Energy") }
        let callback = "\(origin)/ui/callback/sandbox?\(FormFields.encode([("state", state), answer]))"
        let response = try await ask(.GET, callback)
        guard response.status == .seeOther, let path = response.headers.first(name: "location"), path.hasPrefix("/")
        else { throw unexpected(Page(response), "the answer of Sandbox Energy") }
        let page = try await send(.GET, origin + path)
        guard page.name == expected else { throw unexpected(page, "the sign-in") }
        return origin + path
    }

    /// Confirms on the page where a sign-in led to.
    ///
    /// - Returns: the URL that leads back to the manufacturer's app, with the signed result. It is not opened.
    mutating func confirm(_ signIn: String) async throws(CommandError) -> String {
        let page = try await send(.POST, signIn, [])
        guard page.name == "returning", !page.goesTo.isEmpty else { throw unexpected(page, "the confirmation") }
        return page.goesTo
    }

    private mutating func send(
        _ method: HTTPMethod, _ url: String, _ form: [(String, String)] = []
    ) async throws(CommandError) -> Page {
        Page(try await ask(method, url, form))
    }

    private mutating func ask(
        _ method: HTTPMethod, _ url: String, _ form: [(String, String)] = []
    ) async throws(CommandError) -> OutboundHTTPResponse {
        var request = OutboundHTTPRequest(url: url)
        request.method = method
        request.headers = ["accept": "text/html", "accept-language": "en"]
        if !cookies.isEmpty {
            request.headers.add(name: "cookie", value: cookies.map { "\($0)=\($1)" }.joined(separator: "; "))
        }
        if method == .POST {
            request.headers.add(name: "origin", value: origin)
            request.headers.add(name: "content-type", value: "application/x-www-form-urlencoded")
            request.body = ByteBuffer(string: FormFields.encode(form))
        }
        let response: OutboundHTTPResponse
        do {
            response = try await http.send(request, within: .seconds(15), maximumSize: 1024 * 1024)
        } catch {
            throw CommandError(
                "the pages at \(origin), where link_url leads, give no answer: \(OutboundHTTPError.text(of: error))")
        }
        for field in response.headers["set-cookie"] {
            let pair = field.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1).map(String.init)
            if pair.count == 2 { cookies[pair[0]] = pair[1] }
        }
        return response
    }

    private func unexpected(_ page: Page, _ step: String) -> CommandError {
        let name = page.name.isEmpty ? "no page of the service's" : "the page \(DisplayText.escaped(page.name))"
        return CommandError("\(step) led to \(name) (\(page.status)), and not on")
    }
}
