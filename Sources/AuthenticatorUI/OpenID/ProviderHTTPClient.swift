internal import Foundation
internal import LinkSessionRepository
internal import LinkSessions
internal import NIOCore
internal import NIOHTTP1
internal import OutboundHTTP

/// Requests to providers, each with a limit of size and of time.
struct ProviderHTTPClient: Sendable {
    let http: OutboundHTTPClient

    /// What is published at a URL, read as JSON, whatever its media type is said to be.
    func get<Value: Decodable & Sendable>(
        _ url: String, as _: Value.Type, accept: String = "application/json", bearer: String? = nil,
        within timeout: TimeAmount = .seconds(4)
    ) async throws(ProviderError) -> Value {
        var request = OutboundHTTPRequest(url: url)
        request.headers.add(name: "accept", value: accept)
        if let bearer { request.headers.add(name: "authorization", value: "Bearer \(bearer)") }
        let response: OutboundHTTPResponse
        do {
            response = try await send(request, within: timeout)
        } catch {
            throw .noAnswer(error) { .unavailable($0) }
        }
        guard response.isSuccess else { throw .unavailable(response.statusText) }
        do {
            return try JSONDecoder().decode(Value.self, from: response.json)
        } catch DecodingError.keyNotFound(let key, _) {
            throw .unavailable("what it publishes has no \(key.stringValue)")
        } catch {
            throw .unavailable(response.encodingText ?? "what it publishes cannot be read")
        }
    }

    func send(_ request: OutboundHTTPRequest, within timeout: TimeAmount) async throws -> OutboundHTTPResponse {
        try await http.send(request, within: timeout, maximumSize: 256 * 1024)
    }
}

extension OutboundHTTPResponse {
    /// The body without the byte order mark that some senders add (RFC 8259, section 8.1).
    var json: Data {
        let bytes = Data(body.readableBytesView)
        return bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? bytes.dropFirst(3) : bytes
    }

    var isSuccess: Bool { (200..<300).contains(status.code) }

    /// For an answer that is no success.
    var statusText: String {
        let isRedirect = (300..<400).contains(status.code)
        return "status \(status.code)\(isRedirect ? ", a redirect, which is not followed" : "")"
    }

    /// Why the body cannot be read, where its coding is the reason.
    var encodingText: String? {
        let coding = headers["content-encoding"].joined(separator: ",").lowercased()
        return coding.isEmpty || coding == "identity" ? nil : "its answer is compressed, which was not asked for"
    }
}

/// An optional member of what others write: one of another type than it has to have is as good as absent.
struct Lenient<Value: Codable & Sendable>: Codable, Sendable {
    let value: Value?

    init(from decoder: any Decoder) throws { value = try? decoder.singleValueContainer().decode(Value.self) }
}

/// Why a supplier's provider signed nobody in. Holds no secret and no personal data.
enum ProviderError: Error {
    /// It could not be reached, or what it publishes cannot be used.
    case unavailable(String)
    /// It did not accept the code.
    case codeRefused(String)
    /// It answered with what cannot be read.
    case failed(String)
    /// Its ID token was not accepted.
    case idToken(String)
    /// One of the others that browsers can bring about: by changing the request that they carry to the provider, or by
    /// so many sign-ins that we asked nobody.
    indirect case byBrowser(ProviderError)

    var what: String {
        switch self {
        case .unavailable(let what), .codeRefused(let what), .failed(let what), .idToken(let what): what
        case .byBrowser(let error): error.what
        }
    }

    /// Whether it counts against the supplier. A refused code does not: whoever comes to our callback can make one up.
    var isSuppliersFault: Bool {
        switch self {
        case .unavailable, .failed, .idToken: true
        case .codeRefused, .byBrowser: false
        }
    }

    /// Of a request that got no answer.
    static func noAnswer(_ error: any Error, _ kind: (String) -> ProviderError) -> ProviderError {
        let failure = kind(OutboundHTTPError.text(of: error))
        return if case .tooManyRequests? = error as? OutboundHTTPError { .byBrowser(failure) } else { failure }
    }

    /// What is recorded of the sign-in, and what is logged.
    var reason: (refusal: SignInRefusal, cause: String) {
        switch self {
        case .unavailable(let what): (.supplierUnavailable, "the supplier is unavailable: \(what)")
        case .codeRefused(let what): (.codeRefused, "the supplier refused the code: \(what)")
        case .failed(let what): (.supplierFailed, "the supplier failed: \(what)")
        case .idToken(let what): (.idTokenInvalid, "the ID token is invalid: \(what)")
        case .byBrowser(let error): error.reason
        }
    }
}
