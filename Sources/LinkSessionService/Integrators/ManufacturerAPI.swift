internal import Foundation
internal import LinkSessions
internal import NIOCore
internal import NIOHTTP1
internal import OutboundHTTP

/// The service's API, as a manufacturer's backend asks it from elsewhere.
struct ManufacturerAPI: Sendable {
    static let sessions = "/v2/manufacturer/link-sessions"

    private static let longestRetryAfter = 300
    /// A page of a hundred events with all that they can hold is smaller.
    private static let mostOfAnswer = 8 * 1024 * 1024

    /// Without a slash at the end.
    let url: String
    /// Printed nowhere.
    let key: String
    private let http: OutboundHTTPClient

    init(url: String, key: String) throws(CommandError) {
        self.url = url
        self.key = key
        http = try .forIntegrators
    }

    /// - Parameters:
    ///   - path: with the query. What is in it may be printed.
    ///   - json: the body of a `POST`.
    func send(
        _ method: HTTPMethod, _ path: String, json: [String: String]? = nil, within timeout: TimeAmount = .seconds(10)
    ) async throws(ManufacturerAPIError) -> OutboundHTTPResponse {
        var request = OutboundHTTPRequest(url: url + path)
        request.method = method
        request.headers = ["x-api-key": key, "accept": "application/json"]
        if method == .POST {
            request.headers.add(name: "content-type", value: "application/json")
            request.body = ByteBuffer(bytes: (try? JSONEncoder().encode(json ?? [:])) ?? Data())
        }
        let response: OutboundHTTPResponse
        do {
            response = try await http.send(request, within: timeout, maximumSize: Self.mostOfAnswer)
        } catch {
            throw .temporary("\(url) gives no answer: \(OutboundHTTPError.text(of: error))", after: nil)
        }
        let status = response.status.code
        switch status {
        case 200..<300: return response
        case 401:
            throw .refused(
                CommandError(
                    "\(url) does not accept the key: it is another environment's, expired, revoked or unknown, or its "
                        + "manufacturer is disabled (401)"))
        case 429:
            throw .temporary("\(url) is asked too often with this key (429)", after: Self.retryAfter(response))
        case 500...:
            throw .temporary("\(url) cannot answer at the moment (\(status))", after: Self.retryAfter(response))
        default:
            let place = path.prefix { $0 != "?" }
            let said = try? JSONDecoder().decode(Refusal.self, from: Data(response.body.readableBytesView))
            let why = said.map { "\(DisplayText.escaped($0.error)) (\(status))" } ?? "status \(status)"
            throw .refused(CommandError("\(url) refused \(method) \(place): \(why)"))
        }
    }

    /// The answer's body, as a type that has of it what is needed.
    func send<Value: Decodable>(
        _ method: HTTPMethod, _ path: String, json: [String: String]? = nil, within timeout: TimeAmount = .seconds(10),
        as _: Value.Type
    ) async throws(ManufacturerAPIError) -> Value {
        let response = try await send(method, path, json: json, within: timeout)
        return try read(response, as: Value.self)
    }

    func read<Value: Decodable>(
        _ response: OutboundHTTPResponse, as _: Value.Type
    ) throws(ManufacturerAPIError) -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(response.body.readableBytesView))
        } catch {
            throw .noSuchService(url)
        }
    }

    /// Asks again until there is an answer; what is wrong meanwhile is said once.
    func persistently<Value>(
        _ ask: () async throws(ManufacturerAPIError) -> Value
    ) async throws -> Value {
        var backoff = Backoff(most: .seconds(10))
        var said: String?
        while true {
            do throws(ManufacturerAPIError) {
                let value = try await ask()
                if said != nil { notice("\(url) answers again") }
                return value
            } catch {
                guard case .temporary(let why, let after) = error else { throw error.commandError }
                if why != said { notice("\(why); trying again until it does") }
                said = why
                let pause = backoff.next()
                try await Task.sleep(for: max(pause, after ?? pause))
            }
        }
    }

    private static func retryAfter(_ response: OutboundHTTPResponse) -> Duration? {
        response.headers.first(name: "retry-after").flatMap { Int($0) }.map {
            .seconds(min(max($0, 0), longestRetryAfter))
        }
    }

    private struct Refusal: Decodable {
        let error: String
    }
}

/// Why the service did not do what it was asked for.
enum ManufacturerAPIError: Error {
    /// It may when it is asked again.
    case temporary(String, after: Duration?)
    case refused(CommandError)

    static func noSuchService(_ url: String) -> ManufacturerAPIError {
        .refused(CommandError("what \(url) answers cannot be read: is it a link session service?"))
    }

    var commandError: CommandError {
        switch self {
        case .temporary(let why, _): CommandError(why)
        case .refused(let error): error
        }
    }
}

/// Pauses between tries, each twice as long as the one before.
struct Backoff {
    let most: Duration
    private var pause = Duration.milliseconds(500)

    init(most: Duration) { self.most = most }

    mutating func next() -> Duration {
        defer { pause = min(pause * 2, most) }
        return pause
    }
}

extension OutboundHTTPClient {
    /// To wherever an integrator's own machine may connect to: their receivers are on it.
    static var forIntegrators: OutboundHTTPClient {
        get throws(CommandError) {
            do {
                return try OutboundHTTPClient(to: .orAny)
            } catch {
                throw CommandError("the certificates that this system trusts cannot be read")
            }
        }
    }
}

/// Besides what the command prints.
func notice(_ text: String) { printToStandardError("link-session-service: \(text)") }

/// Prints a line at once, also where it goes to a pipe or a file.
func put(_ line: String) throws(CommandError) {
    guard writeLine(line, to: STDOUT_FILENO) else { throw .system("cannot print") }
}
