// Where settings come from: options, the environment and files.

internal import Configuration
internal import LinkSessions

/// The sources, the first that has a setting decides; a wrong or missing setting stops the command with a line that
/// names it.
@dynamicMemberLookup struct Settings: Sendable {
    static let list = SettingList()

    let isProduction: Bool
    private let reader: ConfigReader

    subscript<Value>(dynamicMember setting: KeyPath<SettingList, Setting<Value>>) -> Value {
        get throws(CommandError) { try Self.list[keyPath: setting].read(reader, self) }
    }

    /// Which API keys are made and accepted.
    var keyEnvironment: APIKey.Environment { isProduction ? .live : .test }
}

extension Settings {
    /// Reads the sources, not yet the values: each command asks for those that it needs.
    init(_ options: [OptionValue] = []) async throws(CommandError) {
        let environment = EnvironmentVariablesProvider()
        let named = Settings(
            isProduction: false,
            reader: ConfigReader(providers: [
                environment, InMemoryProvider(values: ["link.session.env": "local"]),
            ]))
        let name = try named.environment
        // Read as the environment would be.
        let variables = Dictionary(options.map { ($0.variable, $0.text) }) { $1 }
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
                    provider: InMemoryProvider(values: ["filePath": ConfigValue(.string(path), isSecret: false)])))
        } catch {
            throw CommandError("\(path) cannot be read as JSON; config/ is expected in the working directory")
        }
    }
}
