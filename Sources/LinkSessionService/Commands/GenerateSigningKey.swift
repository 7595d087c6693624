internal import ArgumentParser
internal import TokenGenerator

struct GenerateSigningKey: Command {
    static let configuration = CommandConfiguration(
        abstract: "Print a new private key for RETURN_SIGNING_KEYS, WEBHOOK_SIGNING_KEYS or SANDBOX_SIGNING_KEY.",
        discussion: """
            An Ed25519 private key (RFC 8032) as 43 characters of base64url, alone on standard output. Its public key is \
            at GET /.well-known/jwks.json once the service has it.

            To change the key: append the new one to RETURN_SIGNING_KEYS on every replica, wait for ten minutes, put it \
            first, wait for ten minutes, leave the old one out.
            """)

    func perform() async throws {
        guard let seed = try? TokenGenerator().makeSecret() else {
            throw CommandError("the system has no randomness for a key")
        }
        guard printSecret(seed) else { throw CommandError("cannot print the key") }
    }
}
