// The program: its commands and their help.

internal import ArgumentParser

@main
struct LinkSessionService: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "link-session-service",
        abstract: "Creates, looks up, expires and completes link sessions on PostgreSQL.",
        discussion: """
            Configuration comes from config/base.json, then config/NAME.json where the environment variable \
            LINK_SESSION_ENV names local (the default) or production, then environment variables, then options; the \
            later wins. The directory config/ is looked for in the working directory.

            DATABASE_URL                   where PostgreSQL is: a URI or whatever libpq takes (required)
            AUTHENTICATOR_API_KEY_DIGESTS  SHA-256 of the Authenticator's keys, hexadecimal, comma-separated \
            (required by serve)
            PUBLIC_BASE_URL                what every link_url starts with (required by serve)
            RETURN_SIGNING_KEYS            private keys for return links, comma-separated: the first signs, all are \
            published (required by serve)
            RETURN_CODE_SECRETS            secrets for the one-time codes in return links, comma-separated: the first \
            makes them, all are good (required by serve)
            SUPPLIER_..._SECRET            the client secret of a supplier that names it so
            SANDBOX_SIGNING_KEY            switches on the supplier Sandbox Energy, and signs its results; never in \
            production
            HTTP_HOST, HTTP_PORT           where to listen
            DATABASE_CONNECTIONS           connections for requests, 1 to 100; one more is for the service itself
            MIGRATIONS_DIRECTORIES         comma-separated; the first is the product's own schema, \
            the last the one that admin writes to
            RETENTION_DAYS                 older link sessions are deleted (serve, purge)
            LOG_LEVEL, LOG_FORMAT          trace to critical; text or json
            SHUTDOWN_DELAY_SECONDS         after SIGTERM: /health/ready says no, all else goes on, for so long
            SHUTDOWN_GRACE_SECONDS         after SIGTERM: the program ends at the latest then

            Make a digest with: printf %s "$KEY" | sha256sum
            Make a secret with: openssl rand -base64 32 | tr '+/' '-_' | tr -d '='
            """,
        subcommands: [Serve.self, Migrate.self, Purge.self, Admin.self, GenerateSigningKey.self, Healthcheck.self],
        defaultSubcommand: Serve.self)
}

/// The one option of commands that neither serve nor ask who does.
struct MigrationsOptions: ParsableArguments {
    @Option(help: "Comma-separated, the product's own first (MIGRATIONS_DIRECTORIES).")
    var migrationsDirectories: String?
}

/// Options that stand above environment and files. DATABASE_URL and the digests have none: others can list a
/// process's arguments.
struct ConfigurationOptions: ParsableArguments {
    @Option(help: "Where to listen (HTTP_HOST).") var httpHost: String?
    @Option(help: "Where to listen; 0 for any free port (HTTP_PORT).") var httpPort: String?
    @Option(help: "What every link_url starts with (PUBLIC_BASE_URL).") var publicBaseUrl: String?
    @Option(help: "Connections for requests (DATABASE_CONNECTIONS).") var databaseConnections: String?
    @OptionGroup var migrations: MigrationsOptions
    @Option(help: "RETENTION_DAYS.") var retentionDays: String?
    @Option(help: "trace, debug, info, notice, warning, error or critical (LOG_LEVEL).") var logLevel: String?
    @Option(help: "text or json (LOG_FORMAT).") var logFormat: String?
    @Option(help: "SHUTDOWN_DELAY_SECONDS.") var shutdownDelaySeconds: String?
    @Option(help: "SHUTDOWN_GRACE_SECONDS.") var shutdownGraceSeconds: String?
}

/// Ends the program with one line on standard error.
func fail(_ lines: String...) -> ExitCode {
    fail(lines)
}

func fail(_ lines: [String], code: Int32 = 1) -> ExitCode {
    for line in lines { printToStandardError("link-session-service: \(line)") }
    return ExitCode(code)
}
