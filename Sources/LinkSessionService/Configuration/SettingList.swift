internal import APIKeyAuth
internal import IPAddresses
internal import LinkSessions
internal import Logging
internal import PostgresClient
internal import RateLimits
internal import TokenGenerator

/// Every setting, once: the help, the refusals and the options come from here, and a test compares the documentation.
///
/// A new setting is a property here, a row in docs/configuration.md and, where it has a default, a line in
/// config/base.json; one that is no secret also gets an option in Settings.swift.
struct SettingList: Sendable {
    enum Environment: String { case local, production }

    let environment = Setting<Environment>.choice(
        "link.session.env",
        help:
            "which configuration file is read besides base.json, and which API keys are made and accepted; set in the "
            + "environment alone (required by serve; local for other commands)",
        expects: "local or production")

    let database = Setting<DatabaseAddress>.text(
        "database.url", help: "where PostgreSQL is, as a URI or as libpq's key words (required)",
        expects: databaseExpectation, isSecret: true
    ) { found throws(CommandError) in try found.databaseAddress }

    /// `nil`: whoever DATABASE_URL names has the operator's rights and no more.
    let operatorDatabase = Setting<DatabaseAddress?>.text(
        "operator.database.url",
        help:
            "the same database for a login with the operator's rights and no more: admin works there, and migrate applies "
            + "a deployment's own migrations (DATABASE_URL where it is unset)",
        expects: databaseExpectation, isSecret: true, orElse: .some(nil)
    ) { found throws(CommandError) in try found.databaseAddress }

    let databaseConnections = Setting<Int>.number(
        "database.connections", 1...100,
        help: "connections for requests, and so threads; 8 more are for keys, health, deletions, events and webhooks")

    let authenticatorKeys = Setting<[AuthenticatorKey]>.list(
        "authenticator.api.key.digests",
        help: "the Authenticator's keys, each with a name that logs and events say (required by serve)",
        expects: "names and SHA-256 digests of 64 hexadecimal digits, comma-separated, such as web:0123...",
        isSecret: true
    ) { found throws(CommandError) in
        guard let keys = found.each(AuthenticatorKey.init) else { return nil }
        guard !keys.contains(where: { $0.digest == digestOfEmptyText }) else {
            throw found.error(expects: "digests of keys, not the one of an empty text")
        }
        return keys
    }

    let publicBaseURL = Setting<String>.text(
        "public.base.url", help: "what every link_url starts with (required by serve)",
        expects: "a URL of scheme and host alone, such as https://auth.nox.energy"
    ) { found throws(CommandError) in
        let parts = found.content.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
        // A URL of the domain's rules with nothing after the host; http is for any host on a developer's machine.
        guard parts.count == 2, parts[0] == "https" || parts[0] == "http",
            !parts[1].contains(where: { $0 == "/" || $0 == "?" }),
            (try? RedirectURL("https://" + parts[1])) != nil
        else { return nil }
        guard !found.settings.isProduction || parts[0] == "https" else {
            throw found.error(expects: "https in production")
        }
        return found.content
    }

    let returnSigningKeys = Setting<[SigningKey]>.list(
        "return.signing.keys",
        help: "the keys of return links: the first signs, all are published (required by serve)",
        expects: "private keys, comma-separated, each made by link-session-service generate-signing-key", isSecret: true
    ) { found throws(CommandError) in
        guard let keys = found.each({ Base64URL.decode($0).flatMap(SigningKey.init(seed:)) }) else { return nil }
        guard Set(keys.map(\.publicKey)).count == keys.count else { throw found.error(expects: "each key once") }
        return keys
    }

    let returnCodeSecrets = Setting<[HMACSHA256]>.list(
        "return.code.secrets",
        help:
            "the secrets of the one-time codes in return links: the first makes them, all are good (required by serve)",
        expects: "secrets of 32 bytes or more as base64url without padding, comma-separated", isSecret: true
    ) { found in found.each { Base64URL.decode($0).flatMap(HMACSHA256.init(secret:)) } }

    let idempotencySecrets = Setting<[IdempotencySecret]>.list(
        "idempotency.secrets",
        help:
            "the secrets of link tokens that are made under an Idempotency-Key: the first makes new ones, all are tried "
            + "for 24 hours (required by serve)",
        expects: "secrets of 32 bytes or more as base64url without padding, comma-separated", isSecret: true
    ) { found in found.each { Base64URL.decode($0).flatMap(IdempotencySecret.init(secret:)) } }

    let webhookSigningKeys = Setting<[SigningKey]>.list(
        "webhook.signing.keys",
        help: "the keys of webhooks: the first signs, all are published (required by serve)",
        expects: "private keys, comma-separated, each made by link-session-service generate-signing-key", isSecret: true
    ) { found throws(CommandError) in
        guard let keys = found.each({ Base64URL.decode($0).flatMap(SigningKey.init(seed:)) }) else { return nil }
        let all = keys.map(\.publicKey) + (try found.settings.returnSigningKeys.map(\.publicKey))
        guard Set(all).count == all.count else {
            throw found.error(expects: "each key once, and none of RETURN_SIGNING_KEYS")
        }
        return keys
    }

    let webhookSecrets = Setting<[HMACSHA256]>.list(
        "webhook.secrets",
        help:
            "what the secrets of webhooks are derived from: the first makes those that admin prints, all sign (required "
            + "by serve, and by the admin commands that print one)",
        expects: "secrets of 32 bytes or more as base64url without padding, comma-separated", isSecret: true
    ) { found in found.each { Base64URL.decode($0).flatMap(HMACSHA256.init(secret:)) } }

    /// Empty: erasures outside of production leave no digest.
    let erasureDigestSecrets = Setting<[HMACSHA256]>.list(
        "erasure.digest.secrets",
        help:
            "the secrets of the digests that erasures leave: the first makes them, all are tried to find whom they stand "
            + "for (required in production by admin erase-user and erase-again)",
        expects: "secrets of 32 bytes or more as base64url without padding, comma-separated", isSecret: true,
        orElse: []
    ) { found in found.each { Base64URL.decode($0).flatMap(HMACSHA256.init(secret:)) } }

    /// `nil`: there is no sandbox supplier.
    let sandboxSigningKey = Setting<SigningKey?>.text(
        "sandbox.signing.key",
        help: "switches on the supplier Sandbox Energy, and signs its results; refused in production",
        expects: "a private key made by link-session-service generate-signing-key", isSecret: true, orElse: .some(nil)
    ) { found throws(CommandError) in
        guard !found.settings.isProduction else {
            throw found.error(expects: "to be unset in production: the sandbox supplier lets anybody in")
        }
        guard let key = Base64URL.decode(found.content).flatMap(SigningKey.init(seed:)) else { return nil }
        guard !(try found.settings.returnSigningKeys.contains { $0.publicKey == key.publicKey }) else {
            throw found.error(expects: "a key that is not among RETURN_SIGNING_KEYS")
        }
        return key
    }

    /// Their names come from the suppliers' rows: `supplierSecrets(in:)` reads them.
    let supplierSecrets = Setting<String>.text(
        "supplier.….secret",
        help: "the client secret of a supplier that names it so; set in the environment alone",
        expects: "what the supplier gave", isSecret: true
    ) { $0.content }

    let httpHost = Setting<String>.text(
        "http.host", help: "where to listen", expects: "an address to listen on, such as 127.0.0.1 or 0.0.0.0"
    ) { $0.content }

    let httpPort = Setting<Int>.number("http.port", 0...65535, help: "where to listen; 0 for any free port")

    let httpIdleSeconds = Setting<Int>.number(
        "http.idle.seconds", 5...3600,
        help: "how long an idle connection is kept: longer than the load balancer's, some keep theirs 600 s")

    let httpManagementHost = Setting<String>.text(
        "http.management.host", help: "where to listen for those who run the service: metrics and health",
        expects: "an address to listen on, such as 127.0.0.1 or 0.0.0.0"
    ) { $0.content }

    let httpManagementPort = Setting<Int>.number(
        "http.management.port", 0...65535, help: "where to listen for them; 0 for any free port")

    let createLimit = Setting<RateLimit?>.rateLimit(
        "rate.limit.creates",
        help:
            "how many link sessions a manufacturer may create, unless admin set-rate-limit says otherwise; of all else it "
            + "may ask for ten times as much")

    let addressLimit = Setting<RateLimit?>.rateLimit(
        "rate.limit.address", help: "how much each client address may ask for without a usable key")

    let trustedProxies = Setting<[IPNetwork]>.list(
        "trusted.proxies", help: "the proxies whose Forwarded and X-Forwarded-For tell of the clients behind them",
        expects: "addresses and networks such as 10.0.0.0/8, comma-separated", orElse: []
    ) { found in found.each { IPNetwork($0) } }

    let logLevel = Setting<Logger.Level>.choice(
        "log.level", help: "what is logged", expects: "trace, debug, info, notice, warning, error or critical")

    let logFormat = Setting<LogFormat>.choice(
        "log.format", help: "how a line of the log is written: for people or for programs", expects: "text or json")

    /// In the order given; the first is the product's own schema.
    let migrationDirectories = Setting<[String]>.list(
        "migrations.directories",
        help: "the first is the product's own schema, the last the one that admin writes to",
        expects: "directories, comma-separated"
    ) { found in found.content.contains("") ? nil : found.content }

    let retentionDays = Setting<Int>.number(
        "retention.days", 1...36_500, help: "older link sessions are deleted, by serve and purge")

    let shutdownDelay = Setting<Int>.number(
        "shutdown.delay.seconds", 0...300,
        help: "after SIGTERM: /health/ready says no, all else goes on, for so long")

    let shutdownGrace = Setting<Int>.number(
        "shutdown.grace.seconds", 1...600,
        help: "after SIGTERM: the program ends at the latest then"
    ) { found throws(CommandError) in
        guard found.content > (try found.settings.shutdownDelay) else {
            throw found.error(expects: "more than SHUTDOWN_DELAY_SECONDS")
        }
        return found.content
    }

    /// In the order in which they are declared.
    var descriptions: [SettingDescription] {
        Mirror(reflecting: self).children.compactMap { ($0.value as? any AnySetting)?.description }
    }

    /// For the program's help: each variable, and below it what it is for and what it expects.
    var help: String {
        descriptions.map { setting in
            var lines = [setting.variable + (setting.isSecret ? ", or \(setting.fileVariable)" : "")]
            for word in "\(setting.help). Expects \(setting.expectation).".split(separator: " ") {
                if lines.count > 1, lines[lines.count - 1].count + 1 + word.count <= 76 {
                    lines[lines.count - 1] += " " + word
                } else {
                    lines.append("    " + word)
                }
            }
            return lines.joined(separator: "\n")
        }.joined(separator: "\n")
    }
}

private let databaseExpectation = "a PostgreSQL URI such as postgres://user@host/database"

extension FoundValue<String> {
    fileprivate var databaseAddress: DatabaseAddress? {
        get throws(CommandError) {
            let address: DatabaseAddress
            do throws(DatabaseAddressError) {
                address = try DatabaseAddress(connectionString: content)
            } catch {
                switch error {
                case .malformed: return nil
                case .ambiguousPassword:
                    throw self.error(expects: "one @ before the host: in a password write @ as %40 and / as %2F")
                }
            }
            guard !settings.isProduction || address.isLocalSocket || address.sslmode == "verify-full" else {
                throw self.error(expects: "sslmode=verify-full in production, or a Unix socket")
            }
            return address
        }
    }
}

extension Setting where Value == RateLimit? {
    fileprivate static func rateLimit(_ key: String, help: String) -> Setting {
        text(
            key, help: help,
            expects: "none, or so many a second and so many at once, such as 100/200, up to 1000000"
        ) { found -> RateLimit?? in
            found.content == "none" ? .some(nil) : RateLimit(found.content).map { .some($0) }
        }
    }
}

/// A key that is empty protects nothing.
private let digestOfEmptyText = SHA256Digest(hex: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
