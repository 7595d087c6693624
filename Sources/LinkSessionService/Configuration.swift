// Every setting, parsed: a wrong or missing one stops the start with a line that names it.

internal import Configuration
internal import LinkSessions
internal import Logging
internal import PostgresClient
internal import TokenGenerator

struct Settings {
    enum LogFormat: String { case text, json }

    struct Problem: Error {
        let line: String
    }

    private let reader: ConfigReader
    private let isProduction: Bool

    /// Reads the sources, not yet the values: each command asks for those that it needs.
    init(_ options: OptionValues = [:]) async throws(Problem) {
        let environment = EnvironmentVariablesProvider()
        let name = ConfigReader(provider: environment).string(forKey: "link.session.env", default: "local")
        guard ["local", "production"].contains(name) else {
            throw Problem(line: "LINK_SESSION_ENV expects local or production")
        }
        isProduction = name == "production"
        var files: [any ConfigProvider] = []
        for file in ["config/\(name).json", "config/base.json"] {
            do {
                files.append(InMemoryProvider(name: file, values: try ConfigurationFile.values(in: file)))
            } catch {
                throw Problem(line: "\(file) cannot be read as JSON; config/ is expected in the working directory")
            }
        }
        reader = ConfigReader(
            providers: [InMemoryProvider(name: "options", values: options), environment] + files)
    }

    var database: DatabaseAddress {
        get throws(Problem) {
            let text = try string(
                "database.url", isSecret: true, "a PostgreSQL URI such as postgres://user@host/database")
            let address: DatabaseAddress
            do throws(DatabaseAddressError) {
                address = try DatabaseAddress(connectionString: text)
            } catch {
                switch error {
                case .malformed:
                    throw Problem(line: "DATABASE_URL expects a PostgreSQL URI such as postgres://user@host/database")
                case .ambiguousPassword:
                    throw Problem(
                        line: "DATABASE_URL expects one @ before the host: in a password write @ as %40 and / as %2F")
                }
            }
            guard !isProduction || address.isLocalSocket || address.sslmode == "verify-full" else {
                throw Problem(line: "DATABASE_URL expects sslmode=verify-full in production, or a Unix socket")
            }
            return address
        }
    }

    var databaseConnections: Int {
        get throws(Problem) { try integer("database.connections", 1...100) }
    }

    /// In the order given; the first is the product's own schema.
    var migrationDirectories: [String] {
        get throws(Problem) {
            let expectation = "directories, comma-separated"
            guard let directories = reader.stringArray(forKey: "migrations.directories") else {
                throw problem("migrations.directories", expectation)
            }
            guard !directories.isEmpty, directories.allSatisfy({ !$0.isEmpty }) else {
                throw problem("migrations.directories", expectation)
            }
            return directories
        }
    }

    var httpHost: String {
        get throws(Problem) { try string("http.host", "an address to listen on, such as 127.0.0.1 or 0.0.0.0") }
    }

    var httpPort: Int {
        get throws(Problem) { try integer("http.port", 0...65535) }
    }

    var publicBaseURL: String {
        get throws(Problem) {
            let expectation = "a URL of scheme and host alone, such as https://auth.nox.energy"
            let text = try string("public.base.url", expectation)
            let parts = text.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
            // A URL of the domain's rules with nothing after the host; http is for any host on a developer's machine.
            guard parts.count == 2, parts[0] == "https" || parts[0] == "http",
                !parts[1].contains(where: { $0 == "/" || $0 == "?" }),
                (try? RedirectURL("https://" + parts[1])) != nil
            else { throw problem("public.base.url", expectation) }
            guard !isProduction || parts[0] == "https" else {
                throw problem("public.base.url", "https in production")
            }
            return text
        }
    }

    var authenticatorDigests: [SHA256Digest] {
        get throws(Problem) {
            let expectation = "SHA-256 digests of 64 hexadecimal digits, comma-separated"
            guard let texts = reader.stringArray(forKey: "authenticator.api.key.digests", isSecret: true),
                !texts.isEmpty
            else { throw problem("authenticator.api.key.digests", expectation) }
            var digests: [SHA256Digest] = []
            for text in texts {
                guard let digest = SHA256Digest(hex: text) else {
                    throw problem("authenticator.api.key.digests", expectation)
                }
                guard digest != Self.digestOfNothing else {
                    throw problem("authenticator.api.key.digests", "digests of keys, not the one of an empty text")
                }
                digests.append(digest)
            }
            return digests
        }
    }

    private static let digestOfNothing = SHA256Digest(
        hex: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

    /// One that is in use, and further ones that are still or already known.
    typealias Rotated<Secret> = (first: Secret, further: ArraySlice<Secret>)

    /// The first signs, all are published.
    var returnSigningKeys: Rotated<SigningKey> {
        get throws(Problem) {
            let key = "return.signing.keys"
            let expectation = "private keys, comma-separated, each made by link-session-service generate-signing-key"
            guard let texts = reader.stringArray(forKey: ConfigKey(key), isSecret: true), !texts.isEmpty else {
                throw problem(key, expectation)
            }
            var keys: [SigningKey] = []
            for text in texts {
                guard let signingKey = SigningKey(text) else { throw problem(key, expectation) }
                guard !keys.contains(where: { $0.publicKey == signingKey.publicKey }) else {
                    throw problem(key, "each key once")
                }
                keys.append(signingKey)
            }
            return (keys[0], keys.dropFirst())
        }
    }

    /// `nil`: there is no sandbox supplier.
    var sandboxSigningKey: SigningKey? {
        get throws(Problem) {
            let key = "sandbox.signing.key"
            guard let text = reader.string(forKey: ConfigKey(key), isSecret: true), !text.isEmpty else { return nil }
            guard !isProduction else {
                throw problem(key, "to be unset in production: the sandbox supplier lets anybody in")
            }
            guard let signingKey = SigningKey(text) else {
                throw problem(key, "a private key made by link-session-service generate-signing-key")
            }
            let (first, further) = try returnSigningKeys
            guard !([first] + further).contains(where: { $0.publicKey == signingKey.publicKey }) else {
                throw problem(key, "a key that is not among RETURN_SIGNING_KEYS")
            }
            return signingKey
        }
    }

    /// The first makes one-time codes, all are good.
    var returnCodeSecrets: Rotated<HMACSHA256> {
        get throws(Problem) {
            let key = "return.code.secrets"
            let expectation = "secrets of 32 bytes or more as base64url without padding, comma-separated"
            guard let texts = reader.stringArray(forKey: ConfigKey(key), isSecret: true), !texts.isEmpty else {
                throw problem(key, expectation)
            }
            var secrets: [HMACSHA256] = []
            for text in texts {
                guard let bytes = Base64URL.decode(text), let secret = HMACSHA256(secret: bytes) else {
                    throw problem(key, expectation)
                }
                secrets.append(secret)
            }
            return (secrets[0], secrets.dropFirst())
        }
    }

    /// Which API keys are made and accepted.
    var keyEnvironment: APIKey.Environment { isProduction ? .live : .test }

    /// How old a link session gets.
    var retentionDays: Int {
        get throws(Problem) { try integer("retention.days", 1...36_500) }
    }

    var logLevel: Logger.Level {
        get throws(Problem) {
            let expectation = "trace, debug, info, notice, warning, error or critical"
            guard let level = Logger.Level(rawValue: try string("log.level", expectation)) else {
                throw problem("log.level", expectation)
            }
            return level
        }
    }

    var logFormat: LogFormat {
        get throws(Problem) {
            guard let format = LogFormat(rawValue: try string("log.format", "text or json")) else {
                throw problem("log.format", "text or json")
            }
            return format
        }
    }

    var shutdownDelay: Int {
        get throws(Problem) { try integer("shutdown.delay.seconds", 0...300) }
    }

    var shutdownGrace: Int {
        get throws(Problem) {
            let grace = try integer("shutdown.grace.seconds", 1...600)
            guard grace > (try shutdownDelay) else {
                throw problem("shutdown.grace.seconds", "more than SHUTDOWN_DELAY_SECONDS")
            }
            return grace
        }
    }

    private func string(_ key: String, isSecret: Bool = false, _ expectation: String) throws(Problem) -> String {
        guard let value = reader.string(forKey: ConfigKey(key), isSecret: isSecret), !value.isEmpty else {
            throw problem(key, expectation)
        }
        return value
    }

    private func integer(_ key: String, _ range: ClosedRange<Int>) throws(Problem) -> Int {
        let value: Int?
        do {
            value = try reader.requiredInt(forKey: ConfigKey(key))
        } catch {
            value = nil
        }
        guard let value, range.contains(value) else {
            throw problem(key, "a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// Never repeats the value: it may be a secret in the wrong place.
    private func problem(_ key: String, _ expectation: String) -> Problem {
        Problem(line: "\(key.replacing(".", with: "_").uppercased()) expects \(expectation)")
    }
}

extension SigningKey {
    /// A private key as `generate-signing-key` prints it.
    fileprivate init?(_ text: String) {
        guard let seed = Base64URL.decode(text) else { return nil }
        self.init(seed: seed)
    }
}

/// As the environment would give them, so that one parser reads both.
typealias OptionValues = [AbsoluteConfigKey: ConfigValue]

extension MigrationsOptions {
    var values: OptionValues {
        guard let migrationsDirectories else { return [:] }
        let directories = migrationsDirectories.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        return [
            AbsoluteConfigKey(ConfigKey("migrations.directories")): ConfigValue(
                .stringArray(directories), isSecret: false)
        ]
    }
}

extension ConfigurationOptions {
    var values: OptionValues {
        var values = migrations.values
        func set(_ key: String, _ value: String?) {
            guard let value else { return }
            values[AbsoluteConfigKey(ConfigKey(key))] = ConfigValue(.string(value), isSecret: false)
        }
        func set(_ key: String, number value: String?) {
            guard let value else { return }
            let content = Int(value).map { ConfigContent.int($0) } ?? .string(value)
            values[AbsoluteConfigKey(ConfigKey(key))] = ConfigValue(content, isSecret: false)
        }
        set("http.host", httpHost)
        set("http.port", number: httpPort)
        set("public.base.url", publicBaseUrl)
        set("database.connections", number: databaseConnections)
        set("retention.days", number: retentionDays)
        set("log.level", logLevel)
        set("log.format", logFormat)
        set("shutdown.delay.seconds", number: shutdownDelaySeconds)
        set("shutdown.grace.seconds", number: shutdownGraceSeconds)
        return values
    }
}
