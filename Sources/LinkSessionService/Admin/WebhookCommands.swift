internal import ArgumentParser
internal import Foundation
internal import LinkSessionRepository
internal import LinkSessions
internal import TokenGenerator
internal import Webhooks

/// For commands that are about one webhook.
struct WebhookArgument: ParsableArguments {
    @Argument(help: "The webhook's number, as admin list-webhooks shows it.") var id: Int64

    var endpoint: WebhookEndpoint.ID {
        get throws(CommandError) {
            guard id > 0 else { throw .argument("ID", expects: "a webhook's number, as admin list-webhooks shows it") }
            return WebhookEndpoint.ID(id)
        }
    }
}

struct AddWebhook: Command {
    static let configuration = CommandConfiguration(
        abstract:
            "Send a manufacturer's events to a URL from now on, and print the webhook's secret on standard output.",
        discussion: """
            The secret is derived from WEBHOOK_SECRETS, which have to be those of the replicas, and is stored nowhere; \
            admin show-webhook-secret prints it again.
            """)

    @OptionGroup var manufacturer: ManufacturerArgument
    @Option(help: "Where to: https, at a public address; http on this machine alone, outside of production.")
    var url: String
    @Option(help: "Which events, comma-separated, such as link_session.completed,link_session.expired; by default all.")
    var types: String?
    @OptionGroup var migration: ChangeOptions

    func perform() async throws {
        let settings = try await Settings(migration)
        guard let url = ProviderURL(url), !url.isLoopback || !settings.isProduction else {
            throw CommandError.argument(
                "--url",
                expects:
                    "an https URL, such as https://example.com/webhooks; or outside of production http on this machine"
            )
        }
        let kinds = try types.map { types in
            let names = types.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
            let kinds = names.compactMap(FeedEvent.Kind.init(type:))
            guard kinds.count == names.count, Set(kinds).count == kinds.count else {
                let known = FeedEvent.Kind.allCases.map(\.type).joined(separator: ", ")
                throw CommandError.argument("--types", expects: "each once, comma-separated, of: \(known)")
            }
            return kinds
        }
        let manufacturer = try manufacturer.name
        try await migration.write(withNewWebhookSecret: settings) { salt in
            try .addWebhook(manufacturer: manufacturer, url: url, kinds: kinds, salt: salt)
        }
    }
}

struct RotateWebhookSecret: Command {
    static let configuration = CommandConfiguration(
        abstract: "Replace a webhook's secret, and print the new one on standard output.",
        discussion: "Until the overlap is over, counted from when the migration is applied, both of them sign.")

    @OptionGroup var webhook: WebhookArgument
    @Option(help: "How long the old secret still signs: 24h; 0s ends it at once.") var overlap: String
    @OptionGroup var migration: ChangeOptions

    func perform() async throws {
        let (id, settings) = (try webhook.endpoint, try await Settings(migration))
        let overlap = try seconds(overlap, for: "--overlap", atLeast: 0, atMostDays: 365)
        try await migration.write(withNewWebhookSecret: settings) { salt in
            .rotateWebhookSecret(id, salt: salt, overlap: overlap)
        }
    }
}

struct ShowWebhookSecret: Command {
    static let configuration = CommandConfiguration(
        abstract: "Print a webhook's secret again, as the first of WEBHOOK_SECRETS makes it.")

    @OptionGroup var webhook: WebhookArgument

    func perform() async throws {
        let (id, settings) = (try webhook.endpoint, try await Settings())
        let salt = try await AdminRepository(address: try settings.operatorAddress).webhookSalt(of: id)
        guard printSecret(try settings.webhookSecret(of: salt)) else { throw CommandError("cannot print the secret") }
    }
}

struct DisableWebhook: ChangeCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send nothing to a webhook any more; what happens meanwhile is sent when it is resumed.")

    @OptionGroup var webhook: WebhookArgument
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange { .disableWebhook(try webhook.endpoint) }
}

struct ResumeWebhook: ChangeCommand {
    static let configuration = CommandConfiguration(
        abstract: "Go on sending to a webhook that is disabled, paused or stopped, where it stopped.",
        discussion: "What it gave up on is tried again, too.")

    @OptionGroup var webhook: WebhookArgument
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange { .resumeWebhook(try webhook.endpoint) }
}

struct Resend: ChangeCommand {
    static let configuration = CommandConfiguration(
        abstract: "Send a stretch of a manufacturer's events to a webhook once more.",
        discussion: "What happens meanwhile is sent beside it. The receiver knows by their ids which events it had.")

    @OptionGroup var webhook: WebhookArgument
    @Option(help: "From when on: Unix seconds, or a time such as 2026-11-24T08:00:00Z.") var since: String
    @Option(help: "Until when; by default until now.") var until: String?
    @OptionGroup var migration: ChangeOptions

    func change() throws -> AdminChange {
        let (since, until) = (try Self.time(since, "--since"), try until.map { try Self.time($0, "--until") })
        if let until, until <= since { throw CommandError.argument("--until", expects: "a time after --since") }
        return .resend(to: try webhook.endpoint, since: since, until: until)
    }

    private static func time(_ text: String, _ option: String) throws(CommandError) -> UnixSeconds {
        if let seconds = UnixSeconds(text), (0...253_402_300_799).contains(seconds) { return seconds }
        guard let date = try? Date(text, strategy: .iso8601), date.timeIntervalSince1970 >= 0 else {
            throw .argument(option, expects: "Unix seconds, or a time such as 2026-11-24T08:00:00Z")
        }
        return UnixSeconds(date.timeIntervalSince1970)
    }
}

extension ChangeOptions {
    fileprivate func write(
        withNewWebhookSecret settings: Settings, change: ([UInt8]) throws -> AdminChange
    ) async throws {
        guard let salt = (try? TokenGenerator().makeSecret()).flatMap(Base64URL.decode)?.prefix(16) else {
            throw CommandError("the system has no randomness for a secret")
        }
        let secret = try settings.webhookSecret(of: Array(salt))
        try await write(try change(Array(salt)), settings, printing: secret, named: "secret", "the webhook's secret")
    }
}

extension Settings {
    /// As the first of WEBHOOK_SECRETS makes it.
    fileprivate func webhookSecret(of salt: [UInt8]) throws -> String {
        try WebhookSecret(from: try self.webhookSecrets[0], salt: salt).text
    }
}
