internal import ArgumentParser

/// The program: its commands and their help.
@main
struct LinkSessionService: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "link-session-service",
        abstract: "Create, look up, expire and complete link sessions on PostgreSQL.",
        discussion: """
            Configuration comes from config/base.json, then config/NAME.json where the environment variable \
            LINK_SESSION_ENV names local or production, then environment variables, then options; the later wins. The \
            directory config/ is looked for in the working directory. A secret X can be in a file that X_FILE names; a \
            line break at its end is not part of it.

            \(Settings.list.help)

            Make a digest with: printf %s "$KEY" | sha256sum
            Make a secret with: openssl rand -base64 32 | tr '+/' '-_' | tr -d '='
            """,
        subcommands: [
            Serve.self, Migrate.self, Purge.self, Admin.self, GenerateSigningKey.self, Healthcheck.self, Listen.self,
            Trigger.self,
        ],
        defaultSubcommand: Serve.self)
}
