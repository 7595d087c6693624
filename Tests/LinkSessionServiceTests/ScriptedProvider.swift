// An OpenID Connect provider that says what a test wants it to say.

import Foundation
import JWTKit
import LinkSessions
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import TestSupport
import TokenGenerator

/// What a provider knows of an authentication request.
struct AuthenticationRequest: Sendable {
    let url: String

    subscript(name: String) -> String {
        URLComponents(string: url)?.queryItems?.first { $0.name == name }?.value ?? ""
    }
}

final class ScriptedProvider: Sendable {
    struct Claims: JWTPayload {
        var iss: String
        var sub: String? = "subject-1"
        var aud: [String]
        var exp = Date().timeIntervalSince1970 + 300
        var iat = Date().timeIntervalSince1970
        var nonce: String?
        var azp: String?
        var email: String? = "jan.jansen@example.com"
        var preferred_username: String?
        /// A claim of a type that it does not have.
        var name: Int?

        func verify(using _: some JWTAlgorithm) {}
    }

    struct Request: Sendable {
        let path: String
        let headers: HTTPHeaders
        let form: [String: String]

        var authorization: String? { headers.first(name: "authorization") }
    }

    typealias Answer = (status: Int, headers: [(String, String)], body: String)

    struct Script: Sendable {
        /// In place of members of the metadata; `{issuer}` stands for the issuer, `{null}` for null, and `{none}` leaves one out.
        var metadata: [String: any Sendable] = [:]
        /// In front of every body, and of every answer's headers.
        var prefix = ""
        var headers: [(String, String)] = []
        /// In place of the answer to a path.
        var answers: [String: Answer] = [:]
        /// Paths that are answered as others.
        var paths: [String: String] = [:]
        /// Before the answer to any path, and to some.
        var delay = Duration.zero
        var delays: [String: Duration] = [:]
        /// Before each byte of an answer's body.
        var byteDelay = Duration.zero
        var changeClaims: @Sendable (inout Claims) -> Void = { _ in }
        /// In place of ``changeClaims``: what the token says, of any type, and its header.
        var changePayload: (@Sendable (_ header: inout [String: any Sendable], inout [String: any Sendable]) -> Void)?
        var rsaAlgorithm: String?
        /// Members of the token response beside the ID token.
        var tokenResponse = #""access_token":"a","token_type":"Bearer""#
        /// In place of the token that was signed.
        var changeToken: @Sendable (String) -> String = { $0 }
        var keyID = "key-1"
        var curve = "P-256"
        /// What the published keys are for.
        var use = "sig"
        /// Further elements of the key set.
        var oddKeys = #"{"kty":"unheard-of","kid":"other"}"#
        /// The ids of the keys at `jwks_uri`.
        var published = ["key-1"]
    }

    let port: Int
    let script = Mutex(Script())
    /// Of issuers that are paths of this one, by the path.
    let scripts = Mutex<[String: Script]>([:])
    let requests = Mutex<[Request]>([])
    private let channel: any Channel
    let keys: [String: ES256PrivateKey]

    var issuer: String { "http://127.0.0.1:\(port)" }

    private init(channel: any Channel, handler: Handler) {
        self.channel = channel
        port = channel.localAddress?.port ?? 0
        keys = ["key-1": ES256PrivateKey(), "key-2": ES256PrivateKey(), "foreign": ES256PrivateKey()]
        handler.provider.withLock { $0 = self }
    }

    static func with<Value>(_ body: (ScriptedProvider) async throws -> Value) async throws -> Value {
        let handler = Handler()
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(ConnectionHandler(handler))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let provider = ScriptedProvider(channel: channel, handler: handler)
        do {
            let value = try await body(provider)
            try await channel.close()
            return value
        } catch {
            try await channel.close()
            throw error
        }
    }

    func count(_ path: String) -> Int { requests.withLock { $0.count { $0.path == path } } }

    /// The code of an authorization: carries what the ID token has to say.
    func code(for request: AuthenticationRequest, subject: String = "subject-1") -> String {
        "\(subject)~\(request["nonce"])~\(request["code_challenge"])"
    }

    fileprivate func answer(_ url: String, _ headers: HTTPHeaders, _ body: String) async -> Answer {
        let form = Dictionary(
            (URLComponents(string: "?" + body.replacing("+", with: "%20"))?.queryItems ?? []).map {
                ($0.name, $0.value ?? "")
            }, uniquingKeysWith: { $1 })
        requests.withLock { $0.append(Request(path: url, headers: headers, form: form)) }
        let place = scripts.withLock { $0.keys.first { url.hasPrefix("\($0)/") } } ?? ""
        let script = scripts.withLock { $0[place] } ?? script.withLock { $0 }
        var answer = await self.answer(String(url.dropFirst(place.count)), form, script, issuer + place)
        answer.body = script.prefix + answer.body.replacing("{issuer}", with: issuer + place)
        answer.headers += script.headers
        return answer
    }

    private func answer(
        _ path: String, _ form: [String: String], _ script: Script, _ issuer: String
    ) async -> Answer {
        let path = script.paths[path] ?? path
        if let delay = script.delays[path] { try? await Task.sleep(for: delay) }
        if script.delay > .zero { try? await Task.sleep(for: script.delay) }
        if let answer = script.answers[path] { return answer }
        switch path {
        case "/.well-known/openid-configuration":
            var metadata: [String: any Sendable] = [
                "issuer": issuer, "authorization_endpoint": "\(issuer)/authorize", "token_endpoint": "\(issuer)/token",
                "jwks_uri": "\(issuer)/keys",
            ]
            for (name, value) in script.metadata {
                metadata[name] = (value as? String)?.replacing("{issuer}", with: issuer) ?? value
            }
            metadata = metadata.filter { $0.value as? String != "{none}" }
            let json = (try? JSONSerialization.data(withJSONObject: metadata)) ?? Data()
            return (200, [], String(decoding: json, as: UTF8.self).replacing("\"{null}\"", with: "null"))
        case "/keys":
            let keys = script.published.compactMap { id in
                self.keys[id]?.publicKey.parameters.map { parameters in
                    #"{"kty":"EC","crv":"\#(script.curve)","use":"\#(script.use)","kid":"\#(id)","x":"\#(Self.url(parameters.x))","y":"\#(Self.url(parameters.y))"}"#
                }
            }
            let all = ([script.oddKeys] + keys).filter { !$0.isEmpty }
            return (200, [], #"{"keys":[\#(all.joined(separator: ","))]}"#)
        case "/token":
            guard let token = await token(for: form, script, issuer) else {
                return (400, [], #"{"error":"invalid_grant"}"#)
            }
            let more = script.tokenResponse.isEmpty ? "" : ",\(script.tokenResponse)"
            return (200, [], #"{"id_token":"\#(token)"\#(more)}"#)
        default:
            return (404, [], "{}")
        }
    }

    static func url(_ base64: String) -> String {
        base64.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    /// `nil` where the code was not made for this verifier (RFC 7636, section 4.6).
    private func token(for form: [String: String], _ script: Script, _ issuer: String) async -> String? {
        let parts = (form["code"] ?? "").split(separator: "~", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, let digest = try? SHA256.digest(of: form["code_verifier"] ?? ""),
            Base64URL.encode(digest.bytes) == parts[2], let key = keys[script.keyID]
        else { return nil }
        if script.changePayload != nil || script.rsaAlgorithm != nil {
            return await OddToken.token(of: issuer, parts[0], nonce: parts[1], script)
        }
        var claims = Claims(iss: issuer, sub: parts[0], aud: ["client-1"], nonce: parts[1])
        script.changeClaims(&claims)
        let kid = JWKIdentifier(string: script.keyID == "foreign" ? "key-1" : script.keyID)
        let collection = await JWTKeyCollection().add(ecdsa: key, kid: kid)
        return (try? await collection.sign(claims, kid: kid)).map(script.changeToken)
    }

    fileprivate final class Handler: Sendable {
        let provider = Mutex<ScriptedProvider?>(nil)
    }
}

private final class ConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let handler: ScriptedProvider.Handler
    private var head: HTTPRequestHead?
    private var body = ""

    init(_ handler: ScriptedProvider.Handler) { self.handler = handler }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): (self.head, body) = (head, "")
        case .body(let buffer): body += String(buffer: buffer)
        case .end:
            guard let head, let provider = handler.provider.withLock({ $0 }) else { return }
            let (channel, body) = (context.channel, body)
            Task {
                let answer = await provider.answer(head.uri, head.headers, body)
                var headers = HTTPHeaders(answer.headers)
                headers.add(name: "content-length", value: "\(answer.body.utf8.count)")
                let status = HTTPResponseStatus(statusCode: answer.status)
                channel.write(
                    HTTPServerResponsePart.head(.init(version: .http1_1, status: status, headers: headers)),
                    promise: nil)
                let byteDelay = provider.script.withLock { $0.byteDelay }
                if byteDelay > .zero {
                    for byte in answer.body.utf8 where channel.isActive {
                        let part = HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: [byte])))
                        try? await channel.writeAndFlush(part)
                        try? await Task.sleep(for: byteDelay)
                    }
                } else {
                    channel.write(
                        HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: answer.body))), promise: nil)
                }
                try? await channel.writeAndFlush(HTTPServerResponsePart.end(nil))
            }
        }
    }
}
