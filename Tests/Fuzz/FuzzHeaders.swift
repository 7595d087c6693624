// Header fields that clients and proxies send. A line of the input is a field.

import IPAddresses
import LinkSessionRepository
import LinkSessions
import NIOHTTP1
import PostgresClient
import RateLimits
import TokenGenerator

@testable import AuthenticatorUI
@testable import HTTPFront
@testable import HTTPServer

/// The lines of an input, without what no field's value has.
private func lines(_ input: [UInt8]) -> [String] {
    String(decoding: input, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        .map { String(String.UnicodeScalarView($0.unicodeScalars.filter { $0 == "\t" || $0.value >= 0x20 })) }
}

private func request(_ name: String, _ values: [String]) -> Request {
    Request(
        id: "1", method: .GET, headers: HTTPHeaders(values.map { (name, $0) }), query: "", body: RequestBody(),
        parameter: "")
}

/// The first line: what `Forwarded` says; the others: `X-Forwarded-For`.
func fuzzForwarded(_ input: [UInt8]) {
    let lines = lines(input)
    let fields = HTTPHeaders(
        [("forwarded", lines[0])].filter { !$0.1.isEmpty } + lines.dropFirst().map { ("x-forwarded-for", $0) })
    let proxies = TrustedProxies(networks: ["10.0.0.0/8", "fd00::/8"].compactMap { IPNetwork($0) })
    let stranger = Client(IPAddress("192.0.2.1"))
    expect(proxies.client(of: stranger, fields).address == stranger.address, "nobody says who a stranger is")
    let proxy = Client(IPAddress("10.0.0.1"))
    let client = proxies.client(of: proxy, fields)
    let (forwarded, further) = (
        Forwarded.addresses(in: fields["forwarded"]), Forwarded.addresses(inList: fields["x-forwarded-for"])
    )
    expect(
        client.address == proxy.address || (forwarded + further).contains { $0 == client.address },
        "a client that somebody named")
    for case let address? in forwarded + further {
        expect(IPAddress(address.description) == address, "written and read again")
        expect(Forwarded.address(ofNode: address.isIPv4 ? "\(address):1" : "[\(address)]:1") == address)
        let network = address.network(ipv4: 24, ipv6: 48)
        expect(network.contains(address) && IPNetwork(network.description) == network, "\(network)")
    }
}

func fuzzAccept(_ input: [UInt8]) {
    let lines = lines(input)
    let fields = HTTPHeaders(lines.map { ("accept", $0) })
    let text = lines.joined(separator: ",").lowercased().filter { $0 != " " && $0 != "\t" }
    if AcceptHeader.prefersPage(fields) { expect(text.contains("text/"), "a page is named") }
    if AcceptHeader.prefers("application/json", to: "text/html", fields) { expect(text.contains("application/")) }
    if let language = Language(acceptLanguage: lines[0]) {
        expect(text.contains(language.rawValue), "a language that is named")
    }
}

func fuzzTraceParent(_ input: [UInt8]) {
    let lines = lines(input)
    guard let id = TraceParent.traceID(in: HTTPHeaders(lines.map { ("traceparent", $0) })) else { return }
    expect(lines.count == 1 && lines[0].hasPrefix("00-\(id)-") && id.utf8.count == 32)
    expect(id.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) } && id.contains { $0 != "0" })
}

func fuzzCookies(_ input: [UInt8]) {
    let lines = lines(input)
    let sent = request("cookie", lines)
    for cookies in [SignInCookies(isSecure: true), SignInCookies(isSecure: false)] {
        guard let token = cookies.latestToken(in: sent) else { continue }
        expect(lines.joined().contains(token.characters), "a token that was sent")
        expect(cookies.token(of: token.id, in: sent)?.id == token.id)
        guard let secret = SignInSecret(Base64URL.encode([UInt8](repeating: 7, count: 32)), token: token) else {
            return expect(false, "a secret of 256 bits is one")
        }
        let added = cookies.added(secret, to: sent)
        for field in added { expect(!field.contains { $0.isNewline } && field.contains("; HttpOnly; SameSite=Lax")) }
        let kept = request("cookie", [String(added.last?.prefix { $0 != ";" } ?? "")])
        expect(cookies.secret(of: secret.id.stateDigest, in: kept)?.state == secret.state, "a browser brings it back")
    }
}

/// Of a form or a query.
func fuzzForm(_ input: [UInt8]) {
    let fields = FormFields(String(decoding: input, as: UTF8.self))
    for name in fields.unusable { expect(fields[name] == nil, "what is ambiguous counts as absent") }
    for name in ["token", "language", "q", "supplier", "code", "state", "error"] {
        guard let value = fields[name] else { continue }
        expect(FormFields(FormFields.encode([(name, value)]))[name] == value, "written and read again")
    }
    if let token = fields.linkToken { expect(fields["token"] == token.characters) }
    expect(fields.search.count <= 100 && !fields.search.contains { $0.isNewline })
}

/// Of the API's queries.
func fuzzQuery(_ input: [UInt8]) {
    let fields = FormFields(String(decoding: input, as: UTF8.self))
    do throws(ValidationError) {
        if let wait = try fields.wait {
            expect(wait > .zero && wait <= .seconds(55) && fields["wait"]?.contains { !$0.isASCII } == false)
        }
    } catch {
        expect(error.message.hasPrefix("wait "))
    }
    if let number = fields["limit"]?.wholeNumber { expect(number >= 0) }
}

/// Of settings.
func fuzzLimits(_ input: [UInt8]) {
    let text = String(decoding: input, as: UTF8.self)
    if let limit = RateLimit(text) {
        expect(text == "\(limit.perSecond)/\(limit.atOnce)" && limit.perSecond <= limit.atOnce)
        expect(RateLimit.range.contains(limit.atOnce) && limit.window >= 1)
    }
    if let network = IPNetwork(text) { expect(IPNetwork(network.description) == network) }
    if let address = IPAddress(text) {
        expect(IPAddress(address.description) == address)
        let own = ["10.", "127.", "169.254.", "192.168.", "fc", "fd", "fe8"]
        if own.contains(where: { address.description.hasPrefix($0) }) { expect(!address.isPublic, "\(address)") }
    }
}

func fuzzDatabaseAddress(_ input: [UInt8]) {
    let text = String(decoding: input, as: UTF8.self)
    guard let address = try? DatabaseAddress(connectionString: text) else { return }
    expect(!"\(address)".contains(text) || text.isEmpty, "a password is shown nowhere")
}
