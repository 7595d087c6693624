// The secret of a sign-in: what is derived from it, and which texts are none.

@testable import AuthenticatorUI
import LinkSessionRepository
import LinkSessions
import Testing
import TokenGenerator

@Suite struct SignInSecretTests {
    private let token: LinkToken
    private let text: String

    init() throws {
        token = try TokenGenerator().makeToken()
        text = try TokenGenerator().makeSecret()
    }

    @Test func `all that is derived from a secret is 256 bits as base64url, and all of it differs`() throws {
        let secret = try #require(SignInSecret(text, token: token))
        // The state begins with the session's id.
        #expect(secret.state.utf8.count == 64)
        let state = try #require(Base64URL.decode(secret.state))
        #expect(state.prefix(16) == token.id.bytes[...] && state.count == 16 + 32)
        let derived = [
            Base64URL.encode(Array(state.suffix(32))), secret.nonce, secret.codeVerifier, secret.codeChallenge,
        ]
        for value in derived {
            #expect(value.utf8.count == 43)
            #expect(Base64URL.decode(value)?.count == 32)
        }
        #expect(Set(derived + [Base64URL.encode(secret.id.stateDigest.bytes), text, token.characters]).count == 7)
    }

    @Test func `the challenge is S256 of the verifier, and the id is the digest of the state`() throws {
        let secret = try #require(SignInSecret(text, token: token))
        #expect(secret.id.stateDigest == (try SHA256.digest(of: secret.state)))
        #expect(secret.id.session == token.id)
        #expect(SignIn.ID(state: secret.state) == secret.id)
        #expect(SignIn.ID(secret.id.text) == secret.id)
        #expect(secret.codeChallenge == Base64URL.encode(try SHA256.digest(of: secret.codeVerifier).bytes))
        let bytes = try #require(Base64URL.decode(text))
        let hmac = try #require(HMACSHA256(secret: bytes))
        for (purpose, value) in [
            ("state", secret.state), ("nonce", secret.nonce), ("code_verifier", secret.codeVerifier),
        ] {
            let code = try hmac.code(of: Array(purpose.utf8))
            let expected = purpose == "state" ? token.id.bytes + code.bytes : code.bytes
            #expect(Base64URL.encode(expected) == value, "\(purpose)")
        }
    }

    @Test func `the same secret derives the same, another one nothing of it`() throws {
        let (one, same) = (
            try #require(SignInSecret(text, token: token)), try #require(SignInSecret(text[...], token: token))
        )
        #expect([one.state, one.nonce, one.codeVerifier] == [same.state, same.nonce, same.codeVerifier])
        #expect(one.id == same.id && one.cookieValue == same.cookieValue)
        let other = try #require(SignInSecret(try TokenGenerator().makeSecret(), token: token))
        #expect(
            Set([one.state, one.nonce, one.codeVerifier]).isDisjoint(with: [
                other.state, other.nonce, other.codeVerifier,
            ]))
        #expect(one.id != other.id && one.cookieValue != other.cookieValue)
    }

    @Test func `a secret that is none of 256 bits is refused`() throws {
        for count in [0, 1, 31, 33, 64] {
            #expect(
                SignInSecret(Base64URL.encode([UInt8](repeating: 7, count: count)), token: token) == nil, "\(count)")
        }
        for text in [text + "=", String(text.dropLast()), text + "A", String(text.dropLast()) + "B", " " + text] {
            #expect(SignInSecret(text, token: token) == nil)
        }
    }

    @Test func `a text that names no sign-in is none, however near it comes`() throws {
        let id = try #require(SignInSecret(text, token: token)).id
        let bytes = id.session.bytes + id.stateDigest.bytes
        // A UUID of another version, and one of another variant.
        let (version, variant) = (
            bytes.enumerated().map { $0 == 6 ? 0x40 : $1 }, bytes.enumerated().map { $0 == 8 ? 0 : $1 }
        )
        for bytes in [version, variant, bytes + [0], bytes.dropLast(), [], Array(bytes.prefix(16))] {
            #expect(SignIn.ID(state: Base64URL.encode(bytes)) == nil)
            #expect(SignIn.ID(Hexadecimal.encode(bytes)) == nil)
        }
        for text in [id.text + " ", " " + id.text, "é" + id.text.dropFirst(2), id.session.text] {
            #expect(SignIn.ID(text) == nil)
            #expect(SignIn.ID(state: text) == nil)
        }
    }
}
