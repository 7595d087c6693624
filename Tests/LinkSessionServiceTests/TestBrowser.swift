// A browser for tests: keeps cookies, follows nothing by itself, and reads pages.

import Foundation
import Synchronization
@testable import TestSupport
import Testing

/// A page as its user would find it.
struct TestPage: Sendable {
    let response: TestResponse

    var status: Int { response.status }
    /// The page's name; empty where this is none of our pages.
    var name: String { between("data-page=\"", "\"") }
    var location: String { response.header("Location") ?? "" }
    /// Where the browser goes on to by itself.
    var goTo: String { Self.unescaped(between("http-equiv=\"refresh\" content=\"0;url=", "\"")) }
    var language: String { between("<html lang=\"", "\"") }

    /// Where the link of this id leads.
    func link(_ id: String) -> String { Self.unescaped(between("id=\"\(id)\"", "</a>", then: "href=\"", "\"")) }

    func field(_ name: String) -> String { Self.unescaped(between("name=\"\(name)\" value=\"", "\"")) }

    private func between(_ start: String, _ end: String) -> String {
        guard let from = response.text.range(of: start)?.upperBound,
            let to = response.text.range(of: end, range: from..<response.text.endIndex)?.lowerBound
        else { return "" }
        return String(response.text[from..<to])
    }

    private func between(_ start: String, _ end: String, then inner: String, _ innerEnd: String) -> String {
        let outer = between(start, end)
        guard let from = outer.range(of: inner)?.upperBound,
            let to = outer.range(of: innerEnd, range: from..<outer.endIndex)?.lowerBound
        else { return "" }
        return String(outer[from..<to])
    }

    private static func unescaped(_ text: String) -> String {
        text.replacing("&quot;", with: "\"").replacing("&#39;", with: "'").replacing("&lt;", with: "<")
            .replacing("&gt;", with: ">").replacing("&amp;", with: "&")
    }
}

/// Keeps cookies as a browser does, and sends what a browser would.
final class TestBrowser: Sendable {
    static let base = "https://auth.example"

    private let port: Int
    let cookies = Mutex<[(name: String, value: String)]>([])

    init(_ service: Service) { port = service.port }
    init(port: Int) { self.port = port }

    func get(_ url: String, headers: [(String, String)] = []) async throws -> TestPage {
        try await send("GET", url, headers: headers)
    }

    /// A form of our own page, as a browser sends it.
    func post(
        _ url: String, _ fields: [(String, String)] = [],
        headers: [(String, String)] = [("Sec-Fetch-Site", "same-origin")]
    ) async throws -> TestPage {
        var query = URLComponents()
        query.queryItems = fields.map { URLQueryItem(name: $0, value: $1) }
        let body = (query.percentEncodedQuery ?? "").replacing("+", with: "%2B")
        return try await send(
            "POST", url, headers: [("Content-Type", "application/x-www-form-urlencoded")] + headers, body: body)
    }

    func send(_ method: String, _ url: String, headers: [(String, String)] = [], body: String = "") async throws
        -> TestPage
    {
        let path = url.hasPrefix(Self.base) ? String(url.dropFirst(Self.base.count)) : url
        let kept = cookies.withLock { $0.map { "\($0.name)=\($0.value)" } }
        let all = headers + (kept.isEmpty ? [] : [("Cookie", kept.joined(separator: "; "))])
        let response = try await TestConnection.with(port: port) {
            try await $0.send(method, path, headers: all, body: Array(body.utf8))
        }
        for field in response.headers where field.name.lowercased() == "set-cookie" {
            let pair = field.value.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1).map(String.init)
            cookies.withLock { cookies in
                cookies.removeAll { $0.name == pair[0] }
                if pair.count == 2 { cookies.append((pair[0], pair[1])) }
            }
        }
        return TestPage(response: response)
    }

    /// From the session's page to the supplier.
    func start(_ token: String, at supplier: String, language: String = "en") async throws -> TestPage {
        try await post("/ui/sign-ins", [("token", token), ("language", language), ("supplier", supplier)])
    }

    /// Up to the page of the sign-in, whatever it says.
    func signIn(
        _ token: String, at provider: ScriptedProvider, as subject: String = "subject-1",
        supplier: String = "mock-energy"
    ) async throws -> (path: String, page: TestPage) {
        let request = AuthenticationRequest(url: try await start(token, at: supplier).goTo)
        let answer = try await get(
            callback(provider.code(for: request, subject: subject), request, supplier: supplier))
        return (answer.location, try await get(answer.location))
    }

    /// The path of a supplier's callback.
    func callback(
        _ code: String, _ request: AuthenticationRequest, supplier: String = "mock-energy", state: String? = nil
    ) -> String {
        var query = URLComponents()
        query.queryItems = [
            URLQueryItem(name: "code", value: code), URLQueryItem(name: "state", value: state ?? request["state"]),
        ]
        return "/ui/callback/\(supplier)?\(query.percentEncodedQuery ?? "")"
    }
}
