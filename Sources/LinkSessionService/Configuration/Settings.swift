internal import ArgumentParser
internal import Configuration
internal import LinkSessions
internal import PostgresClient

/// Where settings come from: options, the environment and files. The first that has a setting decides; a wrong or
/// missing setting stops the command with a line that names it.
@dynamicMemberLookup struct Settings: Sendable {
    static let list = SettingList()

    let isProduction: Bool
    private let reader: ConfigReader

    subscript<Value>(dynamicMember setting: KeyPath<SettingList, Setting<Value>>) -> Value {
        get throws(CommandError) { try Self.list[keyPath: setting].read(reader, self) }
    }

    /// Where operators work, and a deployment's own migrations are applied.
    var operatorAddress: DatabaseAddress {
        get throws(CommandError) {
            if let address = try self.operatorDatabase { return address }
            return try self.database
        }
    }

    /// Which API keys are made and accepted.
    var keyEnvironment: APIKey.Environment { isProduction ? .live : .test }
}

extension Settings {
    /// Reads the sources, not yet the values: each command asks for those that it needs.
    ///
    /// - Parameter environment: which one it is where LINK_SESSION_ENV does not say; `nil`: it has to.
    init(
        _ options: (any ParsableArguments)? = nil, environment fallback: SettingList.Environment? = .local
    ) async throws(CommandError) {
        let environment = EnvironmentVariablesProvider()
        let unsaid = InMemoryProvider(
            values: fallback.map { ["link.session.env": ConfigValue(stringLiteral: $0.rawValue)] } ?? [:])
        let named = Settings(isProduction: false, reader: ConfigReader(providers: [environment, unsaid]))
        let name = try named.environment
        let members = options.map { Array(Mirror(reflecting: $0).children) } ?? []
        let given = members.compactMap { ($0.value as? Option<OptionValue?>)?.wrappedValue }
        let variables = Dictionary(given.map { ($0.variable, $0.text) }) { $1 }
        self.init(
            isProduction: name == .production,
            reader: ConfigReader(providers: [
                EnvironmentVariablesProvider(environmentVariables: variables), environment,
                try await Self.file("config/\(name.rawValue).json"), try await Self.file("config/base.json"),
            ]))
    }

    private static func file(_ path: String) async throws(CommandError) -> any ConfigProvider {
        do {
            return try await FileProvider<JSONSnapshot>(
                config: ConfigReader(
                    provider: InMemoryProvider(values: ["filePath": ConfigValue(stringLiteral: path)])))
        } catch {
            throw CommandError("\(path) cannot be read as JSON; config/ is expected in the working directory")
        }
    }
}

/// A setting's value on the command line, as the environment would give it, so that one parser reads both.
struct OptionValue: Sendable {
    let variable: String
    let text: String
}

extension Option where Value == OptionValue? {
    /// The option of a setting, with its name and its help.
    init<Setting: AnySetting>(_ setting: KeyPath<SettingList, Setting>) {
        let description = Settings.list[keyPath: setting].description
        let variable = description.variable
        self.init(
            name: .customLong(description.option),
            help: ArgumentHelp("\(variable): \(description.help)."),
            transform: { (text: String) -> OptionValue in OptionValue(variable: variable, text: text) })
    }
}

/// Every setting that is no secret.
struct ServiceOptions: ParsableArguments {
    @Option(\.httpHost) var httpHost: OptionValue?
    @Option(\.httpPort) var httpPort: OptionValue?
    @Option(\.httpIdleSeconds) var httpIdleSeconds: OptionValue?
    @Option(\.httpManagementHost) var httpManagementHost: OptionValue?
    @Option(\.httpManagementPort) var httpManagementPort: OptionValue?
    @Option(\.publicBaseURL) var publicBaseURL: OptionValue?
    @Option(\.databaseConnections) var databaseConnections: OptionValue?
    @Option(\.migrationDirectories) var migrationDirectories: OptionValue?
    @Option(\.createLimit) var createLimit: OptionValue?
    @Option(\.addressLimit) var addressLimit: OptionValue?
    @Option(\.trustedProxies) var trustedProxies: OptionValue?
    @Option(\.retentionDays) var retentionDays: OptionValue?
    @Option(\.logLevel) var logLevel: OptionValue?
    @Option(\.logFormat) var logFormat: OptionValue?
    @Option(\.shutdownDelay) var shutdownDelay: OptionValue?
    @Option(\.shutdownGrace) var shutdownGrace: OptionValue?
}
